"""OpenAI's own SDK as a judge of what this gateway writes. Never asks anybody but the SDK."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import httpx2
import openai
import pydantic
from openai.types import Completion, CreateEmbeddingResponse, EmbeddingCreateParams
from openai.types.completion_create_params import CompletionCreateParams
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_create_params import ResponseCreateParams

REQUEST = pydantic.TypeAdapter[Any](ResponseCreateParams)
LEGACY_REQUEST = pydantic.TypeAdapter[Any](CompletionCreateParams)
EMBEDDING_REQUEST = pydantic.TypeAdapter[Any](EmbeddingCreateParams)
EVENT = pydantic.TypeAdapter[Any](ResponseStreamEvent)


def check_request(body: bytes, params: pydantic.TypeAdapter[Any] = REQUEST) -> dict[str, Any]:
    """The body as plain values, all of which the SDK's own types of parameters know, to the last item."""
    plain: dict[str, Any] = json.loads(body)
    assert _exhaust(params.validate_python(plain)) == plain
    return plain


def check_answer(body: bytes) -> Response:
    """The answer, valid by the SDK's own type, which the client itself does not insist on."""
    return Response.model_validate_json(body)


def check_stream(body: bytes) -> list[dict[str, Any]]:
    """The events, each valid by the SDK's own type of its event, and numbered without a gap."""
    events = []
    for raw in body.decode().split("\n\n")[:-1]:
        name, data = raw.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert EVENT.validate_python(event).type == event["type"]
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


def stream_in_sdk(body: bytes) -> Response:
    """What the SDK's own accumulator collects from a stream. Raises the SDK's error for an error inside it."""
    with _client(200, body, "text/event-stream") as client, client.responses.stream(model="m", input="hi") as stream:
        return stream.get_final_response()


def answer_in_sdk(body: bytes) -> Response:
    """What the SDK makes of a whole answer."""
    with _client(200, body, "application/json") as client:
        return client.responses.create(model="m", input="hi")


def error_in_sdk(status: int, body: bytes) -> openai.APIStatusError:
    """What the SDK raises for an error answer."""
    with _client(status, body, "application/json") as client:
        try:
            client.responses.create(model="m", input="hi")
        except openai.APIStatusError as error:
            return error
    raise AssertionError("the SDK did not raise")


def completion_in_sdk(body: bytes) -> Completion:
    """What the SDK makes of a whole legacy completion."""
    with _client(200, body, "application/json") as client:
        return client.completions.create(model="m", prompt="hi")


def completions_in_sdk(body: bytes) -> list[Completion]:
    """The chunks of a legacy stream as the SDK reads them. Raises the SDK's error for an error inside it."""
    with _client(200, body, "text/event-stream") as client:
        return list(client.completions.create(model="m", prompt="hi", stream=True))


def embeddings_in_sdk(body: bytes) -> CreateEmbeddingResponse:
    """What the SDK makes of embeddings, which it asks for in base64 unless told otherwise, and decodes."""
    with _client(200, body, "application/json") as client:
        return client.embeddings.create(model="m", input="hi")


def _client(status: int, body: bytes, content_type: str) -> openai.OpenAI:
    answer = httpx2.Response(status, content=body, headers={"content-type": content_type})
    transport = httpx2.MockTransport(lambda _: answer)
    return openai.OpenAI(api_key="none", max_retries=0, http_client=httpx2.Client(transport=transport))


def _exhaust(value: Any) -> Any:
    """Pydantic checks iterables only as they are walked."""
    if isinstance(value, dict):
        return {name: _exhaust(inner) for name, inner in value.items()}
    if isinstance(value, list | Iterator) or type(value).__name__ == "ValidatorIterator":
        walked: Iterable[Any] = value
        return [_exhaust(inner) for inner in walked]
    return value
