"""What providers share that speak a dialect of `dominion.wire`, and those that do so with the caller's own key."""

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import MappingProxyType
from typing import ClassVar, Protocol, Self

import msgspec

from dominion.client.config_file import DirectSection
from dominion.client.connection import Connection, key_headers
from dominion.client.provider import (
    LLMCompletionOptions,
    LLMModel,
    LLMProvider,
    LLMResponse,
    LLMToolCall,
    LLMUsage,
    write_json,
)
from dominion.domain.contracts import Dialect, Written
from dominion.domain.errors import ConfigProblem, DominionError, ProviderError, UnexpectedResponse
from dominion.domain.messages import (
    Answer,
    Event,
    Failed,
    Finished,
    FinishReason,
    Metered,
    Part,
    Refusal,
    RefusalDelta,
    Started,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
)
from dominion.domain.providers import ProviderRow
from dominion.domain.usage import Usage
from dominion.providers.catalog_files import read_providers
from dominion.wire.fields import read_fields, splice
from dominion.wire.native.dialect import NATIVE
from dominion.wire.native.request import KNOWN


class Answered(Protocol):
    """A 2xx answer of a provider, its body still to be read. Implemented by `httpx2.Response`."""

    @property
    def headers(self) -> Mapping[str, str]:
        """By names in any case."""

    async def aread(self) -> bytes:
        """The whole body."""

    def aiter_bytes(self) -> AsyncIterator[bytes]:
        """The body as it comes."""


class Wire(Protocol):
    """What carries bytes to a provider and back; see `Connection` for what it raises."""

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> AbstractAsyncContextManager[Answered]:
        """Ask, with these headers beside the wire's own."""

    async def aclose(self) -> None:
        """Close every connection."""


class DialectProvider(LLMProvider):
    """Asks in its dialect, at `path` of a wire."""

    dialect: ClassVar[Dialect]

    def __init__(self, wire: Wire, path: str) -> None:
        self._wire = wire
        self._path = path

    async def complete(self, options: LLMCompletionOptions) -> LLMResponse:
        """The whole answer. Raises InvalidRequest, or what `Connection` raises."""
        written = self._write(options, stream=False)
        async with self._wire.send("POST", self._path, written.body, headers=self._headers(options)) as answered:
            answer = self.dialect.read_answer(await answered.aread())
        return self._respond(answer, written, answered.headers)

    async def stream(self, options: LLMCompletionOptions) -> AsyncGenerator[str | LLMResponse, None]:
        """Pieces of the text, and at last the whole answer. Raises InvalidRequest, or what `Connection` raises."""
        written = self._write(options, stream=True)
        reader, gathered = self.dialect.reader(), _Gathered()
        async with self._wire.send("POST", self._path, written.body, headers=self._headers(options)) as answered:
            async for chunk in answered.aiter_bytes():
                for text in gathered.add(reader.feed(chunk), self._failure):
                    yield text
        for text in gathered.add(reader.end(), self._failure):
            yield text
        yield self._respond(gathered.answer(), written, answered.headers)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._wire.aclose()

    @abstractmethod
    def _write(self, options: LLMCompletionOptions, *, stream: bool) -> Written:
        """The request. Raises InvalidRequest."""

    def _headers(self, options: LLMCompletionOptions) -> Mapping[str, str]:  # noqa: ARG002 - others have some
        """What the request says beside its body."""
        return {}

    def _failure(self, event: Failed) -> DominionError:
        """What the provider told inside a stream."""
        return ProviderError(event.message, provider=self.name)

    def _respond(self, answer: Answer, written: Written, headers: Mapping[str, str]) -> LLMResponse:  # noqa: ARG002 - others do
        """The answer as callers get it; `headers` are those it came with."""
        usage = answer.usage or Usage()
        calls = (part for part in answer.parts if isinstance(part, ToolCall))
        return LLMResponse(
            content="".join(part.text for part in answer.parts if isinstance(part, Text | Refusal)),
            usage=LLMUsage(usage.input_tokens, usage.output_tokens, usage.total_tokens),
            model=answer.model,
            provider=self.name,
            finish_reason=answer.finish,
            id=answer.id,
            tool_calls=tuple(LLMToolCall(call.id, call.name, call.arguments) for call in calls),
            lost=written.lost,
        )


