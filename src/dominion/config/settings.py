"""The settings as the program reads them: frozen, made once by `dominion.config.load`; `table.py` explains each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from dominion.config.secret import Secret
from dominion.domain.usage import Price
from dominion.rules.routing.ordering import Ordering


class CompatibleProvider(msgspec.Struct, frozen=True, kw_only=True):
    """One [[providers.openai_compat]] table as the operator wrote it, `wire` to `responses_path` as in `ProviderRow`.

    `models` are names it serves.
    """

    id: str
    name: str = ""
    api_key: Secret | None = None
    base_url: str = ""
    chat_path: str = ""
    stream_path: str = ""
    responses_path: str = ""
    wire: str = ""
    credentials: str = ""
    model: str = ""
    models: tuple[str, ...] = ()


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings. Limits that are None are lifted; money is in nano-dollars. The rows of SETTINGS say the rest.

    `prices` maps "provider/model" in lower case to the operator's prices. `provider_keys` holds every *_API_KEY of the
    environment, `aws` every AWS_*. `provider_tables` names the tables under [providers].
    """

    config: Path | None
    data_dir: Path
    sqlite_path: Path
    database_url: Secret | None
    lease_grace_seconds: float
    redis_url: Secret | None
    host: str
    port: int
    workers: int
    environment: str
    log_level: str
    durability: str
    journal_limit_mb: int
    max_body_bytes: int
    drain_seconds: float
    drain_notice_seconds: float
    trusted_proxies: tuple[str, ...]
    admin_token: Secret | None
    sealing_key_source: str
    sealing_key: Secret | None
    vault_addr: str
    vault_token: Secret | None
    vault_path: str
    default_model: str
    openai_api_key: Secret | None
    openai_base_url: str
    openai_organization_id: str
    openai_responses_path: str
    anthropic_api_key: Secret | None
    anthropic_oauth_token: Secret | None
    anthropic_oauth: bool
    anthropic_base_url: str
    copilot_token_path: Path
    copilot_client_id: str
    copilot_headers: Mapping[str, str]
    copilot_base_url: str
    copilot_sign_in_url: str
    copilot_api_url: str
    qwen_credentials_path: Path
    qwen_sign_in_url: str
    bedrock_region: str
    bedrock_profile: str
    bedrock_api_key: Secret | None
    bedrock_base_url: str
    vertex_key_file: Path | None
    vertex_project: str
    vertex_location: str
    vertex_base_url: str
    gemini_api_key: Secret | None
    gemini_base_url: str
    azure_openai_endpoint: str
    azure_openai_api_key: Secret | None
    azure_openai_deployment: tuple[str, ...]
    azure_openai_api_version: str
    ollama_base_url: str
    ollama_api_key: Secret | None
    ollama_models: tuple[str, ...]
    rate_limit_max: int | None
    rate_limit_window_ms: int
    rate_limit_ip_max: int | None
    default_daily_requests: int | None
    default_daily_tokens: int | None
    default_monthly_spend_cap_usd: int | None
    default_concurrent_requests: int | None
    default_requests_per_minute: int | None
    default_max_output: int
    unpriced: str
    bytes_per_token: int
    connect_seconds: float
    first_byte_seconds: float
    idle_seconds: float
    total_seconds: float
    http_proxy: Secret | None
    https_proxy: Secret | None
    no_proxy: tuple[str, ...]
    retry_count: int
    deadline_seconds: float
    longest_wait_seconds: float
    wait_before_next_seconds: float
    ordering: Ordering
    weights: Mapping[str, float]
    breaker_share: float
    breaker_minimum: int
    breaker_window_seconds: float
    breaker_pause_seconds: float
    breaker_longest_pause_seconds: float
    fallback_enabled: bool
    fallback_order: tuple[str, ...]
    fallback_larger: Mapping[str, str]
    byok_fallback: bool
    own_keys_dir: Path | None
    always_ask: bool
    aliases: Mapping[str, tuple[str, ...]]
    egress_allow: tuple[str, ...]
    audit_anchor_seconds: float
    alert_thresholds: tuple[int, ...]
    alert_webhook_url: Secret | None
    alert_webhook_secret: Secret | None
    alert_email_to: tuple[str, ...]
    smtp_host: str
    smtp_port: int
    smtp_security: Literal["starttls", "tls", "none"]
    smtp_user: str
    smtp_password: Secret | None
    smtp_from: str
    openai_compat: tuple[CompatibleProvider, ...]
    provider_tables: frozenset[str]
    provider_keys: Mapping[str, Secret]
    aws: Mapping[str, Secret]
    prices: Mapping[str, Price]
