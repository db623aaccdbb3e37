"""config/toml_file.py and config/slots.py: providers of the TOML layout of 004 and of the environment, as slots."""

from pathlib import Path

import pytest

from dominion.config import Settings, load, local_model_slot, slots
from dominion.domain.errors import ConfigProblem
from dominion.domain.providers import Origin, Slot
from dominion.domain.usage import Price
from dominion.providers.catalog import Catalogue

CATALOGUE = Catalogue.load()
ANTHROPIC = '[providers.anthropic]\napi_key = "sk-ant-api03-x"\n'
OPENAI = '[providers.openai]\napi_key = "sk-x"\n'


def settings(folder: Path, toml: str = "", environ: dict[str, str] | None = None) -> Settings:
    if toml:
        (folder / "dominion.toml").write_text(toml)
    return load(environ or {}, folder=folder)


def scan(folder: Path, toml: str = "", environ: dict[str, str] | None = None) -> tuple[list[Slot], list[str]]:
    return slots(settings(folder, toml, environ), CATALOGUE)


def problems(folder: Path, toml: str) -> list[str]:
    with pytest.raises(ConfigProblem) as caught:
        settings(folder, toml)
    return caught.value.message.replace(f"{folder}/dominion.toml: ", "").splitlines()


def ids(found: list[Slot]) -> list[str]:
    return [slot.row.id for slot in found]


def test_without_any_key_only_the_stub_is_there(tmp_path: Path) -> None:
    found, warnings = scan(tmp_path)
    assert ids(found) == ["stub"]
    assert found[0].target.origin == Origin("stub", "stub", 0)
    assert not warnings


@pytest.mark.promise("004-061", "004-062", "004-064", "004-066", "004-089", "004-090", "004-091", "004-098", "004-023")
def test_slots_follow_the_scan_order_whatever_the_order_of_the_file(tmp_path: Path) -> None:
    found, warnings = scan(
        tmp_path,
        f"""
[agent]
model = "claude-sonnet-4-6"

[[providers.openai_compat]]
id      = "groq"
api_key = "gsk_x"
{OPENAI}
{ANTHROPIC}
[[providers.openai_compat]]
id      = "deepseek"
api_key = "sk-y"
""",
    )
    assert ids(found) == ["anthropic", "openai", "groq", "deepseek", "stub"]
    assert not warnings
    groq = found[2].target
    assert groq.origin == Origin("https", "api.groq.com", 443)
    assert groq.head.startswith(b"POST /openai/v1/chat/completions HTTP/1.1\r\nhost: api.groq.com\r\n")
    assert b"\r\nauthorization: Bearer gsk_x\r\n" in groq.head


@pytest.mark.promise("001-024", "001-025", "002-063", "002-064", "004-100")
def test_keys_of_the_environment_configure_both_providers_beside_a_toml_file(tmp_path: Path) -> None:
    groq = '[[providers.openai_compat]]\nid = "groq"\napi_key = "gsk_x"\n'
    environ = {"OPENAI_API_KEY": "sk-env", "ANTHROPIC_API_KEY": "sk-ant-env"}
    found, warnings = scan(tmp_path, groq, environ)
    assert ids(found) == ["anthropic", "openai", "groq", "stub"]
    assert b"\r\nx-api-key: sk-ant-env\r\n" in found[0].target.head
    assert found[0].target.head.startswith(b"POST /v1/messages HTTP/1.1\r\nhost: api.anthropic.com\r\n")
    assert b"anthropic-version" not in found[0].target.head
    assert b"\r\nauthorization: Bearer sk-env\r\n" in found[1].target.head
    assert not warnings


@pytest.mark.promise("004-063", "004-101")
def test_an_oauth_token_is_known_by_its_prefix_and_shown_as_bearer_with_a_warning(tmp_path: Path) -> None:
    found, warnings = scan(tmp_path, '[providers.anthropic]\napi_key = "sk-ant-oat01-x"\noauth = true\n')
    assert b"\r\nauthorization: Bearer sk-ant-oat01-x\r\nanthropic-beta: oauth-2025-04-20\r\n" in found[0].target.head
    assert b"x-api-key" not in found[0].target.head
    assert "OAuth token" in warnings[0]


