"""Every setting, once: its names, its kind, its default and its meaning. Reading, options and documentation follow it.

Holds no value that the program reads at run time: `Settings` does.
"""

from typing import NamedTuple

from dominion.config.kinds import (
    ADDRESSES,
    ADMIN_TOKEN,
    ALIASES,
    BASE_URL,
    CHAT_PATH,
    FLAG,
    HEADERS,
    LIMIT,
    LONG_SECRET,
    MODELS,
    NAMES,
    PATH,
    PERCENTS,
    SECRET,
    TEXT,
    USD_LIMIT,
    WEIGHTS,
    Kind,
    choice,
    seconds,
    server_url,
    share,
    whole,
)


class Setting(NamedTuple):
    """One setting. `default` is written as in an env file; "{other}" in it stands for the value of another setting.

    An empty default means: not set. An empty `toml` path means: not in the TOML file. `also` is a second environment
    name.
    """

    field: str
    env: str
    toml: str
    kind: Kind
    default: str
    help: str
    also: str = ""

    @property
    def option(self) -> str:
        """The option of `dominion serve`."""
        return "--" + self.field.replace("_", "-")


_MOST = 2**31 - 1
_PORT = whole(0, 65_535)
_BODY = whole(1024, 1 << 30)
_WINDOW = whole(1000, 86_400_000)
_WAIT = seconds(0.1, 86_400)
_ENVIRONMENT = choice("development", "production", "test")
_LEVEL = choice("debug", "info", "warning", "error", "critical")
_ORDERING = choice("config", "weighted", "latency", "cost")
_PAUSE = seconds(0, 3600)
_PERIOD = seconds(0.1, 604_800)
_DURABILITY = choice("journal", "journal+fsync", "database", older={"fsync": "journal+fsync"})
_POSTGRES = server_url("postgresql", "postgres", "postgresql+psycopg")
_REDIS = server_url("redis", "rediss", "unix")
_KEY_SOURCE = choice("file", "environment", "keyring", "vault")
_UNPRICED = choice("refuse", "allow")
_WEBHOOK = server_url("https", "http")
_SECURITY = choice("starttls", "tls", "none")
_WORKERS = whole(1, 64)

