"""How the words of one attempt pass between client and provider: as they are, in a shared dialect, or over a bridge (`serve.crossing`).

The relay meters what the provider says before it passes here; what comes out is what the client gets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from halley.chat.model import Loss
from halley.errors import Condition, Refused
from halley.providers import tweaks
from halley.serve import gathering
from halley.serve.crossing import EVENT_STREAM, crossing, refuse_losses
from halley.serve.framed import Framed
from halley.serve.translation import Translation

if TYPE_CHECKING:
    from halley.chat.meter import Meter
    from halley.dialects import Dialect
    from halley.serve.answers import Answer
    from halley.serve.relay import Run
    from halley.serve.tables import Offer, Way


class Passage(Protocol):
    """It knows its request while a method runs and no longer: if a request and its passage held each other, both would wait for the garbage
    collector. `spoken` is the provider's dialect, `head` and `body` what it gets; `kind` is the content-type of the client's stream.
    `failed`: that stream has been ended by an error that is not the fault of the provider's connection."""

    spoken: Dialect
    head: bytes
    body: bytes

    @property
    def kind(self) -> bytes: ...
    @property
    def failed(self) -> bool: ...
    @property
    def losses(self) -> tuple[Loss, ...]: ...
    def begin(self, run: Run) -> Meter:
        """A stream begins; its meter."""
        ...

    def frames(self, data: bytes) -> bytes:
        """Whole frames of the provider's stream in the client's words."""
        ...

    def end(self, run: Run, refusal: Refused | None) -> bytes:
        """The end of the client's stream: after the provider's own, or with this refusal because that never came."""
        ...

    def close(self) -> bytes:
        """What closes the client's stream after the provider's own error."""
        ...

    def whole(self, body: bytes) -> bytes:
        """A whole answer. Raises `chat.doors.Unreadable`."""
        ...

    def gathered(self, run: Run, body: bytes) -> bytes:
        """The whole answer that a stream says which nobody asked for. Raises `chat.doors.Unreadable`, and Refused."""
        ...

    def error(self, run: Run, status: int, fields: bytes, body: bytes) -> Answer:
        """The provider's error, cleaned of secrets. `fields` are those of our own head."""
        ...


class Straight:
    """One dialect on both sides: nothing is read, nothing is lost, every byte stays; but of a stream that nobody asked for, which is read,
    `losses` are what its whole answer does not say."""

    __slots__ = ("body", "head", "losses", "spoken")

    kind = EVENT_STREAM
    failed = False

    def __init__(self, run: Run, offer: Offer, way: Way) -> None:
        self.losses: tuple[Loss, ...] = ()
        self.spoken = dialect = run.route.dialect
        self.head = offer.head(way, stream=run.seen.stream)
        if way.carried:
            self.head = carried(self.head, way.carried, run.request.fields)
        self.body = dialect.outbound(run.request.body, run.seen, offer.model, run.sent_cap, offer.host.cap_field)
        if way.tweaks:
            self.body = tweaks.apply(self.body, way.tweaks)

    def begin(self, run: Run) -> Meter:
        return self.spoken.meter(run.seen, strip=True)

    def frames(self, data: bytes) -> bytes:
        return data

    def end(self, run: Run, refusal: Refused | None) -> bytes:
        return b"" if refusal is None else self.spoken.write_error_event(refusal, run.id)

    def close(self) -> bytes:
        return b""

    def whole(self, body: bytes) -> bytes:
        return body

    def gathered(self, run: Run, body: bytes) -> bytes:
        written = gathering.straight(run, body)
        self.losses += written.losses
        return written.body

    def error(self, run: Run, status: int, fields: bytes, body: bytes) -> Answer:
        return status, fields, body


class Moving(Straight):
    """The same to a host that wants in the body what its dialect says in the head."""

    __slots__ = ()

    def __init__(self, run: Run, offer: Offer, way: Way) -> None:
        """Raises Refused: the host does not know all of it, and the caller is strict."""
        super().__init__(run, offer, way)
        self.body, unknown = tweaks.take_in(self.body, way.moved, run.request.fields)
        field = way.moved[0].field
        self.losses = tuple(Loss(f"{field}.{word}", "this provider does not know it, and would refuse the request") for word in unknown)
        refuse_losses(run, offer.host.name, self.losses)


def carried(head: bytes, names: tuple[bytes, ...], fields: dict[bytes, bytes]) -> bytes:
    """With those of the client's fields that its dialect carries over: they say which version of it is spoken. What stands in the head
    under the same name gives way."""
    for name in names:
        value = fields.get(name)
        if value is not None:
            start = head.find(b"\r\n%b: " % name)
            if start >= 0:
                head = head[: start + 2] + head[head.index(b"\r\n", start + 2) + 2 :]
            head += b"%b: %b\r\n" % (name, value)
    return head


def passage(run: Run, offer: Offer) -> Passage | None:
    """The way to this offer; None where a large body is translated elsewhere first, and `run.go` follows. Raises Refused when it cannot be
    asked what the caller asks."""
    found = _in_events(run, offer)
    return None if found is None else framed(run, found)


def framed(run: Run, events: Passage) -> Passage:
    """With the stream as its client reads it."""
    dialect = run.route.dialect
    if dialect.framing is not None and run.seen.stream and (framing := dialect.framing(run.request.query)) is not None:
        return Framed(events, framing)
    return events


def _in_events(run: Run, offer: Offer) -> Passage | None:
    dialect = run.route.dialect
    way = offer.host.way(dialect)
    if way is None:
        raise Refused(Condition.NO_PROVIDER, f'The provider "{offer.host.name}" does not serve this kind of request.')
    if way.dialect is dialect:
        return Moving(run, offer, way) if way.moved else Straight(run, offer, way)
    return crossing(run, offer, way) if dialect.doors is not None else Translation(run, offer, way)
