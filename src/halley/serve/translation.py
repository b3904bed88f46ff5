"""A request without a stream whose provider speaks another dialect than its client: a `serve.passage.Passage` over a `chat.doors.Swap`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from halley.chat import seals
from halley.chat.doors import Swap, Target, Unreadable
from halley.errors import Condition, Refused
from halley.serve import estimates
from halley.serve.crossing import EVENT_STREAM, refuse_losses, translated_error

if TYPE_CHECKING:
    from halley.chat.meter import Meter
    from halley.chat.model import Loss
    from halley.serve.answers import Answer
    from halley.serve.relay import Run
    from halley.serve.tables import Offer, Way


# What is only counted need not be a conversation that another dialect has: Gemini CLI 0.61 counts a tool's picture without its call.
_NOT_COUNTED = frozenset({400, 422})


class Translation:
    """One attempt."""

    __slots__ = ("_ask", "_client", "_provider", "body", "head", "losses", "spoken")

    kind = EVENT_STREAM
    failed = False

    def __init__(self, run: Run, offer: Offer, way: Way) -> None:
        """Raises Refused: what must not be lost would be, or what may be is and the caller is strict."""
        host = offer.host
        self.spoken = way.dialect
        client, provider = run.route.dialect.swap, way.dialect.swap
        if client is None or provider is None:
            raise Refused(Condition.NO_PROVIDER, f'The provider "{host.name}" does not serve this kind of request.')
        self._client: Swap[Any, Any] = client
        self._provider: Swap[Any, Any] = provider
        self.head = offer.head(way, stream=False)
        self._ask = client.read(run.request.body, run.seen.model)
        origin = seals.origin(self.spoken.name, host.name)
        written = provider.write(self._ask, Target(offer.model, origin, host.cap_field, run.model.max_output, host.takes_urls))
        self.body = written.body
        self.losses: tuple[Loss, ...] = written.losses
        refuse_losses(run, host.name, self.losses)

    def begin(self, run: Run) -> Meter:
        return self.spoken.meter(run.seen, strip=False)

    def frames(self, data: bytes) -> bytes:
        return data

    def end(self, run: Run, refusal: Refused | None) -> bytes:
        return b""

    def close(self) -> bytes:
        return b""

    def whole(self, body: bytes) -> bytes:
        return self._client.write_answer(self._provider.read_answer(body), self._ask)

    def gathered(self, run: Run, body: bytes) -> bytes:
        raise Unreadable("a stream of what has none")

    def error(self, run: Run, status: int, fields: bytes, body: bytes) -> Answer:
        if status in _NOT_COUNTED and run.route.dialect.estimate is not None:
            return estimates.estimate(run, run.route.dialect, self._ask, fields)
        return translated_error(run, self._provider.read_error(status, body), fields)
