"""upstream/aws_chain.py: the environment, the files, and botocore for the rest where it is installed."""

import importlib.util
import json
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from dominion.credentials.sigv4 import AwsKeys
from dominion.domain.errors import InvalidCredentials, NetworkFailure
from dominion.upstream.aws_chain import AwsChain
from tests.client.scripted import said, scripted

ENVIRON = {"AWS_ACCESS_KEY_ID": "AKIAENV", "AWS_SECRET_ACCESS_KEY": "CANARY-env"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose files botocore finds too, and nothing of the machine's own."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / ".aws" / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / ".aws" / "config"))
    (tmp_path / ".aws").mkdir()
    return tmp_path


def write(home: Path, credentials: str = "", config: str = "") -> None:
    """AWS's two files."""
    (home / ".aws" / "credentials").write_text(credentials, encoding="utf-8")
    (home / ".aws" / "config").write_text(config, encoding="utf-8")


def pair(name: str) -> str:
    """A section with a pair of keys."""
    return f"[{name}]\naws_access_key_id = AKIA{name}\naws_secret_access_key = CANARY-{name}\n"


@pytest.mark.promise("004-079", "004-080")
async def test_the_environment_comes_first_then_the_profile_and_both_are_read_anew(home: Path) -> None:
    write(home, pair("default") + pair("work"))
    assert await AwsChain(ENVIRON, home).keys() == (AwsKeys("AKIAENV", "CANARY-env"), None)
    chain = AwsChain({}, home)
    assert await chain.keys() == (AwsKeys("AKIAdefault", "CANARY-default"), None)
    assert await AwsChain({}, home, "work").keys() == (AwsKeys("AKIAwork", "CANARY-work"), None)
    assert await AwsChain({"AWS_PROFILE": "work"}, home).keys() == (AwsKeys("AKIAwork", "CANARY-work"), None)
    write(home, pair("default").replace("AKIAdefault", "AKIAnew"))
    assert (await chain.keys())[0].access_key == "AKIAnew"


async def test_the_region_of_a_profile_is_told(home: Path) -> None:
    write(home, config="[profile work]\nregion = eu-west-1\n")
    assert AwsChain({}, home, "work").region() == "eu-west-1"
    assert AwsChain({}, home, "work", "eu-west-2").region() == "eu-west-2"
    assert AwsChain({}, home).region() == "us-east-1"


async def test_damaged_files_and_half_a_pair_are_told_without_being_quoted(home: Path) -> None:
    write(home, "[default]\naws_secret_access_key CANARY\n")
    with pytest.raises(InvalidCredentials, match="line 2 of AWS's credentials file") as caught:
        await AwsChain({}, home).keys()
    assert "CANARY" not in str(caught.value)
    with pytest.raises(InvalidCredentials, match="only one of"):
        await AwsChain({"AWS_ACCESS_KEY_ID": "AKIA"}, home).keys()
    (home / ".aws" / "config").unlink()
    (home / ".aws" / "config").mkdir()
    with pytest.raises(InvalidCredentials, match="cannot be read"):
        await AwsChain({}, home).keys()


async def test_without_the_extra_what_only_it_can_follow_names_the_command_that_installs_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "botocore", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    write(home, config="[default]\nsso_session = corp\n")
    with pytest.raises(InvalidCredentials, match="the profile says sso_session") as caught:
        await AwsChain({}, home).keys()
    assert "pip install 'dominion-gateway[aws]'" in caught.value.action
    write(home)
    with pytest.raises(InvalidCredentials, match="neither environment nor files have keys"):
        await AwsChain({}, home).keys()


@pytest.fixture
def botocore() -> Any:
    """AWS's own library."""
    return pytest.importorskip("botocore", reason="botocore is not installed; it is the extra 'aws'")


@pytest.mark.usefixtures("botocore")
async def test_the_library_runs_a_credential_process(home: Path) -> None:
    program = home / "keys"
    told = {"Version": 1, "AccessKeyId": "AKIAPROC", "SecretAccessKey": "s", "SessionToken": "t"}
    program.write_text(f"#!/bin/sh\necho '{json.dumps(told)}'\n", encoding="utf-8")
    program.chmod(stat.S_IRWXU)
    write(home, config=f"[default]\ncredential_process = {program}\n")
    assert await AwsChain({}, home).keys() == (AwsKeys("AKIAPROC", "s", "t"), 600.0)
    program.write_text("#!/bin/sh\necho CANARY >&2; exit 1\n", encoding="utf-8")
    with pytest.raises(InvalidCredentials, match="CredentialRetrievalError") as caught:
        await AwsChain({}, home).keys()
    assert "CANARY" not in caught.value.message


@pytest.mark.usefixtures("botocore")
async def test_the_library_asks_the_containers_endpoint_and_keeps_what_is_still_good(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home)
    keys = {"AccessKeyId": "AKIABOX", "SecretAccessKey": "s", "Token": "t", "Expiration": "2099-01-01T00:00:00Z"}
    with scripted({"GET /keys": said(keys)}) as server:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{server.url}/keys")
        chain = AwsChain({}, home)
        assert await chain.keys() == (AwsKeys("AKIABOX", "s", "t"), 600.0)
        assert await chain.keys() == (AwsKeys("AKIABOX", "s", "t"), 600.0)
        assert len(server.asked) == 1


@pytest.mark.usefixtures("botocore")
async def test_the_library_assumes_a_role_over_the_wire_and_a_refusal_is_told(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(home, pair("default"), "[profile role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = default\n")
    refusal = (
        b"<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>CANARY</Message></Error>"
        b"</ErrorResponse>"
    )
    with scripted({}) as server:
        server.answers["POST /"] = said({})._replace(body=refusal, status=403, headers={"content-type": "text/xml"})
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        with pytest.raises(InvalidCredentials, match="it refused: AccessDenied") as caught:
            await AwsChain({}, home, "role").keys()
    assert b"Action=AssumeRole" in server.asked[0].body
    assert "CANARY" not in caught.value.message + caplog.text
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(NetworkFailure) as unreachable:
        await AwsChain({}, home, "role").keys()
    assert unreachable.value.sent is False


@pytest.mark.usefixtures("botocore")
async def test_no_keys_anywhere_and_an_unknown_profile_are_told(home: Path) -> None:
    write(home)
    with pytest.raises(InvalidCredentials, match="there are no keys"):
        await AwsChain({}, home).keys()
    with pytest.raises(InvalidCredentials, match="ProfileNotFound"):
        await AwsChain({}, home, "nobody").keys()
