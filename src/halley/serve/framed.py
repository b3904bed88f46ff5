"""A stream that its client reads in another framing than that of events: a `serve.passage.Passage` around another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from halley.chat.meter import Meter
    from halley.chat.model import Loss
    from halley.dialects import Dialect, Framing
    from halley.errors import Refused
    from halley.serve.answers import Answer
    from halley.serve.passage import Passage
    from halley.serve.relay import Run


class Framed:
    """What the provider gets and how its words are read is the other passage's matter."""

    __slots__ = ("_framing", "_inner", "body", "head", "kind", "spoken")

    def __init__(self, inner: Passage, framing: Framing) -> None:
        self._inner = inner
        self._framing = framing
        self.spoken: Dialect = inner.spoken
        self.head = inner.head
        self.body = inner.body
        self.kind = framing.kind

    @property
    def failed(self) -> bool:
        return self._inner.failed

    @property
    def losses(self) -> tuple[Loss, ...]:
        return self._inner.losses

    def begin(self, run: Run) -> Meter:
        return self._inner.begin(run)

    def frames(self, data: bytes) -> bytes:
        return self._framing.feed(self._inner.frames(data))

    def end(self, run: Run, refusal: Refused | None) -> bytes:
        if refusal is None:
            return self._framing.feed(self._inner.end(run, None)) + self._framing.end()
        if self._inner.failed:
            return self._framing.end()
        self._inner.end(run, refusal)  # its own words for it are events
        return self._framing.fail(refusal, run.id)

    def close(self) -> bytes:
        return self._framing.end()

    def whole(self, body: bytes) -> bytes:
        return self._inner.whole(body)

    def gathered(self, run: Run, body: bytes) -> bytes:
        return self._inner.gathered(run, body)

    def error(self, run: Run, status: int, fields: bytes, body: bytes) -> Answer:
        return self._inner.error(run, status, fields, body)
