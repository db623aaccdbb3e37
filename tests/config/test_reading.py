"""config/reading.py and its table: which source wins, the names and defaults, and that typos stop the start."""

from pathlib import Path
from typing import Any

import pytest

from dominion.config import SETTINGS, Secret, Settings, documentation, load
from dominion.domain.errors import ConfigProblem

TOKEN = "a-long-admin-token-1"


def write(folder: Path, *, toml: str = "", dotenv: str = "") -> Path:
    if toml:
        (folder / "dominion.toml").write_text(toml)
    if dotenv:
        (folder / ".env").write_text(dotenv)
    return folder


def problems(folder: Path, environ: dict[str, str] | None = None, options: dict[str, Any] | None = None) -> list[str]:
    with pytest.raises(ConfigProblem) as caught:
        load(environ or {}, options, folder)
    return caught.value.message.replace(f"{folder}/", "").splitlines()


@pytest.mark.promise("000-048", "000-049", "000-050", "000-051", "000-069")
def test_without_any_source_the_documented_defaults_hold(tmp_path: Path) -> None:
    settings = load({}, folder=tmp_path)
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 3100, 1)
    assert (settings.rate_limit_max, settings.rate_limit_window_ms, settings.rate_limit_ip_max) == (60, 60_000, 60)
    assert (settings.default_daily_requests, settings.default_daily_tokens) == (1000, 100_000)
    assert settings.default_monthly_spend_cap_usd == 50_000_000_000
    assert (settings.default_concurrent_requests, settings.default_requests_per_minute) == (5, 60)
    assert (settings.data_dir, settings.sqlite_path) == (Path("data"), Path("data/gateway.db"))
    assert (settings.config, settings.admin_token, settings.openai_api_key) == (None, None, None)
    assert (settings.connect_seconds, settings.first_byte_seconds) == (10, 120)
    assert (settings.idle_seconds, settings.total_seconds) == (120, 900)
    assert (settings.default_max_output, settings.unpriced, settings.bytes_per_token) == (8192, "refuse", 1)


@pytest.mark.promise(
    "001-019", "001-020", "001-021", "001-023", "001-024", "001-025", "001-026", "001-027", "001-028", "001-029",
    "001-030", "001-031", "000-064", "000-065", "000-066",
)  # fmt: skip
def test_every_name_of_the_documented_env_file_is_read(tmp_path: Path) -> None:
    write(
        tmp_path,
        dotenv=f"""
        # Server
        PORT=3200
        HOST=0.0.0.0
        NODE_ENV=development
        SQLITE_PATH=./data/other.db  # For SQLite
        OPENAI_API_KEY=sk-1234
        ANTHROPIC_API_KEY=sk-ant-1234
        ADMIN_TOKEN={TOKEN}
        RATE_LIMIT_MAX=7
        RATE_LIMIT_WINDOW_MS=30000
        DEFAULT_DAILY_REQUESTS=10
        DEFAULT_DAILY_TOKENS=20
        DEFAULT_MONTHLY_SPEND_CAP_USD=0.50
        """,
    )
    settings = load({}, folder=tmp_path)
    assert (settings.port, settings.host, settings.environment) == (3200, "0.0.0.0", "development")  # noqa: S104
    assert settings.sqlite_path == Path("data/other.db")
    assert settings.openai_api_key == Secret("sk-1234")
    assert settings.anthropic_api_key == Secret("sk-ant-1234")
    assert settings.admin_token == Secret(TOKEN)
    assert (settings.rate_limit_max, settings.rate_limit_window_ms) == (7, 30_000)
    assert (settings.default_daily_requests, settings.default_daily_tokens) == (10, 20)
    assert settings.default_monthly_spend_cap_usd == 500_000_000


