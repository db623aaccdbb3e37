"""A provider is a dialect x a credential x a row of data."""

from urllib.parse import quote

import msgspec

from dominion.domain.usage import Price

MODEL_PLACE = b"{model}"


class AlsoSpoken(msgspec.Struct, frozen=True):
    """Another dialect of a provider, for the same models and the same key: where its requests go."""

    wire: str
    path: str


class ProviderRow(msgspec.Struct, frozen=True, kw_only=True):
    """One provider of the catalogue or of the operator's file.

    `wire` names a file in `dominion.wire`, `credentials` a scheme in `dominion.credentials.present`.
    `base_url` and `chat_path` joined give the completion address, `stream_path` that of streams where it is another;
    `{model}` in a path is where the model's name goes. `key_env` lists environment names, first set wins.
    `prices_as` is the provider id that the price source uses for it, when another; `facts_as` those of the source of
    sizes and abilities.
    `model_prefixes` begin bare model names that belong to it beyond its rows. `documented_model` is the default that
    specification 004 prints, kept where it has died since; `free_tier` as 004 prints it. `own_table`: it is configured
    by a table [providers.ID] of its own, not as an OpenAI-compatible one. `also`: their callers are relayed.
    """

    id: str
    name: str
    base_url: str
    wire: str = "openai_chat"
    credentials: str = "bearer"
    chat_path: str = "/v1/chat/completions"
    stream_path: str = ""
    key_env: tuple[str, ...] = ()
    default_model: str = ""
    local: bool = False
    prices_as: str = ""
    facts_as: tuple[str, ...] = ()
    model_prefixes: tuple[str, ...] = ()
    documented_model: str = ""
    free_tier: bool = False
    own_table: bool = False
    also: tuple[AlsoSpoken, ...] = ()


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """One model. `id` is what callers write, `sends` what the provider is sent when that differs.

    `max_output` tokens. `price` overrides the price source. `deprecated` says what to use instead. `abilities` are some
    of "tools", "vision", "reasoning", "structured_output", "streaming"; empty: not known.
    """

    id: str
    provider: str
    name: str = ""
    sends: str = ""
    context_window: int = 0
    max_output: int = 0
    price: Price | None = None
    deprecated: str = ""
    abilities: frozenset[str] = frozenset()


class Origin(msgspec.Struct, frozen=True):
    """Where a provider's sockets lead. A credential belongs to exactly one origin and never goes elsewhere.

    `guarded`: it was not named by the operator's files but came through an API, so its addresses are checked at each
    connection, and its connections are not those of the operator's own origin of the same name.
    """

    scheme: str
    host: str
    port: int
    guarded: bool = False


class Target(msgspec.Struct, frozen=True):
    """A completion address, rendered once when the configuration is read.

    `head` is the request line and every fixed header, each line ended by CRLF, without content-length and without the
    empty line. It holds the credential, which `repr` leaves out.
    """

    origin: Origin
    head: bytes

    @property
    def path(self) -> bytes:
        """Path and query of the request line."""
        return self.head.split(b" ", 2)[1]

    def for_model(self, model: str) -> "Target":
        """The address with the model's name where the path has a place for it."""
        if MODEL_PLACE not in self.head:
            return self
        return Target(self.origin, self.head.replace(MODEL_PLACE, quote(model, safe="@").encode(), 1))

    def ending(self, ends: bytes, instead: bytes) -> "Target | None":
        """The address whose path ends with `instead` where this one `ends`; None when this one ends otherwise."""
        line, place, rest = self.head.partition(b" HTTP/")
        path, mark, query = line.partition(b"?")
        if not path.endswith(ends):
            return None
        return Target(self.origin, b"".join((path.removesuffix(ends), instead, mark, query, place, rest)))

    def __repr__(self) -> str:
        return f"Target({self.origin!r})"


class Slot(msgspec.Struct, frozen=True):
    """A configured provider, ready to be asked. Slots are tried in the order of the configuration.

    `models` are ids the operator named for it (bare names go there first); `default_model` answers "auto".
    `stream_target` is where streams are asked for, None: at `target`, too. Both may have `{model}` in their path.
    `also` are the addresses of the other dialects that it speaks, by their names.
    """

    row: ProviderRow
    target: Target
    models: tuple[str, ...] = ()
    default_model: str = ""
    stream_target: Target | None = None
    also: tuple[tuple[str, Target], ...] = ()
