"""What passes between a connection and the application that serves it: the request as a value, two interfaces. No behaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from halley.errors import Refused

if TYPE_CHECKING:
    from halley.net.server import Connection


class Request:
    """A complete request. `fields` has lower-case names, repeated ones joined by ", ", and no content-length, since the body is whole;
    several requests of a connection may share it. `received` is the clock's time at its last byte."""

    __slots__ = ("body", "connection", "fields", "keep", "method", "path", "query", "received", "version")

    def __init__(
        self,
        connection: Connection,
        method: bytes,
        path: bytes,
        query: bytes,
        fields: dict[bytes, bytes],
        body: bytes,
        version: Literal["1.0", "1.1"],
        received: float,
        keep: bool,
    ) -> None:
        self.connection = connection
        self.method = method
        self.path = path
        self.query = query
        self.fields = fields
        self.body = body
        self.version = version
        self.received = received
        self.keep = keep  # whether the client leaves the connection open after the answer


class Application(Protocol):
    """`handle` must be followed by exactly one answer. `limit` gives the body limit of a route, or refuses before the body is read."""

    def handle(self, request: Request) -> None: ...
    def refuse(self, refusal: Refused, path: bytes) -> tuple[bytes, bytes]: ...
    def limit(self, method: bytes, path: bytes, fields: dict[bytes, bytes]) -> int: ...


class Owner(Protocol):
    """Who serves the request in hand; the application sets it as `connection.owner`, the connection forgets it with the answer's end."""

    def client_gone(self) -> None: ...
    def client_slow(self) -> None: ...
    def client_ready(self) -> None: ...

    def expel(self, refusal: Refused, /) -> None:
        """The process ends: answer now, with this unless something better is at hand."""
        ...
