"""A fake upstream whose streams last: each sends 50 time-stamped chunks a second until its reader leaves. Run as a process.

A stream of the model `bench-idle` sends one chunk and is silent from then on. Plain sockets and epoll, because it has to write 50,000
chunks a second beside its reader on one core. `GET /open` tells how many streams are open, so that a gateway that goes on reading for
clients who left is seen.
"""

from __future__ import annotations

import argparse
import gc
import select
import socket
import time

from bench.canned import event

PER_S = 50
_SLOTS = 20  # streams are spread over the milliseconds of one period, as they would be in life


def _frame() -> tuple[bytes, bytes]:
    """What stands before and after the stamp in one chunk, with the chunk's HTTP framing."""
    stamp = "000000@0000000000000000000"
    bare = event("bench-paced", [{"index": 0, "delta": {"content": stamp}, "finish_reason": None}])
    before, after = (bare.encode() + b"\n\n").split(stamp.encode())
    size = len(before) + len(after) + len(stamp)
    return b"%x\r\n%s" % (size, before), after + b"\r\n"


BEFORE, AFTER = _frame()
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n"


class _Stream:
    __slots__ = ("number", "rest", "slot", "socket")

    def __init__(self, connection: socket.socket, slot: int | None) -> None:
        self.socket = connection
        self.slot = slot
        self.number = 0
        self.rest = b""

    def send(self) -> None:
        """The next chunk, or what the socket did not take of the last one. Raises OSError when the reader is gone."""
        data = self.rest or b"%s%06d@%019d%s" % (BEFORE, self.number, time.monotonic_ns(), AFTER)
        if not self.rest:
            self.number += 1
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        self.rest = data[sent:]


class Upstream:
    """The listener, its connections, and the wheel of slots that says whose turn it is."""

    __slots__ = ("_asking", "_epoll", "_listener", "_slots", "_streams")

    def __init__(self, port: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self._listener.setblocking(False)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._asking: dict[int, tuple[socket.socket, bytearray]] = {}
        self._streams: dict[int, _Stream] = {}
        self._slots: list[dict[int, _Stream]] = [{} for _ in range(_SLOTS)]

    def run(self) -> None:
        step = 1 / PER_S / _SLOTS
        due = time.monotonic()
        turn = 0
        while True:
            wait = due - time.monotonic()
            for fd, _ in self._epoll.poll(max(wait, 0)):
                self._react(fd)
            if due > time.monotonic():
                continue
            for fd, stream in list(self._slots[turn].items()):
                try:
                    stream.send()
                except OSError:
                    self._drop(fd)
            turn = (turn + 1) % _SLOTS
            due = max(due + step, time.monotonic() - 5 * step)

    def _react(self, fd: int) -> None:
        if fd == self._listener.fileno():
            self._accept()
        elif fd in self._asking:
            self._read(fd)
        else:
            self._drop(fd)  # a reader says nothing more in mid-stream: readable means gone

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._asking[connection.fileno()] = (connection, bytearray())
            self._epoll.register(connection, select.EPOLLIN)

    def _read(self, fd: int) -> None:
        connection, received = self._asking[fd]
        try:
            data = connection.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._drop(fd)
            return
        received += data
        head, blank, body = received.partition(b"\r\n\r\n")
        if not blank or len(body) < _length(bytes(head)):
            return
        received.clear()
        if head.startswith(b"GET "):  # also what a gateway asks to see whether somebody is there
            text = b'{"open":%d}' % len(self._streams)
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))
            return
        del self._asking[fd]
        connection.send(_HEAD)
        if b'"bench-idle"' in body:
            stream = self._streams[fd] = _Stream(connection, None)
            stream.send()
            return
        slot = min(range(_SLOTS), key=lambda index: len(self._slots[index]))
        self._streams[fd] = self._slots[slot][fd] = _Stream(connection, slot)

    def _drop(self, fd: int) -> None:
        if fd in self._asking:
            connection, _ = self._asking.pop(fd)
        else:
            stream = self._streams.pop(fd)
            if stream.slot is not None:
                del self._slots[stream.slot][fd]
            connection = stream.socket
        self._epoll.unregister(fd)
        connection.close()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.paced")
    parser.add_argument("--port", type=int, required=True)
    upstream = Upstream(parser.parse_args().port)
    gc.disable()
    upstream.run()


if __name__ == "__main__":
    main()
