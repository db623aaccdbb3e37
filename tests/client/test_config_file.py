"""pm.config.yaml: what it may say, where it is found, and how its mistakes are told."""

import os
from pathlib import Path

import pytest

from dominion.client.config_file import load_config, read_config
from dominion.domain.errors import ConfigProblem
from tests.client.conftest import Around


def write(folder: Path, text: str) -> Path:
    file = folder / "pm.config.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.promise("000-024", "000-025")
def test_the_gateway_of_the_specification_is_read(tmp_path: Path) -> None:
    file = write(tmp_path, 'gateway:\n  url: "https://web-production-2fb66.up.railway.app"\n  # Token via env var\n')
    config = read_config(file)
    assert (config.gateway.url, config.gateway.token) == ("https://web-production-2fb66.up.railway.app", None)


@pytest.mark.promise("000-027", "000-030", "000-034")
@pytest.mark.parametrize(
    ("name", "model"), [("openai", "gpt-4-turbo-preview"), ("anthropic", "claude-3-5-sonnet-20241022")]
)
def test_the_direct_providers_of_the_specification_are_read(tmp_path: Path, name: str, model: str) -> None:
    file = write(tmp_path, f'provider:\n  default: "{name}"\n  {name}:\n    model: "{model}"\n    temperature: 0.2\n')
    provider = read_config(file).provider
    section = getattr(provider, name)
    assert (provider.default, section.model, section.temperature) == (name, model, 0.2)


def test_the_nearest_file_upwards_counts_and_the_users_own_comes_last(around: Around, tmp_path: Path) -> None:
    surroundings = around()
    assert load_config(surroundings).file is None
    own = surroundings.config_folder
    own.mkdir(parents=True)
    write(own, "provider: {default: stub}")
    assert load_config(surroundings).file == own / "pm.config.yaml"
    above = write(tmp_path, "provider: {default: openai}")
    assert load_config(surroundings).file == above
    nearest = write(surroundings.folder, "provider: {default: anthropic}")
    assert load_config(surroundings).file == nearest


def test_the_users_own_folder_follows_xdg(around: Around, tmp_path: Path) -> None:
    assert around(XDG_CONFIG_HOME=str(tmp_path / "xdg")).config_folder == tmp_path / "xdg" / "dominion"
    assert around().config_folder == tmp_path / "home" / ".config" / "dominion"


@pytest.mark.parametrize(
    ("text", "complaints"),
    [
        ("gatewy:\n  url: x\n", [":1: unknown key gatewy; did you mean gateway?"]),
        ("gateway:\n  ulr: x\n  tokn: y\n", [":2: unknown key gateway.ulr; did", ":3: unknown key gateway.tokn; did"]),
        ("provider:\n  openai:\n    temprature: 1\n", [":3: unknown key provider.openai.temprature; did you mean"]),
        ("provider:\n  default: stub\n  default: openai\n", [":3: provider.default occurs twice, first on line 2."]),
        ("gateway:\n  url: 5\n", [":2: gateway.url: Expected"]),
        ("provider:\n  openai:\n    temperature: warm\n", [":3: provider.openai.temperature: Expected"]),
        ("gateway: https://x\n", [":1: gateway: Expected"]),
        ("- a\n", [":1: the file: Expected"]),
        ("gateway:\n  url: [\n", [":3: "]),
        ("a: !!python/object:os.system {}\n", [":1: "]),
    ],
)
def test_a_mistake_is_told_with_file_line_and_nearest_key(tmp_path: Path, text: str, complaints: list[str]) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigProblem) as caught:
        read_config(file)
    for complaint in complaints:
        assert f"{file}{complaint}" in caught.value.message


@pytest.mark.parametrize("text", ["", "# nothing\n", "gateway:\nprovider:\n  stub:\n"])
def test_an_empty_file_or_section_says_nothing(tmp_path: Path, text: str) -> None:
    config = read_config(write(tmp_path, text))
    assert (config.gateway.url, config.provider.default) == (None, None)


def test_what_is_not_text_is_told(tmp_path: Path) -> None:
    file = tmp_path / "pm.config.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigProblem, match="not UTF-8"):
        read_config(file)


def test_another_users_file_in_a_shared_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, "gateway: {url: 'https://elsewhere.example'}")
    if os.getuid() == 0:
        os.chown(file, 12345, -1)
    stranger = file.stat().st_uid + 1
    monkeypatch.setattr(os, "getuid", lambda: stranger)
    with pytest.raises(ConfigProblem, match="another user"):
        read_config(file)
