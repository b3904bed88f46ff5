"""Many open streams read by one process: how many chunks a second arrive, how late, and whether in order and whole. Run as a process.

The lag of a chunk is the time from the stamp that the upstream wrote into it to the read that brought it. Every 50th stream is kept
whole and taken apart at the end; of the others chunks are only counted, because the reader shares its core with the upstream. A stamp
that two reads split is not counted, so a gateway that cuts chunks loses a little.
It prints `open`, `from`, `to` as its window comes and goes (the one who measures the gateway's CPU listens), then its result as JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import select
import socket
import sys
import time
from array import array
from collections.abc import Callable
from dataclasses import asdict, dataclass

from bench.arithmetic import percentile
from bench.canned import Wrong
from bench.http import Door

_KEPT = 50
_ALL_SPEAK_S = 10.0
_stamps: Callable[[bytes], list[bytes]] = re.compile(rb"@(\d{19})").findall
_number = re.compile(rb"(\d{6})@\d{19}")


@dataclass(frozen=True, slots=True)
class Seen:
    """What arrived in the window: `lag_*` in milliseconds over all chunks."""

    streams: int
    seconds: float
    chunks: int
    per_s: float
    lag_p50_ms: float
    lag_p99_ms: float
    whole: int


def payload_of(received: bytes) -> bytes:
    """Undoes chunked framing of an answer that has not ended. Raises Wrong if the status is not 200 or the framing is broken."""
    head, blank, rest = received.partition(b"\r\n\r\n")
    if not blank or not head.startswith(b"HTTP/1.1 200"):
        raise Wrong(f"stream opened with {head[:100]!r} … {rest[:200]!r}")
    parts: list[bytes] = []
    while rest:
        size, line, after = rest.partition(b"\r\n")
        if not line:
            break
        try:
            length = int(size, 16)
        except ValueError as error:
            raise Wrong(f"broken chunk framing: {size[:40]!r}") from error
        parts.append(after[:length])
        if len(after) >= length + 2 and after[length : length + 2] != b"\r\n":
            raise Wrong("a chunk does not end where it says")
        rest = after[length + 2 :]
    return b"".join(parts)


def check_order(payload: bytes) -> int:
    """Raises Wrong unless the chunks of a stream count 0, 1, 2, … without a gap; returns how many there were."""
    numbers = [int(number) for number in _number.findall(payload)]
    if numbers != list(range(len(numbers))):
        raise Wrong(f"chunks lost or out of order among the first {len(numbers)}")
    return len(numbers)


class Reader:
    """The connections and what came in on them."""

    __slots__ = ("_epoll", "_kept", "_lags", "_request", "_sockets", "_spoke", "_where", "chunks")

    def __init__(self, door: Door) -> None:
        self._request = door.request("paced")
        self._where = door.address
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._kept: dict[int, list[bytes]] = {}
        self._lags = array("q")
        self._spoke: set[int] = set()
        self.chunks = 0

    def open(self, count: int, per_s: float) -> None:
        """Opens all streams at a steady rate while reading those that are open."""
        begin = time.monotonic()
        for index in range(count):
            one = socket.create_connection(self._where, timeout=30)
            one.sendall(self._request)
            one.setblocking(False)
            self._sockets[one.fileno()] = one
            if index % _KEPT == 0:
                self._kept[one.fileno()] = []
            self._epoll.register(one, select.EPOLLIN)
            self.read_until(begin + (index + 1) / per_s)

    def read_until(self, end: float) -> None:
        while (left := end - time.monotonic()) > 0:
            for fd, _ in self._epoll.poll(left):
                self._read(fd)

    def begin(self) -> None:
        """Forgets what was counted so far: the window begins."""
        self.chunks = 0
        del self._lags[:]

    @property
    def silent(self) -> int:
        """Streams that were opened and never brought a byte."""
        return len(self._sockets) - len(self._spoke)

    def lags_ms(self) -> list[float]:
        return [lag / 1e6 for lag in self._lags]

    def kept(self) -> list[bytes]:
        return [b"".join(parts) for parts in self._kept.values()]

    def close(self) -> None:
        for one in self._sockets.values():
            one.close()

    def _read(self, fd: int) -> None:
        data = self._sockets[fd].recv(262144)
        now = time.monotonic_ns()
        if not data:
            raise Wrong("a stream ended in the middle")
        self._spoke.add(fd)
        if fd in self._kept:
            self._kept[fd].append(data)
        stamps = _stamps(data)
        self.chunks += len(stamps)
        for stamp in stamps:
            self._lags.append(now - int(stamp))


def _say(word: str) -> None:
    print(word, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.streams")
    parser.add_argument("--url", required=True)
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    fields = json.loads(sys.stdin.read())  # credentials do not belong on a command line
    reader = Reader(Door(options.url, fields))
    gc.disable()
    try:
        reader.open(options.streams, per_s=500)
        _say("open")
        reader.read_until(time.monotonic() + 1.0)
        patience = time.monotonic() + _ALL_SPEAK_S
        while reader.silent and time.monotonic() < patience:
            reader.read_until(time.monotonic() + 0.1)
        if reader.silent:
            raise Wrong(f"{reader.silent} of {options.streams} streams brought nothing in {_ALL_SPEAK_S:.0f} s")
        reader.begin()
        _say("from")
        begin = time.monotonic()
        reader.read_until(begin + options.seconds)
        seconds = time.monotonic() - begin
        _say("to")
        chunks, lags = reader.chunks, reader.lags_ms()
        reader.close()
        whole = sum(check_order(payload_of(received)) > 0 for received in reader.kept())
        if whole != len(reader.kept()):
            raise Wrong("a stream brought no chunk")
    except (Wrong, OSError) as error:
        sys.exit(f"{error}")
    p50, p99 = (percentile(lags, 0.5), percentile(lags, 0.99)) if lags else (0.0, 0.0)
    _say(json.dumps(asdict(Seen(options.streams, seconds, chunks, chunks / seconds, p50, p99, whole))))


if __name__ == "__main__":
    main()