def test_an_oauth_token_is_not_used_unless_the_operator_says_so(tmp_path: Path) -> None:
    found, warnings = scan(tmp_path, f'{OPENAI}[providers.anthropic]\napi_key = "sk-ant-oat01-x"\n')
    assert ids(found) == ["openai", "stub"]
    assert warnings == [
        "Anthropic is skipped: its key is an OAuth token, which is used only with oauth = true (ANTHROPIC_OAUTH)."
    ]
    (tmp_path / "dominion.toml").unlink()
    environ = {"ANTHROPIC_OAUTH_TOKEN": "sk-ant-oat01-x", "ANTHROPIC_API_KEY": "sk-ant-y"}
    found, warnings = scan(tmp_path, "", environ)
    assert b"x-api-key: sk-ant-y" in found[0].target.head
    assert warnings == ["ANTHROPIC_OAUTH_TOKEN is not used: ANTHROPIC_OAUTH is not true."]


@pytest.mark.promise("004-097")
def test_the_oauth_token_of_the_environment_goes_first_but_only_without_toml_providers(tmp_path: Path) -> None:
    environ = {"ANTHROPIC_OAUTH_TOKEN": "sk-ant-oat01-x", "ANTHROPIC_API_KEY": "sk-ant-y", "OPENAI_API_KEY": "sk-z"}
    environ["ANTHROPIC_OAUTH"] = "true"
    found, _ = scan(tmp_path, "", environ)
    assert ids(found) == ["anthropic", "openai", "stub"]
    assert b"Bearer sk-ant-oat01-x" in found[0].target.head
    found, warnings = scan(tmp_path, OPENAI, environ)
    assert b"x-api-key: sk-ant-y" in found[0].target.head
    assert "not used" in warnings[0]


@pytest.mark.promise("004-057", "004-058", "004-059", "004-060", "004-107", "003-002")
def test_any_compatible_endpoint_is_configured_by_its_address(tmp_path: Path) -> None:
    found, warnings = scan(
        tmp_path,
        """
[[providers.openai_compat]]
id        = "my-custom-api"
api_key   = "sk-x"
base_url  = "https://my-company-llm.example/v1"
model     = "my-model"
models    = ["my-model", "other/model"]
name      = "Ours"
prices    = { "my-model" = { input = 0.1, output = "0.25", cache_write = 1 } }

[[providers.openai_compat]]
id        = "plain"
base_url  = "http://10.1.2.3:8000"
chat_path = "/chat"
""",
    )
    ours, plain, _ = found
    assert (ours.row.name, ours.models, ours.default_model) == ("Ours", ("my-model", "other/model"), "my-model")
    assert ours.target.head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\nhost: my-company-llm.example\r\n")
    assert plain.target.head.startswith(b"POST /chat HTTP/1.1\r\nhost: 10.1.2.3:8000\r\n")
    assert b"authorization" not in plain.target.head
    assert warnings == ["plain: prompts and keys travel unencrypted to 10.1.2.3."]


def test_prices_of_a_provider_table_and_of_the_prices_table_are_exact(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        """
[[providers.openai_compat]]
id = "mine"
base_url = "http://localhost:1"
prices = { "M" = { input = 0.1, output = "0.25", cache_write = 1 } }
[prices."OpenAI/gpt-4o"]
input = "2.5"
output = 10
cache_read = 1.25
""",
    ).prices
    assert found == {
        "mine/m": Price(input=100_000, output=250_000, cache_write=1_000_000, cache_write_1h=1_000_000),
        "openai/gpt-4o": Price(input=2_500_000, output=10_000_000, cache_read=1_250_000),
    }


@pytest.mark.promise("003-080")
def test_the_operator_can_lead_both_providers_elsewhere(tmp_path: Path) -> None:
    environ = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}
    found, warnings = scan(tmp_path, '[providers.anthropic]\nbase_url = "http://localhost:8/proxy/"\n', environ)
    assert found[0].target.origin == Origin("http", "localhost", 8)
    assert found[0].target.head.startswith(b"POST /proxy/v1/messages HTTP/1.1\r\n")
    assert found[1].target.origin == Origin("http", "127.0.0.1", 9)
    assert found[1].target.head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert not warnings