class _Listed(msgspec.Struct):
    id: str
    display_name: str | None = None


class _List(msgspec.Struct):
    data: list[_Listed]


class DirectProvider(DialectProvider):
    """A provider of the catalogue without a gateway. `model` and `temperature` hold where a call names none."""

    def __init__(
        self, wire: Wire, row: ProviderRow, model: str | None = None, temperature: float | None = None
    ) -> None:
        super().__init__(wire, row.chat_path)
        self._model = model or row.default_model
        self._temperature = temperature

    @classmethod
    def configured(cls, section: DirectSection, environ: Mapping[str, str]) -> Self:
        """As `pm.config.yaml` says, with the key from the environment. Raises ConfigProblem when there is none."""
        row = catalogue_row(cls.name)
        key = next((environ[name] for name in row.key_env if environ.get(name)), "")
        if not key:
            raise ConfigProblem(
                f"The provider {cls.name} needs your own key in {row.key_env[0]}.",
                action=f"Set {row.key_env[0]}, or set DOMINION_API_TOKEN to go through a gateway.",
            )
        headers = {name.decode(): value.decode() for name, value in cls.dialect.default_headers}
        headers |= key_headers(row.credentials, key)
        read_error = partial(cls.dialect.read_error, row.name)
        wire = Connection(section.base_url or row.base_url, headers, read_error, whom=row.name)
        return cls(wire, row, section.model, section.temperature)

    async def models(self) -> list[LLMModel]:
        """The models that the provider lists."""
        async with self._wire.send("GET", "/v1/models", None) as answered:
            body = await answered.aread()
        try:
            listed = msgspec.json.decode(body, type=_List).data
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UnexpectedResponse(f"The list of models is not understood: {error}.", provider=self.name) from error
        return [LLMModel(id=row.id, provider=self.name, name=row.display_name) for row in listed]

    def _write(self, options: LLMCompletionOptions, *, stream: bool) -> Written:
        """The request in the provider's dialect. Extra fields that only this provider may know go as they are."""
        model = options.model or self._model
        fields = options.fields() | {"model": model, "stream": stream}
        if self._temperature is not None:
            fields.setdefault("temperature", self._temperature)
        own = {name: write_json(fields.pop(name)) for name in options.extra if name not in KNOWN}
        request = NATIVE.read_request(read_fields(write_json(fields)))
        written = self.dialect.write_request(request, model=model, output_cap=request.max_output)
        return Written(splice(read_fields(written.body), own), written.lost) if own else written


class _Gathered:
    """Collects the events of a stream into the answer that they make up, as far as a caller's response shows it."""

    def __init__(self) -> None:
        self._started = Started("", "")
        self._text = ""
        self._calls: dict[int, ToolCall] = {}
        self._finish: FinishReason = "stop"
        self._usage: Usage | None = None

    def add(self, events: Iterable[Event], failure: Callable[[Failed], DominionError]) -> Iterator[str]:
        """Take events in; gives the pieces of text among them. Raises `failure` of an event that tells of one."""
        for event in events:
            match event:
                case TextDelta(text=text) | RefusalDelta(text=text):
                    self._text += text
                    yield text
                case ToolCallDelta(part=part):
                    call = self._calls.get(part, ToolCall("", "", ""))
                    self._calls[part] = ToolCall(
                        call.id or event.id, call.name or event.name, call.arguments + event.arguments
                    )
                case Started():
                    self._started = event
                case Finished(reason=reason):
                    self._finish = reason
                case Metered(usage=usage):
                    self._usage = usage
                case Failed():
                    raise failure(event)

    def answer(self) -> Answer:
        """The answer so far."""
        parts: tuple[Part, ...] = (Text(self._text), *self._calls.values())
        return Answer(self._started.id, self._started.model, parts, self._finish, self._usage)


def catalogue_row(provider: str) -> ProviderRow:
    """The row of a provider that is built in."""
    return next(row for row in read_providers() if row.id == provider)
