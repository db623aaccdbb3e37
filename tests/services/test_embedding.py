"""Where embeddings are asked for, by where completions are: every row of the catalogue, and addresses of clouds."""

import pytest

from dominion.domain.providers import ProviderRow, Slot, Target
from dominion.providers.address import address
from dominion.providers.catalog import Catalogue
from dominion.services.completions.embedding import EMBEDDINGS, embedding_slot

ROWS = {row.id: row for row in Catalogue.load().providers.values() if row.base_url}
OPENAI = "openai_embeddings"


def slot(row: ProviderRow, base_url: str = "", chat_path: str = "") -> Slot:
    origin, path = address(base_url or row.base_url, chat_path or row.chat_path)
    return Slot(row, Target(origin, f"POST {path} HTTP/1.1\r\nhost: {origin.host}\r\nx-key: k\r\n".encode()))


def place(at: Slot) -> tuple[str, str] | None:
    found = embedding_slot(at)
    if found is None:
        return None
    assert found.row.wire in EMBEDDINGS
    assert found.row.id == at.row.id  # money and credentials stay its own
    assert found.target.origin == at.target.origin
    assert found.target.head.partition(b"\r\n")[2] == at.target.head.partition(b"\r\n")[2]
    assert found.stream_target is None
    return found.row.wire, found.target.for_model("m").path.decode()


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_a_compatible_provider_has_embeddings_beside_its_completions(row: ProviderRow) -> None:
    at = slot(row)
    if row.id == "cohere":
        assert place(at) == ("cohere_embed", "/v2/embed")
    elif row.chat_path.endswith("/chat/completions"):
        beside = at.target.path.decode().replace("/chat/completions", "/embeddings")
        assert place(at) == (OPENAI, beside.replace("{model}", "m"))
    elif row.chat_path.endswith("/messages"):
        assert place(at) is None


@pytest.mark.parametrize(
    ("base", "path", "expected"),
    [
        ("https://x.test", "/v1/responses", (OPENAI, "/v1/embeddings")),
        (
            "https://x.test/openai",
            "/deployments/{model}/chat/completions?api-version=1",
            (OPENAI, "/openai/deployments/m/embeddings?api-version=1"),
        ),
        (
            "https://x.test",
            "/v1beta/models/{model}:generateContent",
            ("gemini_batch_embed", "/v1beta/models/m:batchEmbedContents"),
        ),
        (
            "https://x.test",
            "/v1/projects/p/locations/l/publishers/google/models/{model}:generateContent",
            ("gemini_embed", "/v1/projects/p/locations/l/publishers/google/models/m:embedContent"),
        ),
        ("http://localhost:11434", "/api/chat", ("ollama_embed", "/api/embed")),
        ("https://x.test", "/model/{model}/converse", None),
        ("https://x.test", "/v1/publishers/anthropic/models/{model}:rawPredict", None),
    ],
)
def test_the_address_of_completions_tells_that_of_embeddings(
    base: str, path: str, expected: tuple[str, str] | None
) -> None:
    assert place(slot(ProviderRow(id="x", name="X", base_url=base), base, path)) == expected


def test_voyage_is_spoken_to_in_its_own_words() -> None:
    row = ProviderRow(id="voyage", name="Voyage", base_url="https://api.voyageai.test/v1")
    assert place(slot(row)) == ("voyage_embed", "/v1/embeddings")