def test_a_known_provider_takes_its_key_from_its_own_environment_name(tmp_path: Path) -> None:
    toml = '[[providers.openai_compat]]\nid = "gemini"\n[[providers.openai_compat]]\nid = "xai"\n'
    found, warnings = scan(tmp_path, toml, {"GOOGLE_API_KEY": "AIza-x"})
    assert ids(found) == ["gemini", "stub"]
    assert b"Bearer AIza-x" in found[0].target.head
    assert warnings == ["xAI (Grok) is skipped: it has no api_key, and XAI_API_KEY is not set."]


@pytest.mark.promise("004-099")
def test_a_provider_that_cannot_be_used_is_skipped_with_a_warning_and_the_others_serve(tmp_path: Path) -> None:
    found, warnings = scan(
        tmp_path,
        f"""
{OPENAI}
[providers.anthropic]
[providers.copilot]
token_path = "/Users/you/.skynet/copilot_token.txt"
[providers.ollama]
base_url = "http://localhost:11434"
""",
    )
    assert ids(found) == ["openai", "ollama", "stub"]
    missing, unsigned = warnings
    assert missing == "Anthropic is skipped: it has no api_key, and ANTHROPIC_API_KEY is not set."
    assert unsigned.startswith("GitHub Copilot is skipped: there is no file /Users/you/.skynet/copilot_token.txt; run")


@pytest.mark.promise("004-106")
def test_local_providers_need_no_key(tmp_path: Path) -> None:
    found, warnings = scan(tmp_path, '[[providers.openai_compat]]\nid = "lmstudio"\n')
    assert found[0].target.origin == Origin("http", "localhost", 1234)
    assert b"authorization" not in found[0].target.head
    assert not warnings


def test_the_local_model_is_reached_on_its_loopback_port_without_a_key() -> None:
    slot = local_model_slot(CATALOGUE, 8123)
    assert slot.target.origin == Origin("http", "127.0.0.1", 8123)
    assert slot.target.head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:8123\r\n")
    assert b"authorization" not in slot.target.head
    assert (slot.row.id, slot.default_model) == ("llamacpp", "local-model")


def test_no_slot_shows_its_key(tmp_path: Path) -> None:
    found, _ = scan(tmp_path, ANTHROPIC)
    assert "sk-ant-api03-x" not in repr(found)


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ("[providers.opena]", "providers.opena: unknown key; did you mean providers.openai?"),
        (
            "[providers.groq]",
            'providers.groq: unknown key; write [[providers.openai_compat]] with id = "groq"',
        ),
        ("[providers.openai]\nkey = 'x'", "providers.openai.key: unknown key; did you mean"),
        ("[providers]\nopenai = 'x'", "providers.openai: is not a table; write [providers.openai]"),
        ("providers = 3", "providers: is not a table; write [providers]"),
        ("[agent]\nmodle = 'x'", "agent.modle: unknown key; did you mean agent.model?"),
        ("[providers]\nopenai_compat = 'x'", "providers.openai_compat[0]: is not a table"),
        (
            "[[providers.openai_compat]]\nid = 'x'\nbase_ur = 'https://x'",
            "providers.openai_compat[0].base_ur: unknown key; did you mean providers.openai_compat[0].base_url?",
        ),
        (
            "[[providers.openai_compat]]\nid = 'grok'",
            'providers.openai_compat[0].base_url: is missing; "grok" has no built-in address; did you mean groq?',
        ),
        ("[[providers.openai_compat]]\nid = 'lepton'", "providers.openai_compat[0].base_url: is missing"),
        ("[[providers.openai_compat]]\nbase_url = 'https://x'", "providers.openai_compat[0].id: must be"),
        ("[[providers.openai_compat]]\nid = 'a/b'\nbase_url = 'https://x'", "providers.openai_compat[0].id: must be"),
        ("[[providers.openai_compat]]\nid = 'OpenAI'", 'providers.openai_compat[0].id: "openai" is taken'),
        ("[[providers.openai_compat]]\nid = 'auto'", 'providers.openai_compat[0].id: "auto" is taken'),
        (
            "[[providers.openai_compat]]\nid = 'groq'\n[[providers.openai_compat]]\nid = 'groq'",
            'providers.openai_compat[1].id: "groq" is there twice',
        ),
        (
            "[[providers.openai_compat]]\nid = 'x'\nbase_url = 'https://u:p@x'",
            "providers.openai_compat[0].base_url: the base URL must not hold a user name or password",
        ),
        (
            "[[providers.openai_compat]]\nid = 'groq'\nchat_path = 'chat'",
            "providers.openai_compat[0].chat_path: the chat path must begin with /",
        ),
        ("[[providers.openai_compat]]\nid = 'groq'\nprices = 3", "providers.openai_compat[0].prices: is not a table"),
        (
            "[[providers.openai_compat]]\nid = 'groq'\nprices = { m = { input = 'free', output = 1 } }",
            "providers.openai_compat[0].prices.\"m\".input: 'free' is not an amount of US dollars",
        ),
        ('[prices."openai/x"]\ninput = 1', 'prices."openai/x".output: is missing'),
        ('[prices."x"]\ninput = 1\noutput = 1', 'prices."x": is not a price; write [prices."provider/model"]'),
        (
            '[prices."openai/x"]\ninput = 1\noutput = 0.0000001',
            'prices."openai/x".output: 1E-7 US dollars per million tokens has more than six decimals',
        ),
        (
            '[prices."openai/x"]\ninput = 1\noutput = 1\ncached = 1',
            'prices."openai/x".cached: unknown key; did you mean prices."openai/x".cache_read?',
        ),
        ('[prices."openai/x"]\ninput = -1\noutput = nan', 'prices."openai/x".input: -1 is not between 0'),
    ],
)
def test_a_wrong_provider_or_price_table_stops_the_start(tmp_path: Path, toml: str, line: str) -> None:
    assert any(each.startswith(line) for each in problems(tmp_path, toml)), problems(tmp_path, toml)


