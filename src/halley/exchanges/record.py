"""What an exchange is: where it is served, and in which dialect."""

from __future__ import annotations

from typing import Final, NamedTuple

from halley.chat.published import Published
from halley.dialects import Dialect

AUTHORIZATION: Final = b"authorization"
QUERY: Final = b"?key"
Carriers = tuple[bytes, ...]
"""Where a dialect's clients put their key: header fields in lower case, or the query; the first is what an error recommends."""
BEARER: Carriers = (AUTHORIZATION,)
ANTHROPIC_CARRIERS: Carriers = (b"x-api-key", AUTHORIZATION)
GOOGLE_CARRIERS: Carriers = (b"x-goog-api-key", AUTHORIZATION, QUERY)
# Google's clients of today ask under v1beta, those of the newest major under v1.
GOOGLE_PREFIXES: Final = (b"/v1beta/models/", b"/v1/models/")


def no_output(_body: bytes) -> int:
    """Bytes of generated text in an answer that has none: vectors, scores and counts are not paid by tokens of output."""
    return 0


class Route(NamedTuple):
    """One path of an exchange. `canonical` is set on an alias: the path its answers point to with a `link` header; `page` is where its
    readers are sent. With an `operation` the path is only its beginning: the model's name and the operation follow (`/v1beta/models/` NAME
    `:countTokens`). `published` is set where the OpenAPI document says something else of it than its dialect does."""

    method: bytes
    path: bytes
    dialect: Dialect
    canonical: bytes | None = None
    carriers: Carriers = BEARER
    operation: bytes = b""
    page: bytes = b""
    published: Published | None = None

    @property
    def text(self) -> str:
        """As the books name it."""
        return f"{self.path.decode('ascii')}{{model}}{self.operation.decode('ascii')}" if self.operation else self.path.decode("ascii")


class Surface(NamedTuple):
    """What providers serve beside a chat dialect, at the same place and with the same credential: where they speak `beside` (a word of the
    provider table), `path` stands in place of that dialect's own."""

    beside: str
    dialect: Dialect
    path: str


class Exchange(NamedTuple):
    """`surfaces`: those first in which a provider is asked when it does not speak the client's own. `units` are what its answers count: a
    model whose price knows none of them is not served here, because it would be free."""

    name: str
    routes: tuple[Route, ...]
    surfaces: tuple[Surface, ...] = ()
    units: frozenset[str] = frozenset({"tokens"})
