"""A raw-socket HTTP/1.1 client for tests: shows every byte, follows nothing, repeats nothing, and never waits longer than its limit."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

LIMIT_S = 20.0
MOST = 128 << 20


class Reply:
    """A head that has arrived; the body is read when asked for. Field names are lower case, repeated ones are joined by `, `."""

    def __init__(self, stream: socket.SocketIO, method: str) -> None:
        line = _line(stream)
        self.status = int(line.split(b" ", 2)[1])
        self.fields: dict[str, str] = {}
        while line := _line(stream):
            name, _, value = line.decode("latin-1").partition(":")
            name, value = name.lower(), value.strip()
            self.fields[name] = f"{self.fields[name]}, {value}" if name in self.fields else value
        self._stream = stream
        self._bodiless = method == "HEAD" or self.status in (204, 304)

    def pieces(self) -> Iterator[bytes]:
        """The body as it arrives: one piece per chunk, or per read when it is not chunked. Raises EOFError when it is cut short."""
        if self._bodiless:
            return
        if "chunked" in self.fields.get("transfer-encoding", ""):
            while size := int(_line(self._stream).split(b";")[0], 16):
                yield _exactly(self._stream, size)
                _line(self._stream)
            while _line(self._stream):
                pass
        elif "content-length" in self.fields:
            left = int(self.fields["content-length"])
            while left:
                piece = self._stream.read(min(left, 65536))
                if not piece:
                    raise EOFError(f"the body ended {left} bytes too early")
                left -= len(piece)
                yield piece
        else:
            while piece := self._stream.read(65536):
                yield piece

    def body(self) -> bytes:
        """All of it. A body without end fails the test instead of filling the machine's memory."""
        whole = bytearray()
        for piece in self.pieces():
            whole += piece
            assert len(whole) <= MOST, f"the body is longer than {MOST} bytes"
        return bytes(whole)

    def json(self) -> Any:
        return json.loads(self.body())


class Client:
    """One connection. `send` writes bytes as they are, `ask` a well-formed request; `reply` reads the next final answer."""

    def __init__(self, url: str, limit_s: float = LIMIT_S) -> None:
        place = urlsplit(url)
        assert place.hostname is not None
        self.host = place.netloc
        self.socket = socket.create_connection((place.hostname, place.port or 80), limit_s)
        self._stream = socket.SocketIO(self.socket, "rwb")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._stream.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(self, method: str, path: str, body: object = None, *, key: str = "", fields: Mapping[str, str] | None = None) -> Reply:
        """Sends a request and reads the head of its answer. `body`: bytes go as they are, anything else as JSON, None as no body."""
        head = {"Host": self.host, **({"Authorization": f"Bearer {key}"} if key else {})}
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        if body is not None:
            head |= {"Content-Type": "application/json", "Content-Length": str(len(data))}
        head |= fields or {}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items())]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + data)
        return self.reply(method)

    def reply(self, method: str = "GET") -> Reply:
        while (reply := Reply(self._stream, method)).status < 200:
            pass
        return reply


def ask(
    url: str, method: str, path: str, body: object = None, *, key: str = "", fields: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """One request on a connection of its own: status and body."""
    with Client(url) as client:
        reply = client.ask(method, path, body, key=key, fields=fields)
        return reply.status, reply.body()


def _line(stream: socket.SocketIO) -> bytes:
    # Byte by byte: nothing may be read ahead, so that a test sees a frame when it arrives and not when the next one does.
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = stream.read(1)
        if not piece:
            raise EOFError(f"the connection ended in the line {bytes(line)!r}")
        line += piece
    return bytes(line).rstrip(b"\r\n")


def _exactly(stream: socket.SocketIO, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = stream.read(size - len(data))
        if not piece:
            raise EOFError(f"a chunk ended {size - len(data)} bytes too early")
        data += piece
    return bytes(data)
