"""A request whose provider speaks another dialect than its client: the relay's side of a bridge, one per attempt.

The relay meters and settles what the provider says; what the client gets is made here from it. It reads no status line and moves no money.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from halley.chat import seals
from halley.chat.doors import Asked, Target
from halley.chat.events import Failed
from halley.chat.model import Inline
from halley.dialects import DOORS
from halley.dialects.bridge import Bridge, Stream, Unreadable, carried
from halley.errors import Condition, Refused
from halley.providers import tweaks
from halley.serve import fetching
from halley.wire.jsonbody import Members, Places, set_members

if TYPE_CHECKING:
    from halley.chat.doors import ProviderError, Written
    from halley.chat.meter import Meter
    from halley.chat.model import Ask, Loss
    from halley.serve.answers import Answer
    from halley.serve.relay import Run
    from halley.serve.tables import Offer, Way

EVENT_STREAM = b"text/event-stream"
STRICT = b"x-halley-strict"
# Reading an ask and writing it anew costs about five microseconds for each object, and a millisecond for each of these halves of a MiB.
SMALL_OBJECTS = 2000
SMALL_BYTES = 524288
MOST_OBJECTS = 20_000  # of all that is not the conversation, in a body that is not small
_NO_TURNS = b'[{"role":"user","content":"","parts":[]}]'  # in any dialect
# What a provider's refusal means where its status means something; all others are its own failure.
_CONDITIONS = {
    400: Condition.INVALID,
    403: Condition.NOT_ALLOWED,
    404: Condition.UNKNOWN_MODEL,
    408: Condition.DEADLINE,
    413: Condition.BODY_TOO_LARGE,
    415: Condition.WRONG_TYPE,
    422: Condition.INVALID,
    429: Condition.RATE_LIMIT,
    503: Condition.OVERLOADED,
    504: Condition.DEADLINE,
    529: Condition.OVERLOADED,
}


class Order(msgspec.Struct, tag=True):
    """What has to be known to write a client's ask for a provider, beside its body: the dialects of both by name, what the request is known
    to ask for, and the target. `contents` are those of addresses that were fetched for it."""

    client: str
    provider: str
    model: str
    stream: bool
    cap: int | None
    target: Target
    contents: dict[str, Inline] = {}

    def read(self, body: bytes) -> Ask:
        """Raises Refused."""
        return msgspec.structs.replace(DOORS[self.client].read_ask(body), model=self.model, stream=self.stream)

    def remembered(self, body: bytes, members: Members | Places) -> Ask:
        """What of an ask a writer of its answer looks at, which is everything but the turns. Raises Refused."""
        rest = set_members(body, members, {DOORS[self.client].spelling["turns"]: _NO_TURNS})
        if rest.count(b"{") > MOST_OBJECTS:
            message = f"More than {MOST_OBJECTS} objects beside the conversation are not translated for a provider of another dialect."
            raise Refused(Condition.BODY_TOO_LARGE, message)
        return self.read(rest)

    def written(self, ask: Ask) -> tuple[Ask, Written]:
        """The ask as it is sent, and what is sent. Raises Refused."""
        if self.cap is not None:
            ask = msgspec.structs.replace(ask, max_output=self.cap)
        if self.contents:
            ask = fetching.inlined(ask, self.contents)
        return ask, carried(ask, DOORS[self.client], DOORS[self.provider], self.target)


class Crossing:
    """A `serve.passage.Passage` between two dialects."""

    kind = EVENT_STREAM

    __slots__ = ("_bridge", "_stream", "body", "head", "spoken")

    def __init__(self, run: Run, offer: Offer, way: Way, order: Order, ask: Ask, written: Written) -> None:
        """Raises Refused: what may be lost is, and the caller is strict."""
        self.spoken = way.dialect
        self.head = offer.head(way, stream=run.seen.stream)
        previous = run.recalled.answer if run.recalled is not None else None
        asked = Asked(ask, run.seen.model, run.id.removeprefix("req_"), int(run.gateway.wall()), previous)
        self._bridge = Bridge(DOORS[order.client], DOORS[order.provider], order.target, asked, written)
        self._stream: Stream | None = None
        self.body = tweaks.apply(written.body, way.tweaks) if way.tweaks else written.body
        refuse_losses(run, offer.host.name, written.losses)

    @property
    def losses(self) -> tuple[Loss, ...]:
        return self._bridge.losses if self._stream is None else (*self._bridge.losses, *self._stream.losses)

    @property
    def failed(self) -> bool:
        return self._stream is not None and self._stream.failed

    def begin(self, run: Run) -> Meter:
        self._stream = self._bridge.stream()
        return self.spoken.meter(run.seen, strip=False)

    def frames(self, data: bytes) -> bytes:
        """What its dialect's reader does not understand ends the stream as a failure."""
        assert self._stream is not None
        try:
            return self._stream.feed(data)
        except Unreadable:
            return self._stream.fail(Failed("The provider sent something that is no answer in its dialect.", 502))

    def end(self, run: Run, refusal: Refused | None) -> bytes:
        assert self._stream is not None
        if refusal is None:
            return self._stream.end()
        return self._stream.fail(Failed(refusal.message, refusal.condition.status, refusal.condition.value.openai_code))

    def close(self) -> bytes:
        return b""

    def whole(self, body: bytes) -> bytes:
        return self._bridge.whole(body)

    def gathered(self, run: Run, body: bytes) -> bytes:
        return self._bridge.gathered(body)

    def error(self, run: Run, status: int, fields: bytes, body: bytes) -> Answer:
        return translated_error(run, self._bridge.error(status, body), fields)


