"""Two dialects joined for one request: the client's on one side, the provider's on the other, and the vocabulary of `chat` between.

A bridge is made from two sets of doors and knows neither dialect. The ask goes over once per attempt, because a provider's name and what it
can do are part of it; the answer goes over whole or as a stream. What either writer cannot say is kept in `losses`, named in the caller's
spelling. It never sees a status line, a header or a price.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from halley.chat.doors import Asked, Doors, ProviderError, StreamReader, StreamWriter, Target, Unreadable, Written
from halley.chat.events import Event, Failed, Finished
from halley.chat.model import Ask, Loss
from halley.errors import Condition, Refused
from halley.wire import sse

_LAST = (Finished, Failed)


def spelled(losses: Iterable[Loss], client: Doors) -> tuple[Loss, ...]:
    """Losses with the caller's words for fields of the ask."""
    return tuple(
        msgspec.structs.replace(loss, path=client.spelling[loss.path]) if loss.path in client.spelling else loss for loss in losses
    )


class Bridge:
    """One attempt: the ask written for its provider, and the way back. `losses` grows with the answer."""

    __slots__ = ("_asked", "_client", "_provider", "_target", "body", "losses")

    def __init__(self, client: Doors, provider: Doors, ask: Ask, target: Target, asked: Asked) -> None:
        """Raises Refused when the provider's dialect cannot say something that must not be lost."""
        self._client = client
        self._provider = provider
        self._target = target
        self._asked = asked
        for extra in ask.extras:
            if extra.essential is not None and extra.dialect != provider.name:
                raise Refused(Condition.INVALID, f"{extra.at}: {extra.essential}.", param=extra.at, code=extra.code)
        written = provider.write_ask(ask, target)
        self.body = written.body
        self.losses = spelled(written.losses, client)

    def whole(self, body: bytes) -> bytes:
        """A whole answer in the client's words. Raises Unreadable."""
        answer = self._provider.read_answer(body, self._target.origin, self._asked.id)
        written: Written = self._client.write_answer(answer, self._asked)
        self.losses += spelled(written.losses, self._client)
        return written.body

    def stream(self) -> Stream:
        return Stream(self._provider.read_stream(self._target.origin, self._asked.id), self._client.write_stream(self._asked))

    def error(self, status: int, body: bytes) -> ProviderError:
        return self._provider.read_error(status, body)


class Stream:
    """A provider's stream becoming a client's. `feed` takes whole frames; `over`: the client's stream is complete, well or badly."""

    __slots__ = ("_reader", "_writer", "failed", "over")

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.over = self.failed = False

    @property
    def losses(self) -> tuple[Loss, ...]:
        return tuple(self._writer.losses)

    def feed(self, data: bytes) -> bytes:
        """Raises Unreadable at a frame that the provider's dialect does not have; what came before it is lost with it."""
        if self.over:
            return b""
        read = self._reader.feed
        events: list[Event] = []
        for name, payload in sse.named(data):
            events += read(payload, name)
            if events and type(events[-1]) in _LAST:
                break
        return self._write(events)

    def end(self) -> bytes:
        """The provider's connection is over."""
        return b"" if self.over else self._write(self._reader.end())

    def fail(self, failure: Failed) -> bytes:
        """The gateway ends the stream itself."""
        return b"" if self.over else self._write([failure])

    def _write(self, events: list[Event]) -> bytes:
        if not events:
            return b""
        last = type(events[-1])
        if last in _LAST:
            self.over = True
            self.failed = last is Failed
        return self._writer.write(events)


__all__ = ["Bridge", "Stream", "Unreadable", "spelled"]