# fmt: off
SETTINGS: tuple[Setting, ...] = (
    Setting("config", "DOMINION_CONFIG", "", PATH, "",
            "The TOML file; without it ./dominion.toml is read if it exists."),
    Setting("data_dir", "DOMINION_DATA_DIR", "server.data_dir", PATH, "./data",
            "The folder of database, journal and keys."),
    Setting("sqlite_path", "SQLITE_PATH", "server.sqlite_path", PATH, "{data_dir}/gateway.db",
            "The database file."),
    Setting("database_url", "DATABASE_URL", "server.database_url", _POSTGRES, "",
            "PostgreSQL instead of the database file, postgresql://user:password@host/name (extra: cluster)."),
    Setting("lease_grace_seconds", "LEASE_GRACE_SECONDS", "server.lease_grace_seconds", seconds(30, 86_400), "900",
            "After how long without a word a process that shares the database counts as lost with its disk."),
    Setting("redis_url", "REDIS_URL", "server.redis_url", _REDIS, "",
            "Redis or Valkey, for rates that several processes share, redis://:password@host/0 (extra: cluster)."),
    Setting("host", "HOST", "server.host", TEXT, "127.0.0.1",
            "The address to listen on; 0.0.0.0 means all of them."),
    Setting("port", "PORT", "server.port", _PORT, "3100",
            "The port to listen on; 0 takes a free one."),
    Setting("workers", "WORKERS", "server.workers", _WORKERS, "1",
            "Processes that serve; about one for each core."),
    Setting("environment", "NODE_ENV", "server.environment", _ENVIRONMENT, "production",
            "Accepted from older env files."),
    Setting("log_level", "LOG_LEVEL", "server.log_level", _LEVEL, "info",
            "The least severe messages that are logged."),
    Setting("durability", "DURABILITY", "server.durability", _DURABILITY, "journal",
            "What a row survives when the answer ends: the process, a power cut, the disk (docs/durability.md)."),
    Setting("journal_limit_mb", "JOURNAL_LIMIT_MB", "server.journal_limit_mb", whole(1, 65_536), "256",
            "How much waits for a database that is gone, in MiB, before requests that cost money are refused."),
    Setting("max_body_bytes", "MAX_BODY_BYTES", "server.max_body_bytes", _BODY, "20971520",
            "The largest request body, in bytes."),
    Setting("drain_seconds", "DRAIN_SECONDS", "server.drain_seconds", seconds(0, 3600), "30",
            "How long running requests may take to end when the gateway stops."),
    Setting("drain_notice_seconds", "DRAIN_NOTICE_SECONDS", "server.drain_notice_seconds", seconds(0, 3600), "0",
            "How long a gateway that stops still accepts, while /health/ready says 503 to a load balancer."),
    Setting("trusted_proxies", "TRUSTED_PROXIES", "server.trusted_proxies", ADDRESSES, "",
            "Addresses of the proxies whose x-forwarded-for is believed."),
    Setting("admin_token", "ADMIN_TOKEN", "server.admin_token", ADMIN_TOKEN, "",
            "Guards /admin; at least 16 characters. Without it the first start makes one."),
    Setting("sealing_key_source", "DOMINION_SEALING_KEY_SOURCE", "server.sealing_key_source", _KEY_SOURCE, "file",
            "Where the sealing key is kept; file means DATA_DIR/sealing.key."),
    Setting("sealing_key", "DOMINION_SEALING_KEY", "server.sealing_key", SECRET, "",
            "For the source environment: 64 hex digits; after a rotation also `,2:` and 64 more, and so on."),
    Setting("vault_addr", "VAULT_ADDR", "server.vault_addr", BASE_URL, "",
            "For the source vault: the address of HashiCorp Vault."),
    Setting("vault_token", "VAULT_TOKEN", "server.vault_token", SECRET, "",
            "For the source vault: a token that may read and write the secret."),
    Setting("vault_path", "DOMINION_VAULT_PATH", "server.vault_path", TEXT, "secret/dominion",
            "For the source vault: the mount of a KV engine (version 2), a slash, and the secret's path."),
    Setting("default_model", "DEFAULT_MODEL", "agent.model", TEXT, "",
            'The model that answers "auto".'),

    Setting("openai_api_key", "OPENAI_API_KEY", "providers.openai.api_key", SECRET, "",
            "Configures OpenAI."),
    Setting("openai_base_url", "OPENAI_BASE_URL", "providers.openai.base_url", BASE_URL, "",
            "Another address than OpenAI's own, with or without /v1."),
    Setting("openai_organization_id", "OPENAI_ORGANIZATION_ID", "providers.openai.organization_id", TEXT, "",
            "The organization that is billed, where the key belongs to several."),
    Setting("openai_responses_path", "OPENAI_RESPONSES_PATH", "providers.openai.responses_path", CHAT_PATH, "",
            "Where the Responses API is at that other address, if it has one: /v1/responses, mostly."),
    Setting("anthropic_api_key", "ANTHROPIC_API_KEY", "providers.anthropic.api_key", SECRET, "",
            "Configures Anthropic."),
    Setting("anthropic_oauth_token", "ANTHROPIC_OAUTH_TOKEN", "", SECRET, "",
            "Configures Anthropic where the TOML file has no provider; goes before ANTHROPIC_API_KEY."),
    Setting("anthropic_oauth", "ANTHROPIC_OAUTH", "providers.anthropic.oauth", FLAG, "false",
            "Whether OAuth tokens (sk-ant-oat...) are used; Anthropic refuses those of subscriptions."),
    Setting("anthropic_base_url", "ANTHROPIC_BASE_URL", "providers.anthropic.base_url", BASE_URL, "",
            "Another address than Anthropic's own, with or without /v1."),
    Setting("copilot_token_path", "DOMINION_COPILOT_TOKEN_PATH", "providers.copilot.token_path", PATH,
            "{data_dir}/copilot_token.txt", "Where `dominion providers login copilot` keeps the GitHub token."),
    Setting("copilot_client_id", "DOMINION_COPILOT_CLIENT_ID", "providers.copilot.client_id", TEXT, "",
            "The OAuth app to sign in to GitHub with; there is none built in."),
    Setting("copilot_headers", "DOMINION_COPILOT_HEADERS", "providers.copilot.headers", HEADERS, "",
            "Headers of each request to Copilot, instead of those built in."),
    Setting("copilot_base_url", "DOMINION_COPILOT_BASE_URL", "providers.copilot.base_url", BASE_URL, "",
            "Another address for Copilot's completions."),
    Setting("copilot_sign_in_url", "DOMINION_COPILOT_SIGN_IN_URL", "providers.copilot.sign_in_url", BASE_URL,
            "https://github.com", "Where people sign in; another one for an enterprise server."),
    Setting("copilot_api_url", "DOMINION_COPILOT_API_URL", "providers.copilot.api_url", BASE_URL,
            "https://api.github.com", "Where GitHub's token is exchanged for Copilot's."),
    Setting("qwen_credentials_path", "DOMINION_QWEN_CREDENTIALS_PATH", "providers.qwen_oauth.credentials_path", PATH,
            "{data_dir}/qwen_credentials.json", "Where `dominion providers login qwen` keeps its tokens."),
    Setting("qwen_sign_in_url", "DOMINION_QWEN_SIGN_IN_URL", "providers.qwen_oauth.sign_in_url", BASE_URL,
            "https://chat.qwen.ai", "Where people sign in and tokens are renewed."),
    Setting("bedrock_region", "AWS_REGION", "providers.bedrock.region", TEXT, "",
            "Without it that of the profile, else us-east-1.", also="AWS_DEFAULT_REGION"),
    Setting("bedrock_profile", "AWS_PROFILE", "providers.bedrock.profile", TEXT, "",
            "The profile in AWS's files; without it: default.", also="AWS_DEFAULT_PROFILE"),
    Setting("bedrock_api_key", "AWS_BEARER_TOKEN_BEDROCK", "providers.bedrock.api_key", SECRET, "",
            "A Bedrock API key; with it, no AWS keys are looked for."),
    Setting("bedrock_base_url", "AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "providers.bedrock.base_url", BASE_URL, "",
            "Another address for Bedrock, such as that of a VPC endpoint."),
    Setting("vertex_key_file", "GOOGLE_APPLICATION_CREDENTIALS", "providers.vertex.key_file", PATH, "",
            "The key file of a service account, or of a person's sign-in."),
    Setting("vertex_project", "GOOGLE_CLOUD_PROJECT", "providers.vertex.project_id", TEXT, "",
            "Without it that of the key file."),
    Setting("vertex_location", "GOOGLE_CLOUD_LOCATION", "providers.vertex.location", TEXT, "us-central1",
            "Where Vertex AI answers; global, us and eu are locations too."),
    Setting("vertex_base_url", "GOOGLE_VERTEX_BASE_URL", "providers.vertex.base_url", BASE_URL, "",
            "Another address for Vertex AI."),
    Setting("gemini_api_key", "GEMINI_API_KEY", "providers.gemini.api_key", SECRET, "",
            "Configures Gemini by its own API; GOOGLE_API_KEY does, too.", also="GOOGLE_AI_API_KEY"),
    Setting("gemini_base_url", "GOOGLE_GEMINI_BASE_URL", "providers.gemini.base_url", BASE_URL, "",
            "Another address than Google's own, with or without /v1beta."),
    Setting("azure_openai_endpoint", "AZURE_OPENAI_ENDPOINT", "providers.azure_openai.endpoint", BASE_URL, "",
            "Configures Azure OpenAI: the address of the resource."),
    Setting("azure_openai_api_key", "AZURE_OPENAI_API_KEY", "providers.azure_openai.api_key", SECRET, "",
            "The key of the resource."),
    Setting("azure_openai_deployment", "AZURE_OPENAI_DEPLOYMENT", "providers.azure_openai.deployment", NAMES, "",
            "Deployments, which are what callers name as models; the first one is the default."),
    Setting("azure_openai_api_version", "AZURE_OPENAI_API_VERSION", "providers.azure_openai.api_version", TEXT,
            "2024-10-21", "The version of Azure's API.", also="OPENAI_API_VERSION"),
    Setting("ollama_base_url", "OLLAMA_BASE_URL", "providers.ollama.base_url", BASE_URL, "",
            "Configures Ollama; [providers.ollama] without it means http://localhost:11434."),
    Setting("ollama_api_key", "OLLAMA_API_KEY", "providers.ollama.api_key", SECRET, "",
            "Only for servers that want one."),
    Setting("ollama_models", "DOMINION_OLLAMA_MODELS", "providers.ollama.models", NAMES, "",
            "Bare names that go to Ollama; the first one is its default."),

    Setting("rate_limit_max", "RATE_LIMIT_MAX", "limits.rate_limit_max", LIMIT, "60",
            "Requests of one user in one window."),
    Setting("rate_limit_window_ms", "RATE_LIMIT_WINDOW_MS", "limits.rate_limit_window_ms", _WINDOW, "60000",
            "The window of the rate limits, in milliseconds."),
    Setting("rate_limit_ip_max", "RATE_LIMIT_IP_MAX", "limits.rate_limit_ip_max", LIMIT, "{rate_limit_max}",
            "Requests of one address in one window."),
    Setting("default_daily_requests", "DEFAULT_DAILY_REQUESTS", "limits.daily_requests", LIMIT, "1000",
            "New users: requests a day."),
    Setting("default_daily_tokens", "DEFAULT_DAILY_TOKENS", "limits.daily_tokens", LIMIT, "100000",
            "New users: tokens a day."),
    Setting("default_monthly_spend_cap_usd", "DEFAULT_MONTHLY_SPEND_CAP_USD", "limits.monthly_spend_cap_usd", USD_LIMIT,
            "50", "New users: US dollars a month."),
    Setting("default_concurrent_requests", "DEFAULT_CONCURRENT_REQUESTS", "limits.concurrent_requests", LIMIT, "5",
            "New users: requests at the same time."),
    Setting("default_requests_per_minute", "DEFAULT_REQUESTS_PER_MINUTE", "limits.requests_per_minute", LIMIT,
            "{rate_limit_max}", "New users: requests in one window."),
    Setting("default_max_output", "DEFAULT_MAX_OUTPUT", "limits.max_output", whole(1, _MOST), "8192",
            "Output tokens for callers with a budget who name no cap."),
    Setting("unpriced", "UNPRICED", "limits.unpriced", _UNPRICED, "refuse",
            "What happens to callers with a budget when the price of a model is unknown."),
    Setting("bytes_per_token", "BYTES_PER_TOKEN", "limits.bytes_per_token", whole(1, 16), "1",
            "How many bytes of a request count as one token in its upper bound; only 1 is strict."),

    Setting("connect_seconds", "UPSTREAM_CONNECT_SECONDS", "upstream.connect_seconds", _WAIT, "10",
            "To connect to a provider."),
    Setting("first_byte_seconds", "UPSTREAM_FIRST_BYTE_SECONDS", "upstream.first_byte_seconds", _WAIT, "120",
            "To the first byte of an answer."),
    Setting("idle_seconds", "UPSTREAM_IDLE_SECONDS", "upstream.idle_seconds", _WAIT, "120",
            "Between two pieces of an answer."),
    Setting("total_seconds", "UPSTREAM_TOTAL_SECONDS", "upstream.total_seconds", _WAIT, "900",
            "For a whole answer."),
    Setting("http_proxy", "HTTP_PROXY", "upstream.http_proxy", SECRET, "",
            "The proxy to providers on http.", also="http_proxy"),
    Setting("https_proxy", "HTTPS_PROXY", "upstream.https_proxy", SECRET, "",
            "The proxy to providers on https.", also="https_proxy"),
    Setting("no_proxy", "NO_PROXY", "upstream.no_proxy", NAMES, "",
            "Hosts that are reached without a proxy.", also="no_proxy"),

    Setting("retry_count", "ROUTER_RETRY_COUNT", "router.retry_count", whole(0, 20), "3",
            "How often an attempt that cost nothing is repeated at one provider."),
    Setting("deadline_seconds", "ROUTER_DEADLINE_SECONDS", "router.deadline_seconds", _WAIT, "1200",
            "For all attempts of a request together; longer than one attempt may take."),
    Setting("longest_wait_seconds", "ROUTER_LONGEST_WAIT_SECONDS", "router.longest_wait_seconds", _PAUSE, "10",
            "The longest wait before a repeat at the last provider; who asks for more is not waited for."),
    Setting("wait_before_next_seconds", "ROUTER_WAIT_BEFORE_NEXT_SECONDS", "router.wait_before_next_seconds", _PAUSE,
            "1", "The longest wait for a rate limit while another provider could be asked."),
    Setting("ordering", "ROUTER_ORDERING", "router.ordering", _ORDERING, "config",
            "In which order the providers of a model are asked: as configured, by weight, the fastest, the cheapest."),
    Setting("weights", "ROUTER_WEIGHTS", "router.weights", WEIGHTS, "",
            "Shares of the requests by provider id, for ordering = weighted; 1 where none is given."),
    Setting("breaker_share", "ROUTER_BREAKER_SHARE", "router.breaker_share", share(0.01), "0.5",
            "A provider rests when this share of its attempts in a window failed."),
    Setting("breaker_minimum", "ROUTER_BREAKER_MINIMUM", "router.breaker_minimum", whole(1, 100_000), "10",
            "Of how many attempts in the window at least."),
    Setting("breaker_window_seconds", "ROUTER_BREAKER_WINDOW_SECONDS", "router.breaker_window_seconds", _WAIT, "10",
            "How long the window is."),
    Setting("breaker_pause_seconds", "ROUTER_BREAKER_PAUSE_SECONDS", "router.breaker_pause_seconds", _WAIT, "2",
            "How long it rests at first; twice as long after each failed try."),
    Setting("breaker_longest_pause_seconds", "ROUTER_BREAKER_LONGEST_PAUSE_SECONDS",
            "router.breaker_longest_pause_seconds", _WAIT, "30", "How long it rests at most."),
    Setting("fallback_enabled", "FALLBACK_ENABLED", "fallback.enabled", FLAG, "true",
            "Whether other models may answer when all who serve the wanted one failed."),
    Setting("fallback_order", "FALLBACK_ORDER", "fallback.order", NAMES, "",
            "Those models, each as provider/model or by name, the first one first."),
    Setting("fallback_larger", "FALLBACK_LARGER", "fallback.larger", MODELS, "",
            "Which model takes the prompts that are too long for another."),
    Setting("byok_fallback", "BYOK_FALLBACK", "fallback.byok", FLAG, "false",
            "Whether the operator's key stands in, and is charged for, where a caller's own key fails."),
    Setting("own_keys_dir", "OWN_KEYS_DIR", "server.own_keys_dir", PATH, "",
            "A folder of callers' own keys, mounted as files: USER_ID.PROVIDER holds one; looked at every second."),
    Setting("always_ask", "FALLBACK_ALWAYS_ASK", "fallback.always_ask", FLAG, "false",
            "Whether another model is proposed to the caller, with its price, instead of answering."),
    Setting("aliases", "MODEL_ALIASES", "aliases", ALIASES, "",
            "Names of your own, or of models, and who serves them, each as provider/model, the best first."),
    Setting("egress_allow", "DOMINION_EGRESS_ALLOW", "upstream.egress_allow", NAMES, "",
            "host:port or networks (10.1.0.0/16) where providers of the API may be, though they are not public."),

    Setting("audit_anchor_seconds", "AUDIT_ANCHOR_SECONDS", "alerts.audit_anchor_seconds", _PERIOD, "3600",
            "How often the head of the audit log is logged and sent with the alerts."),
    Setting("alert_thresholds", "ALERT_THRESHOLDS", "alerts.thresholds", PERCENTS, "50,80,100",
            "At which percentages of a user's monthly spend, and of budgets that do not say it, you are told."),
    Setting("alert_webhook_url", "ALERT_WEBHOOK_URL", "alerts.webhook_url", _WEBHOOK, "",
            "Where alerts are posted as signed JSON (docs/alerts.md)."),
    Setting("alert_webhook_secret", "ALERT_WEBHOOK_SECRET", "alerts.webhook_secret", LONG_SECRET, "",
            "What they are signed with; at least 16 characters."),
    Setting("alert_email_to", "ALERT_EMAIL_TO", "alerts.email_to", NAMES, "",
            "Who gets alerts by mail."),
    Setting("smtp_host", "SMTP_HOST", "alerts.smtp_host", TEXT, "",
            "The mail server that takes them."),
    Setting("smtp_port", "SMTP_PORT", "alerts.smtp_port", whole(1, 65_535), "587",
            "Its port."),
    Setting("smtp_security", "SMTP_SECURITY", "alerts.smtp_security", _SECURITY, "starttls",
            "How the connection is encrypted; tls is usual at port 465."),
    Setting("smtp_user", "SMTP_USER", "alerts.smtp_user", TEXT, "",
            "Without it nobody signs in."),
    Setting("smtp_password", "SMTP_PASSWORD", "alerts.smtp_password", SECRET, "",
            "The user's password."),
    Setting("smtp_from", "SMTP_FROM", "alerts.smtp_from", TEXT, "",
            "The sender of the mails."),
)
# fmt: on


def documentation() -> str:
    """All settings as a Markdown table."""
    lines = ["| environment | TOML | option | default | kind | meaning |", "|---|---|---|---|---|---|"]
    for each in SETTINGS:
        cells = (each.env, each.toml, each.option, each.default)
        names = " | ".join(f"`{cell}`" if cell else "" for cell in cells)
        lines.append(f"| {names} | {each.kind.name} | {each.help} |")
    return "\n".join(lines) + "\n"
