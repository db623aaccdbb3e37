"""The two roads of a stream: bytes that pass through a tap, or events that change their dialect."""

from dominion.domain.contracts import Dialect, Seen
from dominion.domain.errors import UnexpectedResponse
from dominion.domain.messages import (
    Answer,
    Event,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
)
from dominion.wire.reader_tap import note
from dominion.wire.seals import mark_delta


class RelayRoad:
    """Same dialect on both sides: the provider's bytes, watched."""

    def __init__(self, dialect: Dialect, *, asks_usage: bool) -> None:
        self._tap = dialect.tap(hide_usage=not asks_usage)
        self.seen = self._tap.seen
        self.feed = self._tap.feed

    def end(self) -> bytes:
        """What the tap held back. Raises UnexpectedResponse when the stream broke off."""
        rest = self._tap.end()
        if not (self.seen.done or self.seen.finish or self.seen.failed):
            raise UnexpectedResponse("The provider broke off its answer.")
        return rest


class TranslatedRoad:
    """Different dialects: bytes to events to bytes. `begun` has the id and model for providers that tell none; `origin`
    marks the seals of reasoning, empty: they need none."""

    def __init__(
        self, provider: Dialect, door: Dialect, begun: Started, origin: str, *, now: int, asks_usage: bool
    ) -> None:
        self._begun = begun
        self._origin = origin
        self._reader = provider.reader()
        self._writer = door.writer(now=now, asks_usage=asks_usage)
        self.seen = Seen()

    def feed(self, chunk: bytes) -> bytes:
        """The door's bytes for this chunk of the provider's. Raises UnexpectedResponse."""
        return b"".join([self._pass(event) for event in self._reader.feed(chunk)])

    def end(self) -> bytes:
        """The closing bytes. Raises UnexpectedResponse when the stream broke off."""
        out = [self._pass(event) for event in self._reader.end()]
        out.append(self._writer.end())
        self.seen.done = not self.seen.failed
        return b"".join(out)

    def _pass(self, event: Event) -> bytes:
        seen = self.seen
        if isinstance(event, TextDelta):  # almost all of them
            seen.frames += 1
            seen.content_bytes += len(event.text)
            return self._writer.write(event)
        note(seen, event)
        if isinstance(event, ThinkingDelta | ToolCallDelta):
            event = mark_delta(event, self._origin) if self._origin else event
        elif isinstance(event, Started) and not (event.id and event.model):
            event = Started(event.id or self._begun.id, event.model or self._begun.model)
        return self._writer.write(event)


Road = RelayRoad | TranslatedRoad


def seen_of(answer: Answer) -> Seen:
    """What a whole translated answer tells the gateway."""
    size = 0
    for part in answer.parts:
        if isinstance(part, Text | Thinking):
            size += len(part.text)
        elif isinstance(part, ToolCall):
            size += len(part.arguments)
    return Seen(usage=answer.usage, finish=answer.finish, model=answer.model, content_bytes=size, done=True)
