"""Keys and regions in the environment and in the texts of AWS's two files. Pure: reads no file, quotes no secret."""

import configparser
from collections.abc import Mapping
from pathlib import PurePath

import msgspec

from dominion.credentials.sigv4 import AwsKeys

DEFAULT_PROFILE = "default"
DEFAULT_REGION = "us-east-1"
BEARER_NAME = "AWS_BEARER_TOKEN_BEDROCK"

# The order of AWS's own chain: these win over keys in the same profile, a credential_process does not.
_STRONGER = ("role_arn", "web_identity_token_file", "sso_session", "sso_start_url")
_WEAKER = ("credential_process", "login_session")
_TOKENS = ("aws_session_token", "aws_security_token")


class Profile(msgspec.Struct, frozen=True):
    """One profile of both files. `needs` names the setting that only AWS's own library can follow, such as a role.

    `found`: one of the files has the profile.
    """

    keys: AwsKeys | None = None
    region: str = ""
    needs: str = ""
    found: bool = False


def environment_keys(environ: Mapping[str, str]) -> AwsKeys | None:
    """AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. Raises ValueError when only one of the two is set."""
    return _keys({name.lower(): value for name, value in environ.items() if name.startswith("AWS_")}, "the environment")


def profile_name(environ: Mapping[str, str], chosen: str = "") -> str:
    """The profile that the operator chose, else AWS_PROFILE, else "default"."""
    return chosen or environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or DEFAULT_PROFILE


def file_paths(environ: Mapping[str, str], home: PurePath) -> tuple[str, str]:
    """Where the credentials file and the config file are."""
    return (
        environ.get("AWS_SHARED_CREDENTIALS_FILE") or str(home / ".aws" / "credentials"),
        environ.get("AWS_CONFIG_FILE") or str(home / ".aws" / "config"),
    )


def region(environ: Mapping[str, str], profile: Profile, chosen: str = "") -> str:
    """The region that the operator chose, else that of the environment, else that of the profile, else us-east-1."""
    return chosen or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or profile.region or DEFAULT_REGION


def read_profile(name: str, credentials: str, config: str) -> Profile:
    """One profile out of the texts of both files, empty for those that do not exist.

    Raises ValueError, which quotes nothing of them, for a text that is no such file and for half a pair of keys.
    """
    kept = _section(credentials, (name,), "credentials")
    told = _section(config, (f"profile {name}", name) if name == DEFAULT_PROFILE else (f"profile {name}",), "config")
    keys = _keys(kept or {}, f"profile {name}") or _keys(told or {}, f"profile {name}")
    both = {**(told or {}), **(kept or {})}
    needs = next((each for each in (*_STRONGER, *(() if keys else _WEAKER)) if both.get(each)), "")
    found = kept is not None or told is not None
    return Profile(None if needs else keys, both.get("region", ""), needs, found)


def _section(text: str, names: tuple[str, ...], which: str) -> dict[str, str] | None:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error as error:
        line = getattr(error, "lineno", None) or next(iter(getattr(error, "errors", ())), ("?",))[0]
        raise ValueError(f"line {line} of AWS's {which} file cannot be understood") from None
    return next((dict(parser[name]) for name in names if parser.has_section(name)), None)


def _keys(values: Mapping[str, str], where: str) -> AwsKeys | None:
    access, secret = values.get("aws_access_key_id", ""), values.get("aws_secret_access_key", "")
    if bool(access) != bool(secret):
        raise ValueError(f"{where} has only one of aws_access_key_id and aws_secret_access_key")
    return AwsKeys(access, secret, next(filter(None, map(values.get, _TOKENS)), "")) if access else None
