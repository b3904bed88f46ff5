"""A stream of server-sent events as the one JSON array that `streamGenerateContent` answers without `alt=sse`.

Providers are always asked for events, which can be metered and cut at any frame; a client that asked for the array gets each frame's
payload as an element, as it came.
"""

from __future__ import annotations

from halley.dialects.gemini.errors import write_error_element
from halley.errors import Refused
from halley.wire import sse

_EVENTS = (b"alt=sse", b"$alt=sse")


def framing(query: bytes) -> Elements | None:
    """How a client reads its stream: None if it asked for events."""
    return None if any(pair in _EVENTS for pair in query.split(b"&")) else Elements()


class Elements:
    """`over`: the array is closed."""

    __slots__ = ("_begun", "over")

    kind = b"application/json"

    def __init__(self) -> None:
        self._begun = self.over = False

    def feed(self, frames: bytes) -> bytes:
        """Whole frames, those without data left out."""
        out: list[bytes] = []
        for _, payload in sse.named(frames):
            out += (b",\r\n" if self._begun else b"[", payload)
            self._begun = True
        return b"".join(out)

    def end(self) -> bytes:
        if self.over:
            return b""
        self.over = True
        return b"]" if self._begun else b"[]"

    def fail(self, refusal: Refused, request_id: str) -> bytes:
        """The error as the last element."""
        self.over = True
        return write_error_element(refusal, request_id, first=not self._begun)
