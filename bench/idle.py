"""Thousands of streams that are open and say nothing: opened at a steady rate, the first chunk of each checked, then held.

Run as a process. It prints `open` when every stream has brought its first chunk, holds them until its standard input ends, and leaves all
at once. The one who measures the gateway's memory listens.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import sys
import time

from bench.canned import Wrong
from bench.http import Door
from bench.streams import check_order, payload_of

PER_S = 600.0
ALL_SPEAK_S = 30.0


class Holder:
    """The connections. `spoken` counts the streams that brought exactly the first chunk."""

    __slots__ = ("_epoll", "_request", "_sockets", "_waiting", "_where", "spoken")

    def __init__(self, door: Door) -> None:
        self._request = door.request("idle")
        self._where = door.address
        self._epoll = select.epoll()
        self._sockets: list[socket.socket] = []
        self._waiting: dict[int, tuple[socket.socket, bytearray]] = {}
        self.spoken = 0

    def open(self, count: int, per_s: float) -> None:
        begin = time.monotonic()
        for index in range(count):
            one = socket.create_connection(self._where, timeout=30)
            one.sendall(self._request)
            one.setblocking(False)
            self._sockets.append(one)
            self._waiting[one.fileno()] = (one, bytearray())
            self._epoll.register(one, select.EPOLLIN)
            self.read_until(begin + (index + 1) / per_s)

    def read_until(self, end: float) -> None:
        while (left := end - time.monotonic()) > 0 and self._waiting:
            for fd, _ in self._epoll.poll(left):
                self._read(fd)

    def close(self) -> None:
        for one in self._sockets:
            one.close()

    def _read(self, fd: int) -> None:
        one, received = self._waiting[fd]
        data = one.recv(65536)
        if not data:
            raise Wrong(f"stream {self.spoken} ended: {bytes(received[:200])!r}")
        received += data
        if first_chunk(bytes(received)):
            self.spoken += 1
            # From here on it is silent, and forgotten: what it still says would be found by nobody.
            self._epoll.unregister(fd)
            del self._waiting[fd]


def first_chunk(received: bytes) -> bool:
    """Whether the first chunk is whole. Raises Wrong for another status, broken framing, or another chunk."""
    if b"\r\n\r\n" not in received:
        return False
    payload = payload_of(received)
    if not payload.endswith((b"\n\n", b"\r\n\r\n")):
        return False
    if check_order(payload) != 1:
        raise Wrong(f"the first chunk is {payload[:200]!r}")
    return True


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.idle")
    parser.add_argument("--url", required=True)
    parser.add_argument("--streams", type=int, required=True)
    options = parser.parse_args()
    fields = json.loads(sys.stdin.readline())  # credentials do not belong on a command line
    holder = Holder(Door(options.url, fields))
    try:
        holder.open(options.streams, PER_S)
        holder.read_until(time.monotonic() + ALL_SPEAK_S)
    except (Wrong, OSError) as error:
        sys.exit(f"{error}")
    if holder.spoken != options.streams:
        sys.exit(f"{options.streams - holder.spoken} of {options.streams} idle streams brought nothing")
    print("open", flush=True)
    sys.stdin.read()
    holder.close()


if __name__ == "__main__":
    main()
