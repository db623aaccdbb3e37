"""The tap of dialects whose streams are read message by message anyway. Never changes a byte of the stream."""

from dominion.domain.contracts import Seen, StreamReader
from dominion.domain.messages import (
    Event,
    Failed,
    Finished,
    Metered,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)


def note(seen: Seen, event: Event) -> None:
    """Take down what an event tells the gateway."""
    match event:
        case TextDelta(text=content) | ThinkingDelta(text=content) | RefusalDelta(text=content):
            seen.frames += 1
            seen.content_bytes += len(content)
        case ToolCallDelta(arguments=content):
            seen.frames += 1
            seen.content_bytes += len(content)
        case Metered(usage):
            seen.usage = usage
        case Finished(reason):
            seen.finish = reason
        case Started(model=model):
            seen.model = model
        case Failed(message, kind):
            seen.failed = message or kind or "error"


class ReaderTap:
    """Watches a relayed stream through its reader; finish and usage together are the end mark."""

    def __init__(self, reader: StreamReader) -> None:
        self.seen = Seen()
        self._reader = reader

    def feed(self, chunk: bytes) -> bytes:
        """The chunk, read. Raises UnexpectedResponse for what is not the dialect."""
        self._note(self._reader.feed(chunk))
        return chunk

    def end(self) -> bytes:
        """Nothing is held back. Raises UnexpectedResponse when the stream broke off."""
        self._note(self._reader.end())
        return b""

    def _note(self, events: list[Event]) -> None:
        for event in events:
            note(self.seen, event)
        self.seen.done = bool(self.seen.finish) and self.seen.usage is not None
