"""Every setting, once: its names, its kind, its default and its meaning. Reading, options and documentation follow it.

Holds no value that the program reads at run time: `Settings` does.
"""

from typing import NamedTuple

from dominion.config.kinds import (
    ADDRESSES,
    ADMIN_TOKEN,
    BASE_URL,
    LIMIT,
    NAMES,
    PATH,
    SECRET,
    TEXT,
    USD_LIMIT,
    Kind,
    choice,
    only,
    seconds,
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
_DURABILITY = choice("journal", "fsync")
_UNPRICED = choice("refuse", "allow")
_NO_DATABASE_URL = only("", "PostgreSQL comes with a later version; remove it: this one keeps SQLite at SQLITE_PATH")
_ONE_WORKER = only(1, "several workers come with a later version; use 1")

# fmt: off
SETTINGS: tuple[Setting, ...] = (
    Setting("config", "DOMINION_CONFIG", "", PATH, "",
            "The TOML file; without it ./dominion.toml is read if it exists."),
    Setting("data_dir", "DOMINION_DATA_DIR", "server.data_dir", PATH, "./data",
            "The folder of database, journal and keys."),
    Setting("sqlite_path", "SQLITE_PATH", "server.sqlite_path", PATH, "{data_dir}/gateway.db",
            "The database file."),
    Setting("database_url", "DATABASE_URL", "server.database_url", _NO_DATABASE_URL, "",
            "PostgreSQL; comes with a later version."),
    Setting("host", "HOST", "server.host", TEXT, "127.0.0.1",
            "The address to listen on; 0.0.0.0 means all of them."),
    Setting("port", "PORT", "server.port", _PORT, "3100",
            "The port to listen on; 0 takes a free one."),
    Setting("workers", "WORKERS", "server.workers", _ONE_WORKER, "1",
            "Processes; more than one comes with a later version."),
    Setting("environment", "NODE_ENV", "server.environment", _ENVIRONMENT, "production",
            "Accepted from older env files."),
    Setting("log_level", "LOG_LEVEL", "server.log_level", _LEVEL, "info",
            "The least severe messages that are logged."),
    Setting("durability", "DURABILITY", "server.durability", _DURABILITY, "journal",
            "What a row survives. journal: the end of the process; fsync: also a power cut, at a cost per request."),
    Setting("max_body_bytes", "MAX_BODY_BYTES", "server.max_body_bytes", _BODY, "20971520",
            "The largest request body, in bytes."),
    Setting("drain_seconds", "DRAIN_SECONDS", "server.drain_seconds", seconds(0, 3600), "30",
            "How long running requests may take to end when the gateway stops."),
    Setting("trusted_proxies", "TRUSTED_PROXIES", "server.trusted_proxies", ADDRESSES, "",
            "Addresses of the proxies whose x-forwarded-for is believed."),
    Setting("admin_token", "ADMIN_TOKEN", "server.admin_token", ADMIN_TOKEN, "",
            "Guards /admin; at least 16 characters. Without it the first start makes one."),
    Setting("default_model", "DEFAULT_MODEL", "agent.model", TEXT, "",
            'The model that answers "auto".'),

    Setting("openai_api_key", "OPENAI_API_KEY", "providers.openai.api_key", SECRET, "",
            "Configures OpenAI."),
    Setting("openai_base_url", "OPENAI_BASE_URL", "providers.openai.base_url", BASE_URL, "",
            "Another address than OpenAI's own, with or without /v1."),
    Setting("anthropic_api_key", "ANTHROPIC_API_KEY", "providers.anthropic.api_key", SECRET, "",
            "Configures Anthropic."),
    Setting("anthropic_oauth_token", "ANTHROPIC_OAUTH_TOKEN", "", SECRET, "",
            "Configures Anthropic where the TOML file has no provider; goes before ANTHROPIC_API_KEY."),
    Setting("anthropic_base_url", "ANTHROPIC_BASE_URL", "providers.anthropic.base_url", BASE_URL, "",
            "Another address than Anthropic's own, with or without /v1."),

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