def test_a_bad_key_in_a_table_is_reported_without_being_repeated(tmp_path: Path) -> None:
    (line,) = problems(tmp_path, '[[providers.openai_compat]]\nid = "groq"\napi_key = "SECRET with spaces"')
    assert line.startswith("providers.openai_compat[0].api_key: holds a space")
    assert "SECRET" not in line


def test_a_bad_key_in_the_environment_skips_the_provider_without_being_repeated(tmp_path: Path) -> None:
    found, warnings = scan(tmp_path, '[[providers.openai_compat]]\nid = "groq"', {"GROQ_API_KEY": "SECRET\r\nx: y"})
    assert ids(found) == ["stub"]
    assert warnings == ["Groq is skipped: the key holds a space, a control character or a character outside ASCII."]


@pytest.mark.promise("003-077", "003-087")
@pytest.mark.parametrize(("provider", "name"), [("openai", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY")])
def test_a_provider_that_needs_a_key_and_has_none_is_skipped_and_says_where_it_would_be(
    tmp_path: Path, provider: str, name: str
) -> None:
    found, warnings = scan(tmp_path, f"[providers.{provider}]\n")
    assert ids(found) == ["stub"]
    assert [warning for warning in warnings if f"it has no api_key, and {name} is not set" in warning]


@pytest.mark.promise("003-078")
def test_an_organization_of_openai_is_named_with_each_request(tmp_path: Path) -> None:
    (slot, _), _ = scan(tmp_path, OPENAI + 'organization_id = "org-a"\n')
    targets = [slot.target, *(target for _, target in slot.also)]
    assert len(targets) > 1
    assert all(target.head.endswith(b"Bearer sk-x\r\nopenai-organization: org-a\r\n") for target in targets)
    (slot, _), _ = scan(tmp_path, OPENAI, {"OPENAI_ORGANIZATION_ID": "org-b"})
    assert b"\r\nopenai-organization: org-b\r\n" in slot.target.head
    (slot, _), _ = scan(tmp_path, OPENAI)
    assert b"organization" not in slot.target.head
    found, warnings = scan(tmp_path, OPENAI + 'organization_id = "a b"\n')
    assert ids(found) == ["stub"]
    assert "openai-organization holds a space" in warnings[0]
