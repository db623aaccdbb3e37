"""What the files of sign-ins say that addresses depend on, and whether they are there at all. Never shows a secret.

Everything here raises ValueError, the end of a sentence that begins with the provider "is skipped: ", where a provider
cannot be used.
"""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from dominion.config.settings import Settings
from dominion.credentials.aws_profile import environment_keys, file_paths, profile_name, read_profile, region

if TYPE_CHECKING:
    from dominion.credentials.google_jwt import AuthorizedUser, ServiceAccount

INSTALL_AWS = "pip install 'dominion-gateway[aws]'"


class _QwenFile(msgspec.Struct):
    resource_url: str | None = None


def signed_in(path: Path, provider: str) -> bytes:
    """The file that `dominion providers login` wrote, which only its owner may read."""
    data = _read(path, f"; run `dominion providers login {provider}`")
    if path.stat().st_mode & 0o077:
        raise ValueError(f"{path} is open to others; run `chmod 600 {path}`")
    return data


def qwen_address(data: bytes) -> str:
    """The base URL that Qwen named at the sign-in, or nothing. `data` is the credentials file."""
    try:
        named = msgspec.json.decode(data, type=_QwenFile).resource_url or ""
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise ValueError("its credentials file is damaged") from None
    return named if "://" in named or not named else f"https://{named}"


def vertex_key(settings: Settings) -> "ServiceAccount | AuthorizedUser":
    """The key file. Its arithmetic is imported for those who use it only: it takes longer than the other settings."""
    from dominion.credentials.google_jwt import read_key_file  # noqa: PLC0415

    path = settings.vertex_key_file
    if path is None:
        raise ValueError("it has no key_file, and GOOGLE_APPLICATION_CREDENTIALS is not set")
    data = _read(path)
    try:
        return read_key_file(data)
    except ValueError as problem:
        raise ValueError(f"{path} {problem}") from None


def vertex_project(settings: Settings) -> str:
    """The operator's project, else that of the key file."""
    project = vertex_key(settings).project
    if not (settings.vertex_project or project):
        raise ValueError(f"{settings.vertex_key_file} names no project; set project_id")
    return settings.vertex_project or project


def aws_environment(settings: Settings) -> Mapping[str, str]:
    """What the environment says to AWS's programs."""
    return {name: secret.reveal() for name, secret in settings.aws.items()}


def aws_region(settings: Settings, home: Path) -> str:
    """Where requests are signed for. `home` is the folder that holds .aws."""
    environ = aws_environment(settings)
    files = (Path(path).expanduser() for path in file_paths(environ, home))
    credentials, config = (_read(path).decode("utf-8", "replace") if path.exists() else "" for path in files)
    profile = read_profile(profile_name(environ, settings.bedrock_profile), credentials, config)
    known = settings.bedrock_api_key or environment_keys(environ) or profile.keys
    if not known and importlib.util.find_spec("botocore") is None:
        needs = f"the profile says {profile.needs}" if profile.needs else "there are no AWS keys"
        raise ValueError(
            f"{needs} in environment or files; for single sign-on, roles and machine identities run {INSTALL_AWS}"
        )
    return region(environ, profile, settings.bedrock_region)


def _read(path: Path, otherwise: str = "") -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}{otherwise}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
