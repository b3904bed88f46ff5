"""A request whose provider speaks another dialect than its client: the relay's side of a bridge, one per attempt.

The relay meters and settles what the provider says; what the client gets is made here from it. It reads no status line and moves no money.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from halley.chat import seals
from halley.chat.doors import Asked, Target
from halley.chat.events import Failed
from halley.dialects.bridge import Bridge, Stream, Unreadable
from halley.errors import Condition, Refused

if TYPE_CHECKING:
    from halley.chat.doors import ProviderError
    from halley.chat.meter import Meter
    from halley.chat.model import Loss
    from halley.serve.answers import Answer
    from halley.serve.relay import Run
    from halley.serve.tables import Offer, Way

EVENT_STREAM = b"text/event-stream"
STRICT = b"x-halley-strict"
# Reading an ask and writing it anew costs about five microseconds for each, on the relay's loop.
MOST_OBJECTS = 20_000
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


class Crossing:
    """A `serve.passage.Passage` between two dialects."""

    kind = EVENT_STREAM

    __slots__ = ("_bridge", "_stream", "body", "head", "spoken")

    def __init__(self, run: Run, offer: Offer, way: Way) -> None:
        """Raises Refused: what must not be lost would be, or what may be is and the caller is strict."""
        host = offer.host
        self.spoken = spoken = way.dialect
        self.head = offer.head(way, stream=run.seen.stream)
        client, provider = run.route.dialect.doors, spoken.doors
        if client is None or provider is None:
            raise Refused(Condition.NO_PROVIDER, f'The provider "{host.name}" does not serve this kind of request.')
        ask = run.ask
        if ask is None:
            if run.request.body.count(b"{") > MOST_OBJECTS:
                message = f'The provider "{host.name}" speaks another dialect; more than {MOST_OBJECTS} objects are not translated.'
                raise Refused(Condition.BODY_TOO_LARGE, message)
            ask = client.read_ask(run.request.body)
            ask = run.ask = msgspec.structs.replace(ask, model=run.seen.model, stream=run.seen.stream)
        if run.sent_cap is not None:
            ask = msgspec.structs.replace(ask, max_output=run.sent_cap)
        target = Target(offer.model, seals.origin(spoken.name, host.name), host.cap_field, run.model.max_output, host.takes_urls)
        asked = Asked(ask, run.seen.model, run.id.removeprefix("req_"), int(run.gateway.wall()))
        self._bridge = bridge = Bridge(client, provider, ask, target, asked)
        self._stream: Stream | None = None
        self.body = bridge.body
        refuse_losses(run, host.name, bridge.losses)

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

    def error(self, run: Run, status: int, fields: bytes, body: bytes) -> Answer:
        return translated_error(run, self._bridge.error(status, body), fields)


def refuse_losses(run: Run, provider: str, losses: tuple[Loss, ...]) -> None:
    """Raises Refused when something would be lost and the caller is strict."""
    if losses and run.request.fields.get(STRICT) == b"1":
        loss = losses[0]
        others = f" (and {len(losses) - 1} more)" if len(losses) > 1 else ""
        message = f'The provider "{provider}" cannot be told {loss.path}{others}: {loss.reason}. x-halley-strict allows no loss.'
        raise Refused(Condition.INVALID, message, param=loss.path)


def translated_error(run: Run, error: ProviderError, fields: bytes) -> Answer:
    """A provider's refusal as the client's dialect says it. `fields` are those of our own head."""
    condition = _CONDITIONS.get(error.status) or (Condition.INVALID if 400 <= error.status < 500 else Condition.UPSTREAM)
    status, _, body = run.route.dialect.write_error(Refused(condition, error.message, param=error.param), run.id)
    return status, fields, body
