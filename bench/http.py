"""A small blocking HTTP/1.1 client for checks and for the light load: one kept connection, whole answers."""

from __future__ import annotations

import http.client
import re
import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from bench.arithmetic import percentile
from bench.canned import Wrong, ask


@dataclass(frozen=True, slots=True)
class Door:
    """Where a row takes one kind of request: the URL, and the header fields that go with it."""

    url: str
    fields: dict[str, str]

    def connect(self, timeout_s: float = 30.0) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=timeout_s)

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 80)

    def request(self, kind: str) -> bytes:
        """A whole request as bytes, for those who write to a socket themselves."""
        body = ask(kind)
        own = {"Host": urlsplit(self.url).netloc, "Content-Type": "application/json", "Content-Length": str(len(body))}
        lines = [f"POST {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in (own | self.fields).items()), "", ""]
        return "\r\n".join(lines).encode() + body


def answer(door: Door, kind: str, fields: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Status and whole body of one request."""
    connection = door.connect()
    try:
        connection.request("POST", door.path, ask(kind), {**door.fields, **(fields or {}), "Content-Type": "application/json"})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def serves(url: str, path: str) -> bool:
    """Whether a GET is answered with 200 now."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Light:
    """Times of a light load in milliseconds."""

    p50_ms: float
    p99_ms: float


def light_load(door: Door, rate_per_s: float, seconds: float) -> list[float]:
    """Milliseconds of each request on one connection, sent on a fixed schedule however long the last one took."""
    request = door.request("json")
    times: list[float] = []
    with socket.create_connection(door.address, timeout=30) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begin = time.perf_counter()
        for index in range(int(rate_per_s * seconds)):
            pause = begin + index / rate_per_s - time.perf_counter()
            if pause > 0:
                time.sleep(pause)
            sent = time.perf_counter()
            connection.sendall(request)
            received = connection.recv(65536)
            while not is_whole(received):
                more = connection.recv(65536)
                if not more:
                    raise Wrong("the connection ended under light load")
                received += more
            times.append((time.perf_counter() - sent) * 1e3)
            if not received.startswith(b"HTTP/1.1 200"):
                raise Wrong(f"under light load: {received[:200]!r}")
    return times


_length = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def is_whole(received: bytes) -> bool:
    """Whether an answer has arrived completely, by its length or its last chunk."""
    head, blank, body = received.partition(b"\r\n\r\n")
    declared = _length.search(head)
    return bool(blank) and (len(body) >= int(declared[1]) if declared else body.endswith(b"0\r\n\r\n"))


def light(times: list[float]) -> Light:
    return Light(percentile(times, 0.5), percentile(times, 0.99))
