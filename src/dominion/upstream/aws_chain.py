"""Finds AWS keys: the environment, then the profile's files, then what only AWS's library knows (extra `aws`)."""

import asyncio
import importlib
import importlib.util
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dominion.credentials.aws_profile import (
    Profile,
    environment_keys,
    file_paths,
    profile_name,
    read_profile,
    region,
)
from dominion.credentials.sigv4 import AwsKeys
from dominion.domain.errors import DominionError, InvalidCredentials, NetworkFailure

NAME = "AWS"
INSTALL = "pip install 'dominion-gateway[aws]'"
LIBRARY_SECONDS = 600.0
"""botocore renews keys that end, and never hands out one that has less than ten minutes left."""


class AwsChain:
    """The chain of specification 004, and what AWS's own adds to it: single sign-on, roles, processes, metadata.

    `profile` and `region` are the operator's choices, empty for none. botocore reads the environment of the process
    itself.
    """

    def __init__(self, environ: Mapping[str, str], home: Path, profile: str = "", region: str = "") -> None:
        self._environ = environ
        self._home = home
        self._chosen = profile
        self._region = region
        self._library: Any = None

    async def keys(self) -> tuple[AwsKeys, float | None]:
        """The keys and for how many seconds they are good at least (None: until someone changes them).

        Raises InvalidCredentials, also when there are none, and NetworkFailure. Reads anew at every call, in a thread.
        """
        return await asyncio.to_thread(self._keys)

    def region(self) -> str:
        """The operator's choice, else the environment's, else the profile's, else us-east-1. Raises InvalidCredentials
        when AWS's files are damaged."""
        return region(self._environ, self._profile(), self._region)

    def _profile(self) -> Profile:
        name = profile_name(self._environ, self._chosen)
        try:
            credentials, config = (_text(Path(path).expanduser()) for path in file_paths(self._environ, self._home))
            return read_profile(name, credentials, config)
        except OSError as error:
            raise _refusal(f"its file {error.filename} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise _refusal(str(error)) from None

    def _keys(self) -> tuple[AwsKeys, float | None]:
        try:
            found = environment_keys(self._environ)
        except ValueError as error:
            raise _refusal(str(error)) from None
        profile = Profile() if found else self._profile()
        found = found or profile.keys
        return (found, None) if found else (self._of_library(profile), LIBRARY_SECONDS)

    def _of_library(self, profile: Profile) -> AwsKeys:
        if importlib.util.find_spec("botocore") is None:
            reason = f"the profile says {profile.needs}" if profile.needs else "neither environment nor files have keys"
            raise InvalidCredentials(
                f"{NAME}: {reason}; single sign-on, roles and machine identities need the extra packages of 'aws'.",
                provider=NAME,
                action=f"Run: {INSTALL}; or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
            )
        exceptions = importlib.import_module("botocore.exceptions")
        found, self._library = self._library, None  # after a failure the search begins anew
        try:
            if found is None:
                # What it logs may hold keys, even a failure's traceback does.
                logging.getLogger("botocore").setLevel(logging.CRITICAL)
                session = importlib.import_module("botocore.session").Session(profile=self._chosen or None)
                session.set_config_variable("region", region(self._environ, profile, self._region))
                found = session.get_credentials()
            if found is None:
                raise _refusal("there are no keys in the environment, the files, or this machine's identity")
            keys = found.get_frozen_credentials()
        except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
            raise _network(type(error).__name__) from error
        except exceptions.ClientError as error:
            raise _refusal(f"it refused: {error.response.get('Error', {}).get('Code', 'no reason')}") from None
        except exceptions.BotoCoreError as error:
            # Its text may quote what a process or a file said; the name of the error does not.
            raise _refusal(f"the keys cannot be obtained ({type(error).__name__})") from None
        self._library = found
        return AwsKeys(keys.access_key, keys.secret_key, keys.token or "")


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""


def _refusal(reason: str) -> InvalidCredentials:
    return InvalidCredentials(
        f"{NAME}: {reason}.", provider=NAME, action="The operator must correct the AWS credentials of this gateway."
    )


def _network(reason: str) -> DominionError:
    failure = NetworkFailure(f"{NAME}'s credentials cannot be reached ({reason}).", provider=NAME)
    failure.sent = False
    return failure