def test_each_source_stands_above_the_one_before_it(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    options: dict[str, Any] = {}
    assert load(environ, options, tmp_path).port == 3100
    write(tmp_path, toml="[server]\nport = 1")
    assert load(environ, options, tmp_path).port == 1
    write(tmp_path, dotenv="PORT=2")
    assert load(environ, options, tmp_path).port == 2
    environ["PORT"] = "3"
    assert load(environ, options, tmp_path).port == 3
    options["port"] = 4
    assert load(environ, options, tmp_path).port == 4


def test_an_empty_value_counts_as_not_set_and_the_weaker_source_is_read(tmp_path: Path) -> None:
    write(tmp_path, toml="[server]\nport = 1", dotenv="PORT=\nADMIN_TOKEN=\n")
    settings = load({"PORT": " ", "OPENAI_API_KEY": ""}, {"port": None}, tmp_path)
    assert (settings.port, settings.admin_token, settings.openai_api_key) == (1, None, None)


def test_limits_that_follow_another_one_follow_it_until_they_are_set(tmp_path: Path) -> None:
    settings = load({"RATE_LIMIT_MAX": "9", "RATE_LIMIT_IP_MAX": "90"}, folder=tmp_path)
    assert (settings.rate_limit_ip_max, settings.default_requests_per_minute) == (90, 9)
    lifted = load({"RATE_LIMIT_MAX": "0"}, folder=tmp_path)
    assert (lifted.rate_limit_max, lifted.rate_limit_ip_max, lifted.default_requests_per_minute) == (None, None, None)


@pytest.mark.parametrize("word", ["0", "none", "Unlimited"])
def test_zero_none_or_unlimited_lifts_a_limit(tmp_path: Path, word: str) -> None:
    settings = load({"DEFAULT_DAILY_TOKENS": word, "DEFAULT_MONTHLY_SPEND_CAP_USD": word}, folder=tmp_path)
    assert (settings.default_daily_tokens, settings.default_monthly_spend_cap_usd) == (None, None)


def test_another_file_can_be_named_in_every_way_and_must_exist(tmp_path: Path) -> None:
    other = tmp_path / "any.toml"
    other.write_text("[server]\nport = 5")
    assert load({}, {"config": str(other)}, tmp_path).port == 5
    assert load({"DOMINION_CONFIG": str(other)}, folder=tmp_path).config == other
    write(tmp_path, dotenv=f"DOMINION_CONFIG={other}")
    assert load({}, folder=tmp_path).port == 5
    assert problems(tmp_path, {"DOMINION_CONFIG": f"{tmp_path}/no.toml"})[0].startswith("no.toml: cannot be read:")


def test_all_problems_are_reported_at_once_with_place_reason_and_nearest_name(tmp_path: Path) -> None:
    write(
        tmp_path,
        toml="""
port = 3100
[server]
prot = 3100
[limits]
daily_requests = "many"
[servre]
""",
        dotenv="RATE_LIMT_MAX=5\nthis is no line\n",
    )
    assert problems(tmp_path, {"DOMINION_DATADIR": "x", "WORKERS": "400"}, {"port": 99_999}) == [
        ".env: line 2 is not KEY=VALUE",
        "environment: DOMINION_DATADIR: unknown name; did you mean DOMINION_DATA_DIR?",
        ".env: RATE_LIMT_MAX: unknown name; did you mean RATE_LIMIT_MAX?",
        "dominion.toml: port: unknown key; did you mean server.port?",
        "dominion.toml: server.prot: unknown key; did you mean server.port?",
        "dominion.toml: servre: unknown key; did you mean server?",
        "option --port: 99999 is not between 0 and 65535",
        "environment: WORKERS: 400 is not between 1 and 64",
        "dominion.toml: limits.daily_requests: 'many' is not a whole number",
    ]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PORT", "abc", "not a whole number"),
        ("PORT", "3100.5", "not a whole number"),
        ("PORT", "-1", "not a whole number"),
        ("PORT", "٣", "not a whole number"),
        ("RATE_LIMIT_WINDOW_MS", "10", "not between 1000 and 86400000"),
        ("DEFAULT_MONTHLY_SPEND_CAP_USD", "-5", "not an amount of US dollars"),
        ("DEFAULT_MONTHLY_SPEND_CAP_USD", "nan", "not an amount of US dollars"),
        ("DEFAULT_DAILY_TOKENS", "9" * 30, "not a whole number"),
        ("UNPRICED", "maybe", "none of refuse, allow"),
        ("LOG_LEVEL", "loud", "none of debug"),
        ("DRAIN_SECONDS", "soon", "not a number of seconds"),
        ("DRAIN_SECONDS", "inf", "not between 0 and 3600 seconds"),
        ("TRUSTED_PROXIES", "10.0.0.1, example.com", "'example.com' is not an IP address"),
        ("OPENAI_BASE_URL", "api.example.com", "http:// or https://"),
        ("HOST", "a\nb", "not plain text"),
        ("DATABASE_URL", "mysql://u:p@h/d", "does not begin with postgresql://"),
        ("REDIS_URL", "memcached://h", "does not begin with redis://"),
        ("JOURNAL_LIMIT_MB", "0", "not between 1 and 65536"),
    ],
)
def test_a_wrong_value_is_reported_with_its_name(tmp_path: Path, name: str, value: str, says: str) -> None:
    (line,) = problems(tmp_path, {name: value})
    assert line.startswith(f"environment: {name}: ")
    assert says in line


