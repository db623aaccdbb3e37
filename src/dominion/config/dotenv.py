"""Reads `.env` files: KEY=VALUE lines, "export", comments, single and double quotes. Never runs or expands anything."""

import re
from collections.abc import Iterator
from pathlib import Path

_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?')
_SINGLE = re.compile(r"'([^']*)'\s*(?:#.*)?")
_COMMENT = re.compile(r"(?:^|\s)#")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}


def read_dotenv(path: Path, problems: list[str]) -> dict[str, str]:
    """The values of the file, later lines above earlier ones; none when there is no such file.

    Adds a line to `problems` for what cannot be read; such a line never repeats a value.
    """
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as problem:
        problems.append(f"{path}: cannot be read: {problem}")
        return {}
    return dict(_values(path, text, problems))


def _values(path: Path, text: str, problems: list[str]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line)
        value = None if found is None else _value(found[2])
        if found is None or value is None:
            problems.append(f"{path}: line {number} is not KEY=VALUE")
        else:
            yield found[1], value


def _value(written: str) -> str | None:
    """The value without quotes and comment; None when a quote is not closed."""
    if found := _DOUBLE.fullmatch(written):
        return _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), found[1])
    if found := _SINGLE.fullmatch(written):
        return found[1]
    return None if written[:1] in ("'", '"') else _COMMENT.split(written, maxsplit=1)[0].strip()
