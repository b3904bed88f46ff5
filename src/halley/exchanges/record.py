"""What an exchange is: where it is served, and in which dialect."""

from __future__ import annotations

from typing import NamedTuple

from halley.dialects import Dialect


class Route(NamedTuple):
    """One path of an exchange. `canonical` is set on an alias: the path its answers point to with a `link` header."""

    method: bytes
    path: bytes
    dialect: Dialect
    canonical: bytes | None = None

    @property
    def text(self) -> str:
        return self.path.decode("ascii")


class Exchange(NamedTuple):
    name: str
    routes: tuple[Route, ...]