@pytest.mark.parametrize("sample", ["your-secure-admin-token-here", "your-admin-token", "Your-Admin-Token", "short"])
def test_a_sample_or_short_admin_token_stops_the_start(tmp_path: Path, sample: str) -> None:
    (line,) = problems(tmp_path, {"ADMIN_TOKEN": sample})
    assert "sample value" in line or "shorter than 16" in line


@pytest.mark.parametrize("name", ["ADMIN_TOKEN", "OPENAI_API_KEY", "HTTPS_PROXY"])
def test_a_problem_with_a_secret_never_repeats_it(tmp_path: Path, name: str) -> None:
    (line,) = problems(tmp_path, {name: "very secret\tvalue-of-mine"})
    assert "value-of-mine" not in line


@pytest.mark.parametrize("name", ["DOMINION_API_URL", "DOMINION_API_TOKEN", "DOMINION_TEST_SEED", "PATH", "DOMINIO"])
def test_names_of_the_client_of_tests_and_of_others_are_left_alone(tmp_path: Path, name: str) -> None:
    write(tmp_path, dotenv=f"{name}=x\nCOMPOSE_PROJECT_NAME=x\nSOME_API_KEY=x\n")
    assert load({name: "x"}, folder=tmp_path).port == 3100


def test_a_file_that_is_no_toml_is_named_with_the_line(tmp_path: Path) -> None:
    write(tmp_path, toml="[server]\nport = = 3")
    (line,) = problems(tmp_path)
    assert line.startswith("dominion.toml: is not TOML:")
    assert "line 2" in line


def test_secrets_show_themselves_nowhere(tmp_path: Path) -> None:
    write(tmp_path, toml='[[providers.openai_compat]]\nid = "groq"\napi_key = "gsk-hidden"')
    environ = {
        "ADMIN_TOKEN": "hidden-admin-token-1",
        "OPENAI_API_KEY": "sk-hidden",
        "XAI_API_KEY": "xai-hidden",
        "HTTPS_PROXY": "http://u:hidden@proxy",
    }
    settings = load(environ, folder=tmp_path)
    assert settings.openai_api_key is not None
    assert settings.openai_api_key.reveal() == "sk-hidden"
    assert "hidden" not in repr(settings)
    assert "hidden" not in f"{settings.openai_api_key} {settings.openai_api_key!r}"


def test_the_table_and_the_settings_name_the_same_fields() -> None:
    beside = {"openai_compat", "provider_tables", "provider_keys", "aws", "prices"}
    assert {each.field for each in SETTINGS} | beside == set(Settings.__struct_fields__)


def test_no_environment_name_path_or_option_stands_twice() -> None:
    for names in (
        [name for each in SETTINGS for name in {each.env, each.also} if name],
        [each.toml for each in SETTINGS if each.toml],
        [each.option for each in SETTINGS],
    ):
        assert len(names) == len(set(names))


def test_every_default_but_the_lifted_ones_can_be_written_at_its_own_toml_path(tmp_path: Path) -> None:
    plain = load({}, folder=tmp_path)
    sections: dict[str, list[str]] = {}
    for each in SETTINGS:
        section, _, key = each.toml.rpartition(".")
        if section and each.default and "{" not in each.default:
            sections.setdefault(section, []).append(f'{key} = "{each.default}"')
    write(tmp_path, toml="".join(f"[{name}]\n" + "\n".join(rows) + "\n" for name, rows in sections.items()))
    again = load({}, folder=tmp_path)
    assert [getattr(again, each.field) for each in SETTINGS[1:]] == [
        getattr(plain, each.field) for each in SETTINGS[1:]
    ]


def test_the_documentation_has_a_row_for_every_setting() -> None:
    rows = documentation().splitlines()
    assert len(rows) == len(SETTINGS) + 2
    assert any("| `PORT` | `server.port` | `--port` | `3100` | whole number |" in row for row in rows)