def order(run: Run, offer: Offer, way: Way) -> Order:
    """Raises Refused."""
    host, client, provider = offer.host, run.route.dialect.doors, way.dialect.doors
    if client is None or provider is None:
        raise Refused(Condition.NO_PROVIDER, f'The provider "{host.name}" does not serve this kind of request.')
    origin = seals.origin(way.dialect.name, host.name)
    target = Target(offer.model, origin, host.cap_field, run.model.max_output, host.takes_urls, host.exact_ids)
    return Order(client.name, provider.name, run.seen.model, run.seen.stream, run.sent_cap, target)


def crossing(run: Run, offer: Offer, way: Way) -> Crossing | None:
    """None: the body is so large that it is written elsewhere, or something is fetched first; then the attempt goes on later. Raises
    Refused: what must not be lost would be, or what may be is and the caller is strict."""
    wanted = order(run, offer, way)
    if run.ask is None:
        if not is_small(run.request.body):
            run.gateway.lectern.write(run, wanted)
            return None
        run.ask = wanted.read(run.request.body)
    try:
        ask, written = wanted.written(run.ask)
    except Refused:
        # It may be an address that the provider cannot be told.
        if not offer.host.takes_urls and fetching.begun(run, run.ask):
            return None
        raise
    return Crossing(run, offer, way, wanted, ask, written)


def is_small(body: bytes) -> bool:
    """Whether a body is read and written on the relay's loop."""
    return len(body) <= SMALL_BYTES and body.count(b"{") <= SMALL_OBJECTS


def refuse_losses(run: Run, provider: str, losses: tuple[Loss, ...]) -> None:
    """Raises Refused when something would be lost and the caller is strict."""
    if losses and run.request.fields.get(STRICT) == b"1":
        loss = losses[0]
        others = f" (and {len(losses) - 1} more)" if len(losses) > 1 else ""
        message = f'The provider "{provider}" cannot be told {loss.path}{others}: {loss.reason}. x-halley-strict allows no loss.'
        raise Refused(Condition.INVALID, message, param=loss.path)


def translated_error(run: Run, error: ProviderError, fields: bytes) -> Answer:
    """A provider's refusal as the client's dialect says it. `fields` are those of our own head."""
    status, _, body = run.route.dialect.write_error(refusal(error), run.id)
    return status, fields, body


def refusal(error: ProviderError) -> Refused:
    """What a provider's refusal means."""
    condition = _CONDITIONS.get(error.status) or (Condition.INVALID if 400 <= error.status < 500 else Condition.UPSTREAM)
    return Refused(condition, error.message, param=error.param)
