"""Runs the steps of a Dockerfile in a plain folder, where there is no Docker: COPY, ENV, WORKDIR and RUN, in order.

    python -m tools.run_dockerfile Dockerfile FOLDER

What it cannot tell: whether the images of FROM exist and have what the steps need (this machine stands for them), what
USER, VOLUME and layers do. All stages share the folder, in which /opt, /src and /data of the Dockerfile are.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

OURS = re.compile(r"(?<![\w.])/(?=(?:opt|src|data)\b)")


class Image(NamedTuple):
    """What the steps came to: the environment of a container, and what would run in it."""

    environment: dict[str, str]
    command: list[str]
    health: list[str]


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Every instruction of a Dockerfile and what stands behind it."""
    joined = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    for line in filter(None, (line.strip() for line in joined.splitlines())):
        word, _, rest = line.partition(" ")
        yield word.upper(), rest.strip()


class Builder:
    """Takes one instruction after another. `root` is what the Dockerfile calls /, `context` where COPY looks."""

    def __init__(self, root: Path, context: Path) -> None:
        self._root = root
        self._context = context
        self._folder = root
        self._outside = dict(os.environ) | {"PATH": f"{sys.base_prefix}/bin:{os.environ['PATH']}"}
        self.environment = dict(self._outside)
        self.words: dict[str, str] = {}

    def take(self, word: str, rest: str) -> None:
        """Do what it says; what describes the image is kept."""
        match word:
            case "FROM":
                self.environment, self._folder = dict(self._outside), self._root
            case "WORKDIR":
                self._folder = Path(self._inside(rest))
                self._folder.mkdir(parents=True, exist_ok=True)
            case "ENV":
                for pair in shlex.split(rest):
                    name, _, value = pair.partition("=")
                    self.environment[name] = self._inside(value.replace("$PATH", self.environment["PATH"]))
            case "COPY":
                self._copy(shlex.split(rest))
            case "RUN":
                print(f"RUN {rest}", flush=True)
                subprocess.run(
                    ["/bin/sh", "-ec", self._inside(rest)], cwd=self._folder, env=self.environment, check=True
                )
            case _:
                self.words[word] = rest

    def _copy(self, words: list[str]) -> None:
        if any(word.startswith("--from=") for word in words):
            *_, source, target = words
            if source != target:
                raise ValueError(f"all stages share a folder: {source} cannot become {target}")
            return
        *sources, target = words
        to = Path(self._inside(target))
        to.mkdir(parents=True, exist_ok=True)
        for source in sources:
            path = self._context / source
            if path.is_dir():
                shutil.copytree(path, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, to)

    def _inside(self, text: str) -> str:
        return OURS.sub(f"{self._root}/", text)

    def image(self) -> Image:
        """After the last instruction."""
        command = [*msgspec.json.decode(self.words["ENTRYPOINT"]), *msgspec.json.decode(self.words["CMD"])]
        health = msgspec.json.decode(self.words["HEALTHCHECK"].partition(" CMD ")[2])
        return Image(self.environment, command, health)


def run(dockerfile: Path, root: Path) -> Image:
    """Run all steps. Raises subprocess.CalledProcessError at the first that fails."""
    builder = Builder(root.absolute(), dockerfile.absolute().parent)
    for word, rest in instructions(dockerfile.read_text(encoding="utf-8")):
        builder.take(word, rest)
    return builder.image()


def main(arguments: list[str]) -> int:
    """The exit code."""
    dockerfile, root = map(Path, arguments)
    root.mkdir(parents=True, exist_ok=True)
    image = run(dockerfile, root)
    print(f"it would run: {shlex.join(image.command)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
