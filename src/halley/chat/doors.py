"""The eight doors of a dialect: read and write of ask, answer, stream and error. What each takes and gives, for who builds one.

All are pure. Reading doors raise `Refused` (a client's ask) or `Unreadable` (a provider's answer); writing doors return what they could not
say. A stream's doors keep the state of one stream and are made anew for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

import msgspec

from halley.chat.events import Event
from halley.chat.model import Answer, Ask, Loss
from halley.errors import Refused

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Unreadable(ValueError):
    """A provider's words that its dialect does not have. The message is fit for the log, never for the client."""


class Target(NamedTuple):
    """What a writer has to know of the provider that will read its ask. `origin` is `chat.seals.origin` of it; `cap_field` its name for the
    output cap where the dialect has two; `most_output` the model's own limit, for a dialect that demands a cap; `takes_urls`: whether it
    fetches media by itself; `exact_ids` how many letters and digits the id of a call must have, where that is fixed."""

    model: str
    origin: str
    cap_field: str = ""
    most_output: int | None = None
    takes_urls: bool = True
    exact_ids: int = 0


class Written(NamedTuple):
    """A body for a provider, and what of the ask is not in it."""

    body: bytes
    losses: tuple[Loss, ...] = ()

    def only(self, names: frozenset[str]) -> Written:
        """The same without all other fields: for an endpoint that takes a part of what another takes."""
        kept = {name: value for name, value in _decode_members(self.body).items() if name in names}
        return Written(msgspec.json.encode(kept), self.losses)


class Asked(NamedTuple):
    """What a writer of answers has to know of the request that it answers: the ask, the model's name as the caller spelled it, the
    request's id (without its prefix, fit to make other ids from), the time, Unix seconds, and which answer it goes on from."""

    ask: Ask
    model: str
    id: str
    created: int
    previous: str | None = None


class ProviderError(NamedTuple):
    """A provider's refusal in no dialect's words. `param` is a field in the provider's spelling; `code` its own word."""

    status: int
    message: str
    code: str = ""
    param: str | None = None


class StreamReader(Protocol):
    """A provider's stream to events. `feed` takes the payload of one frame and the name of its event (empty where the dialect has none)."""

    def feed(self, payload: bytes, name: bytes = b"") -> list[Event]: ...
    def end(self) -> list[Event]:
        """The connection is over: what was held back, and `Finished` where the dialect's end is the end of the connection. No Finished and
        no Failed in all that was emitted: the stream was cut."""
        ...

    @property
    def losses(self) -> Sequence[Loss]:
        """What of it nobody here knows, so far."""
        ...


class StreamWriter(Protocol):
    """Events to a client's stream: whole frames, ready to be sent. After `Finished` or `Failed` the stream is complete."""

    def write(self, events: Sequence[Event]) -> bytes: ...
    @property
    def losses(self) -> Sequence[Loss]: ...


class ReadAsk(Protocol):
    def __call__(self, body: bytes) -> Ask: ...


class WriteAsk(Protocol):
    def __call__(self, ask: Ask, target: Target) -> Written: ...


class ReadAnswer(Protocol):
    def __call__(self, body: bytes, origin: str, new_id: str) -> Answer:
        """`origin` is stamped on seals; `new_id` makes ids of tool calls where the dialect has none."""
        ...


class WriteAnswer(Protocol):
    def __call__(self, answer: Answer, asked: Asked) -> Written: ...


class ReadStream(Protocol):
    def __call__(self, origin: str, new_id: str) -> StreamReader: ...


class WriteStream(Protocol):
    def __call__(self, asked: Asked) -> StreamWriter: ...


class ReadError(Protocol):
    def __call__(self, status: int, body: bytes) -> ProviderError: ...


class WriteError(Protocol):
    def __call__(self, refusal: Refused, request_id: str, /) -> tuple[int, bytes, bytes]: ...


class Doors(NamedTuple):
    """One dialect. `spelling` is the dialect's word for a field of `Ask` (`stop` → `stop_sequences`), so that a loss names it as the caller
    would; a field that is spelled the same is not in it."""

    name: str
    read_ask: ReadAsk
    write_ask: WriteAsk
    read_answer: ReadAnswer
    write_answer: WriteAnswer
    read_stream: ReadStream
    write_stream: WriteStream
    read_error: ReadError
    write_error: WriteError
    spelling: dict[str, str]


class Reply(NamedTuple):
    """A whole answer, as its client gets it, and its id."""

    id: str
    body: bytes


class History(NamedTuple):
    """What a dialect needs beyond its doors whose callers may go on from an earlier answer, or ask for it.

    A record is what is kept of one request and its answer, bytes of the dialect's own. `reply` finds a whole answer in a body, `last` in
    the last frames of a stream. `expand` writes a request with the records of all that was said before it; `resolve` with those parts of
    other answers that it only names, by the answers' ids (raises Refused). `missing` is what is said where there is no earlier answer,
    `elsewhere` where the provider that has it does not serve the model. `shown`, `inputs` (by a query; raises Refused) and `deleted` are
    what a client sees of it later.
    """

    reply: Callable[[bytes], Reply | None]
    last: Callable[[bytes], Reply | None]
    record: Callable[[bytes, bytes], bytes]
    expand: Callable[[bytes, Sequence[bytes]], bytes]
    resolve: Callable[[bytes, Mapping[str, bytes]], bytes]
    missing: Callable[[str], Refused]
    elsewhere: Callable[[str, str, str], Refused]
    shown: Callable[[bytes], bytes]
    inputs: Callable[[Sequence[bytes], bytes], bytes]
    deleted: Callable[[str], bytes]


A = TypeVar("A")
B = TypeVar("B")


class Swap(NamedTuple, Generic[A, B]):
    """The doors of a surface that has no stream: what is asked (`A`) and answered (`B`), read and written in one dialect's words.

    `read` takes the body and the model's name, and raises Refused; `write` as well, for what must not be lost. `read_answer` raises
    Unreadable.
    """

    read: Callable[[bytes, str], A]
    write: Callable[[A, Target], Written]
    read_answer: Callable[[bytes], B]
    write_answer: Callable[[B, A], bytes]
    read_error: ReadError
