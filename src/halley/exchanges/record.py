"""What an exchange is: where it is served, and in which dialect."""

from __future__ import annotations

from typing import Final, NamedTuple

from halley.dialects import Dialect

AUTHORIZATION: Final = b"authorization"
QUERY: Final = b"?key"
Carriers = tuple[bytes, ...]
"""Where a dialect's clients put their key: header fields in lower case, or the query; the first is what an error recommends."""
BEARER: Carriers = (AUTHORIZATION,)


class Route(NamedTuple):
    """One path of an exchange. `canonical` is set on an alias: the path its answers point to with a `link` header; `page` is where its
    readers are sent. With an `operation` the
    path is only its beginning: the model's name and the operation follow (`/v1beta/models/` NAME `:countTokens`)."""

    method: bytes
    path: bytes
    dialect: Dialect
    canonical: bytes | None = None
    carriers: Carriers = BEARER
    operation: bytes = b""
    page: bytes = b""

    @property
    def text(self) -> str:
        """As the books name it."""
        return f"{self.path.decode('ascii')}{{model}}{self.operation.decode('ascii')}" if self.operation else self.path.decode("ascii")


class Exchange(NamedTuple):
    name: str
    routes: tuple[Route, ...]
