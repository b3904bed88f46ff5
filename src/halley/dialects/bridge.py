"""Two dialects joined for one request: the client's on one side, the provider's on the other, and the vocabulary of `chat` between.

A bridge is made from two sets of doors and knows neither dialect. The ask goes over once per attempt, because a provider's name and what it
can do are part of it; the answer goes over whole or as a stream. What either writer cannot say is kept in `losses`, named in the caller's
spelling. It never sees a status line, a header or a price.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from halley.chat import calls, naming
from halley.chat.doors import Asked, Doors, ProviderError, StreamReader, StreamWriter, Target, Unreadable, Written
from halley.chat.events import Delta, Event, Failed, Finished
from halley.chat.fold import BrokenStream, fold
from halley.chat.model import Answer, Ask, Loss
from halley.errors import Condition, Refused
from halley.wire import sse

_LAST = (Finished, Failed)
_BROKEN_OFF = Failed("The provider broke off its answer.", 502)


def spelled(losses: Iterable[Loss], client: Doors) -> tuple[Loss, ...]:
    """Losses with the caller's words for fields of the ask."""
    return tuple(
        msgspec.structs.replace(loss, path=client.spelling[loss.path]) if loss.path in client.spelling else loss for loss in losses
    )


def carried(ask: Ask, client: Doors, provider: Doors, target: Target) -> Written:
    """The ask for its provider, with losses in the caller's words. Raises Refused when the provider's dialect cannot say something that
    must not be lost."""
    for extra in ask.extras:
        if extra.essential is not None and extra.dialect != provider.name:
            raise Refused(Condition.INVALID, f"{extra.at}: {extra.essential}.", param=extra.at, code=extra.code)
    written = provider.write_ask(naming.fitted(ask), target)
    return Written(written.body, spelled(written.losses, client))


def gathered(provider: Doors, body: bytes, origin: str, new_id: str) -> Answer:
    """The whole answer that all of a provider's stream says. Raises Unreadable where it breaks off or fails."""
    reader = provider.read_stream(origin, new_id)
    events: list[Event] = []
    for name, payload in sse.named(body):
        events += reader.feed(payload, name)
    events += reader.end()
    try:
        return msgspec.structs.replace(fold(events), losses=tuple(reader.losses))
    except BrokenStream as error:
        raise Unreadable(str(error)) from None


class Bridge:
    """One attempt: the ask written for its provider, and the way back. `losses` grows with the answer."""

    __slots__ = ("_asked", "_client", "_had", "_provider", "_target", "_tools", "body", "losses")

    def __init__(self, client: Doors, provider: Doors, target: Target, asked: Asked, written: Written) -> None:
        self._client = client
        self._provider = provider
        self._target = target
        self._asked = asked
        self._tools = calls.offered(asked.ask.tools)
        self._had = calls.had(asked.ask.turns)
        self.body = written.body
        self.losses = written.losses

    def whole(self, body: bytes) -> bytes:
        """A whole answer in the client's words. Raises Unreadable."""
        return self._told(self._provider.read_answer(body, self._target.origin, self._asked.id))

    def gathered(self, body: bytes) -> bytes:
        """The same of a stream that the provider sent in its place. Raises Unreadable."""
        return self._told(gathered(self._provider, body, self._target.origin, self._asked.id))

    def _told(self, answer: Answer) -> bytes:
        if self._asked.ask.tools:
            answer = msgspec.structs.replace(answer, parts=calls.known(answer.parts, self._tools, calls.Repeats(self._had)))
        written: Written = self._client.write_answer(answer, self._asked)
        self.losses += (*answer.losses, *spelled(written.losses, self._client))
        return written.body

    def stream(self) -> Stream:
        reader = self._provider.read_stream(self._target.origin, self._asked.id)
        if self._asked.ask.tools:
            reader = calls.KnownCalls(reader, self._tools, calls.Repeats(self._had))
        return Stream(reader, self._client.write_stream(self._asked))

    def error(self, status: int, body: bytes) -> ProviderError:
        return self._provider.read_error(status, body)


class Stream:
    """A provider's stream becoming a client's. `feed` takes whole frames; `over`: the client's stream is complete, well or badly."""

    __slots__ = ("_read", "_reader", "_say", "_writer", "failed", "over")

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._read = reader.feed
        self._say = writer.write
        self.over = self.failed = False

    @property
    def losses(self) -> tuple[Loss, ...]:
        return (*self._reader.losses, *self._writer.losses)

    def feed(self, data: bytes) -> bytes:
        """Raises Unreadable at a frame that the provider's dialect does not have; what came before it is lost with it."""
        if self.over:
            return b""
        frames = sse.named(data)
        events: list[Event]
        if len(frames) == 1:
            name, payload = frames[0]
            events = self._read(payload, name)
            return self._say(events) if events and type(events[-1]) is Delta else self._write(events)
        events = []
        for name, payload in frames:
            events += self._read(payload, name)
            if events and type(events[-1]) in _LAST:
                break
        return self._write(events)

    def end(self) -> bytes:
        """The provider's connection is over."""
        out = b"" if self.over else self._write(self._reader.end())
        return out if self.over else out + self.fail(_BROKEN_OFF)

    def fail(self, failure: Failed) -> bytes:
        """The gateway ends the stream itself."""
        return b"" if self.over else self._write([failure])

    def _write(self, events: list[Event]) -> bytes:
        if not events:
            return b""
        last = type(events[-1])
        if last is not Delta and last in _LAST:
            self.over = True
            self.failed = last is Failed
        return self._say(events)


__all__ = ["Bridge", "Stream", "Unreadable", "carried", "gathered", "spelled"]
