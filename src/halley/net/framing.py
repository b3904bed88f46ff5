"""How an answer is framed on the wire: status lines, chunks, and which answers have no body. Values only, no connection."""

from __future__ import annotations

from http import HTTPStatus

_PHRASES = {status.value: status.phrase for status in HTTPStatus} | {413: "Content Too Large", 529: "Overloaded"}
STATUS_LINES = {status: f"HTTP/1.1 {status} {phrase}\r\n".encode() for status, phrase in _PHRASES.items()}
BODILESS = frozenset((*range(100, 200), 204, 304))
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def status_line(status: int) -> bytes:
    """The reason phrase is empty for a status that only its sender knows."""
    return STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
