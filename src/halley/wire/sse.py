"""Server-sent events as bytes: where frames end, what their data is, how one is written. No meaning, no decoding of what they carry.

A frame ends at a blank line; line ends may be LF, CRLF or CR (WHATWG HTML, section 9.2.6). The splitter keeps the bytes of each frame as
they came, with their blank line, so that joining all frames and the rest gives back the stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_BLANK_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n|\r\n\n")
_DATA = re.compile(rb"(?:^|\r\n|\n|\r)data:? ?([^\r\n]*)")
_EVENT = re.compile(rb"(?:^|\r\n|\n|\r)event: ?([^\r\n]*)")
_LONGEST_LINE = 3  # bytes of a blank line and of the end before it, without the last
COMMENT = b": keep-alive\n\n"  # says nothing to anybody
_BOM = b"\xef\xbb\xbf"


class Splitter:
    """Bytes in, complete frames out, whatever the chunking. `rest` is the frame that has begun and not ended, `waiting` its length."""

    __slots__ = ("_pieces", "_seam", "waiting")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []  # of a long frame, put together once
        self._seam = b""  # the end of them, where a blank line may have begun
        self.waiting = 0

    @property
    def rest(self) -> bytes:
        return b"".join(self._pieces)

    def complete(self, data: bytes) -> bytes:
        """All bytes up to the last frame end seen so far; what follows waits in `rest`."""
        if self.waiting:
            seen = self._seam + data
            if seen.endswith(b"\n\n"):
                return self.drop() + data
            end = last_end(seen)
            if not end:
                self._wait(data, seen)
                return b""
            cut = self.waiting - len(self._seam) + end
            data = self.drop() + data
        elif data.endswith(b"\n\n"):  # what nearly every read of nearly every provider looks like
            return data
        else:
            cut = last_end(data)
        if cut < len(data):
            rest = data[cut:]
            self._wait(rest, rest)
        return data[:cut]

    def drop(self) -> bytes:
        """The rest, which then waits no more."""
        rest = self.rest
        self._pieces, self._seam, self.waiting = [], b"", 0
        return rest

    def _wait(self, piece: bytes, seen: bytes) -> None:
        self._pieces.append(piece)
        self._seam = seen[-_LONGEST_LINE:]
        self.waiting += len(piece)


def last_end(data: bytes) -> int:
    """Offset just past the last blank line, 0 if there is none. A CR at the very end is not trusted: its LF may still come."""
    cut = max(data.rfind(b"\n\n") + 1, data.rfind(b"\n\r\n") + 2)
    if cut > 1:
        return cut + 1
    cut = data.rfind(b"\r\r", 0, len(data) - 1)
    return cut + 2 if cut >= 0 else 0


def frames(data: bytes) -> Iterator[bytes]:
    """Frames one after the other, each with the blank line that ends it; what follows the last one comes last."""
    start = 0
    if b"\r" in data:
        for match in _BLANK_LINE.finditer(data):
            yield data[start : match.end()]
            start = match.end()
    else:
        while (end := data.find(b"\n\n", start)) >= 0:
            yield data[start : end + 2]
            start = end + 2
    if start < len(data):
        yield data[start:]


def frame_start(data: bytes, position: int) -> int:
    """Where the frame begins that holds a position."""
    if b"\r" in data:
        return last_end(data[:position])
    end = data.rfind(b"\n\n", 0, position)
    return end + 2 if end >= 0 else 0


def payload(frame: bytes) -> bytes:
    """The data of one frame: its `data` lines joined by LF; empty for a comment or an event without data."""
    lines = _DATA.findall(frame.removeprefix(_BOM))
    return lines[0] if len(lines) == 1 else b"\n".join(lines)


def named(data: bytes) -> list[tuple[bytes, bytes]]:
    """The name and the payload of each of these whole frames that has a payload: what a reader of a stream's meaning is fed with.

    One line of data, with a line before it that names the event or without: what nearly every provider writes costs a fraction of the rest.
    """
    if b"\r" in data:
        return [pair for frame in frames(data) if (pair := _named(frame))[1]]
    # One frame, which is what a slow model's read brings.
    if data.endswith(b"\n\n"):
        end = data.find(b"\n")
        last = len(data) - 2
        if end == last:
            if last > 6 and data.startswith(b"data: "):
                return [(b"", data[6:-2])]
        elif data.startswith(b"\ndata: ", end) and data.find(b"\n", end + 7) == last > end + 7 and data.startswith(b"event: "):
            return [(data[7:end], data[end + 7 : -2])]
    found: list[tuple[bytes, bytes]] = []
    for frame in data.split(b"\n\n"):
        if frame.startswith(b"data: ") and frame.find(b"\n", 6) < 0 and len(frame) > 6:
            found.append((b"", frame[6:]))
        elif (
            frame.startswith(b"event: ")
            and 0 < (end := frame.find(b"\n")) == frame.find(b"\ndata: ") < len(frame) - 7
            and frame.find(b"\n", end + 7) < 0
        ):
            found.append((frame[7:end], frame[end + 7 :]))
        elif frame and (odd := _named(frame))[1]:
            found.append(odd)
    return found


def _named(frame: bytes) -> tuple[bytes, bytes]:
    names = _EVENT.findall(frame)
    return names[-1] if names else b"", payload(frame)


def render(data: bytes, event: bytes = b"") -> bytes:
    """One frame. `data` has no line ends of its own (it is JSON)."""
    if event:
        return b"event: %b\ndata: %b\n\n" % (event, data)
    return b"data: %b\n\n" % data
