"""Many clients at once in one thread: each has a socket of its own, sends one request, and ends the way the test says.

Every wait has a limit, and a crowd reads whoever has something to say, so that no client holds up another.
"""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from tests.harness.process import LIMIT_S

_ID = re.compile(rb"\r\nx-request-id: (req_\w+)\r\n", re.IGNORECASE)


class Member:
    """One client. `received` is everything that came, head and chunk lines included."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.received = bytearray()
        self.ended = False

    @property
    def status(self) -> int:
        return int(self.received[9:12]) if b"\r\n\r\n" in self.received else 0

    @property
    def id(self) -> str:
        """Halley's id of the request; empty before the head has come."""
        return request_id(self.received)

    @property
    def flowing(self) -> bool:
        """Whether output of a stream has come."""
        return b'"content":"' in self.received.partition(b'"role":')[2]

    @property
    def whole(self) -> bool:
        """Whether the answer came to its proper end: of its chunks, or of its length."""
        head, blank, body = bytes(self.received).partition(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
        return bool(blank) and (len(body) == int(length[1]) if length else body.endswith(b"0\r\n\r\n"))

    def leave(self) -> None:
        self.connection.close()

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def half_close(self) -> None:
        self.connection.shutdown(socket.SHUT_WR)


WAYS: Mapping[str, Callable[[Member], None]] = {"close": Member.leave, "reset": Member.reset, "half-close": Member.half_close}


class Crowd:
    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        assert place.hostname is not None
        self._address = (place.hostname, place.port or 80)
        self._selector = selectors.DefaultSelector()
        self.members: list[Member] = []

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            member.connection.close()
        self._selector.close()

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members)

    def join(self, data: bytes) -> Member:
        """One more client, which sends these bytes."""
        connection = socket.create_connection(self._address, LIMIT_S)
        connection.sendall(data)
        connection.setblocking(False)
        member = Member(connection)
        self._selector.register(connection, selectors.EVENT_READ, member)
        self.members.append(member)
        return member

    def ask(self, key: str, body: bytes) -> Member:
        return self.join(request(key, body))

    def rush(self, key: str, body: bytes, times: int, meanwhile: Callable[[], object]) -> list[int]:
        """So many at once; their statuses, sorted. `meanwhile` is called when each was admitted or refused, while the admitted run."""
        for _ in range(times):
            self.ask(key, body)
        self.until(lambda member: member.status != 0)
        meanwhile()
        self.until(lambda member: member.whole)
        return sorted(member.status for member in self)

    def until(self, seen: Callable[[Member], bool], limit_s: float = LIMIT_S) -> None:
        """Reads until `seen` holds for every member. Raises AssertionError with the first for which it does not."""
        limit = time.monotonic() + limit_s
        waiting = [member for member in self.members if not seen(member)]
        while waiting:
            assert time.monotonic() < limit, (
                f"{len(waiting)} of {len(self.members)} are not there yet: {bytes(waiting[0].received)[-2000:]!r}"
            )
            self.listen(0.05)
            waiting = [member for member in waiting if not seen(member)]

    def listen(self, seconds: float) -> None:
        """Takes what has come, waiting for it at most so long."""
        for key, _ in self._selector.select(seconds):
            member: Member = key.data
            data = b""
            with contextlib.suppress(ConnectionError):
                data = member.connection.recv(65536)
            if not data:
                member.ended = True
                self._selector.unregister(member.connection)
            member.received += data

    def dismiss(self, member: Member, how: Callable[[Member], None] = Member.leave) -> None:
        """One goes, and is no longer of the crowd."""
        if not member.ended:
            self._selector.unregister(member.connection)
        self.members.remove(member)
        how(member)

    def part(self, how: Callable[[Member], None] = Member.leave) -> None:
        """Everybody goes at once."""
        self._selector.close()
        self._selector = selectors.DefaultSelector()
        for member in self.members:
            how(member)


def request_id(received: bytes | bytearray) -> str:
    """Halley's id of the request that was answered so; empty before the head has come."""
    found = _ID.search(received)
    return found[1].decode() if found else ""


def request(key: str, body: bytes) -> bytes:
    """A chat completion."""
    return post("/v1/chat/completions", f"Authorization: Bearer {key}", body)


def post(path: str, fields: str, body: bytes) -> bytes:
    """A request with a JSON body; `fields` are lines of its head, without the last line's end."""
    head = f"POST {path} HTTP/1.1\r\nHost: halley.test\r\n{fields}\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body
