"""Counts the images of a request for admission, and says whether it names files: bytes bound the tokens of text only.

Reads the conversation only where it holds the mark of one, or letters behind which one could hide.
"""

import re
from collections.abc import Callable

import msgspec

from dominion.domain.contracts import Fields, Peek
from dominion.domain.errors import InvalidRequest
from dominion.domain.messages import Request

IMAGE, FILE, DOCUMENT = b'"image', b'"file', b'"document'
"""How names begin that several APIs give to images and files."""
_ABSENT = msgspec.Raw(b"")
_ESCAPED_LETTER = re.compile(rb"\\u00[4-7]")
_FILES = re.compile(
    r"messages\.(?:content\.file|document|image\.)|contents\.parts\.(?:fileData|inlineData\.application/pdf)"
).match
"""What the dialects say of files that they carry along: pages and films hold more tokens than bytes."""


def with_images(
    peek: Peek, fields: Fields, name: str, marks: tuple[bytes, ...], read: Callable[[Fields], Request]
) -> Peek:
    """What was read of a request, with its images, and `kept` where there are files; `name` is the field that holds the
    conversation. One that cannot be read is `kept`, too: a relay carries it as it is.
    """
    if not may_hold(fields, name, marks):
        return peek
    try:
        request = read(fields)
    except InvalidRequest:  # its provider may take what no other does
        return counted(peek, peek.images, kept=True)
    return counted(peek, request.images, kept=any(map(_FILES, request.unread)))


def may_hold(fields: Fields, name: str, marks: tuple[bytes, ...]) -> bool:
    """Whether a field holds one of these marks, also where their letters are escaped."""
    raw = bytes(fields.get(name, _ABSENT))
    for mark in marks:
        if mark in raw:
            return True
    return b"\\u00" in raw and _ESCAPED_LETTER.search(raw) is not None


def counted(peek: Peek, images: tuple[int, int], *, kept: bool) -> Peek:
    """The same with these images, and `kept` if it was or is."""
    return msgspec.structs.replace(peek, images=images, kept=peek.kept or kept)
