"""An upstream that writes bytes no server should: a thread per connection, the reply chosen by the model that was asked for.

A reply is a function of the open socket; the request has been read to its end unless the reply's name begins with `unread`. Every socket
has a time limit, and leaving the context ends every thread.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Mapping

Reply = Callable[[socket.socket], None]

LIMIT_S = 15.0
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Hostile:
    """`url` is the base URL; `asked` names the models in the order they were asked for, `writing` those whose reply goes on."""

    def __init__(self, replies: Mapping[str, Reply]) -> None:
        self._replies = replies
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.asked: list[str] = []
        self.writing: list[str] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def __enter__(self) -> Hostile:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LIMIT_S)

    def _start(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(LIMIT_S)
            self._open.add(connection)
            self._start(lambda connection=connection: self._serve(connection))

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while True:
                head, body = _head(connection)
                if not head:
                    break
                while not (model := _model(body)):
                    body += connection.recv(4096)
                if not model.startswith("unread"):
                    _rest(connection, head, body)
                self.asked.append(model)
                self.writing.append(model)
                try:
                    self._replies[model](connection)
                finally:
                    self.writing.remove(model)
        self._open.discard(connection)


def said(*pieces: bytes) -> Reply:
    """Writes the pieces and keeps the connection."""
    return lambda connection: connection.sendall(b"".join(pieces))


def said_and_closed(*pieces: bytes) -> Reply:
    def reply(connection: socket.socket) -> None:
        connection.sendall(b"".join(pieces))
        connection.shutdown(socket.SHUT_RDWR)

    return reply


def without_end(start: bytes, piece: bytes) -> Reply:
    """Writes until nobody listens any more."""

    def reply(connection: socket.socket) -> None:
        connection.sendall(start)
        many = piece * (65536 // len(piece) + 1)
        while True:
            connection.sendall(many)

    return reply


def whole(value: object, *fields: bytes, status: bytes = b"200 OK", kind: bytes = b"application/json") -> bytes:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    lines = [b"HTTP/1.1 " + status, b"content-type: " + kind, b"content-length: %d" % len(body), *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _head(connection: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b"", b""
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    return head, body


def _rest(connection: socket.socket, head: bytes, body: bytes) -> None:
    length = _LENGTH.search(head)
    missing = (int(length[1]) if length else 0) - len(body)
    while missing > 0:
        piece = connection.recv(min(missing, 1 << 20))
        if not piece:
            break
        missing -= len(piece)


def _model(body: bytes) -> str:
    found = re.search(rb'"model":\s*"([^"]+)"', body)
    return found[1].decode() if found else ""
