"""credentials/aws_profile.py: which keys win, and that no error repeats one."""

from pathlib import PurePosixPath

import pytest

from dominion.credentials.aws_profile import (
    Profile,
    environment_keys,
    file_paths,
    profile_name,
    read_profile,
    region,
)
from dominion.credentials.sigv4 import AwsKeys

PAIR = "aws_access_key_id = AKIA{0}\naws_secret_access_key = sec=ret/{0}+\n"
CREDENTIALS = f"[default]\n{PAIR.format(1)}\n[work]\n{PAIR.format(2)}aws_session_token = tok%en\nregion = eu-west-1\n"
CONFIG = (
    f"[default]\nregion = us-west-2\ns3 =\n  max_concurrent_requests = 20\n[profile both]\n{PAIR.format(3)}"
    f"[profile role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = default\n{PAIR.format(4)}"
    f"[profile sso]\nsso_session = corp\n[profile process]\ncredential_process = /bin/keys\n"
    f"[profile keys-and-process]\ncredential_process = /bin/keys\n{PAIR.format(5)}"
)


def keys(number: int, token: str = "") -> AwsKeys:
    """The pair of this number."""
    return AwsKeys(f"AKIA{number}", f"sec=ret/{number}+", token)


def test_the_environment_gives_keys_and_a_session_token() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "sec=ret/1+"}
    assert environment_keys({}) is None
    assert environment_keys(environ) == keys(1)
    assert environment_keys({**environ, "AWS_SESSION_TOKEN": "t"}) == keys(1, "t")
    assert environment_keys({**environ, "AWS_SECURITY_TOKEN": "old"}) == keys(1, "old")


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_a_pair_is_told_without_repeating_it(name: str) -> None:
    with pytest.raises(ValueError, match="only one of") as caught:
        environment_keys({name: "CANARY"})
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("default", Profile(keys(1), "us-west-2", "", found=True)),
        ("work", Profile(keys(2, "tok%en"), "eu-west-1", "", found=True)),
        ("both", Profile(keys(3), "", "", found=True)),
        ("role", Profile(None, "", "role_arn", found=True)),
        ("sso", Profile(None, "", "sso_session", found=True)),
        ("process", Profile(None, "", "credential_process", found=True)),
        ("keys-and-process", Profile(keys(5), "", "", found=True)),
        ("nobody", Profile()),
    ],
)
def test_a_profile_is_read_from_both_files(name: str, profile: Profile) -> None:
    assert read_profile(name, CREDENTIALS, CONFIG) == profile


def test_missing_files_are_an_empty_profile() -> None:
    assert read_profile("default", "", "") == Profile()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[default]\naws_secret_access_key CANARY\n", "line 2"),
        ("aws_secret_access_key = CANARY\n", "line 1"),
        ("[a]\n[a]\nk = CANARY", "line 2"),
        ("[a]\nk = CANARY\nk = CANARY\n", "line 3"),
    ],
)
def test_a_damaged_file_is_told_by_line_and_not_quoted(text: str, line: str) -> None:
    with pytest.raises(ValueError, match=line) as caught:
        read_profile("default", text, "")
    assert "CANARY" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_names_paths_and_regions_follow_the_operator_then_the_environment() -> None:
    environ = {"AWS_PROFILE": "work", "AWS_DEFAULT_REGION": "eu-west-2", "AWS_CONFIG_FILE": "/etc/aws"}
    assert profile_name({}) == "default"
    assert profile_name(environ) == "work"
    assert profile_name(environ, "chosen") == "chosen"
    assert file_paths(environ, PurePosixPath("/h")) == ("/h/.aws/credentials", "/etc/aws")
    profile = Profile(region="eu-west-1")
    assert region({}, Profile()) == "us-east-1"
    assert region({}, profile) == "eu-west-1"
    assert region(environ, profile) == "eu-west-2"
    assert region({**environ, "AWS_REGION": "ap-south-1"}, profile) == "ap-south-1"
    assert region(environ, profile, "us-west-1") == "us-west-1"
