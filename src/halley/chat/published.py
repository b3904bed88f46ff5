"""What is published of one kind of request, for the OpenAPI document: shapes that clients may count on, fields of heads and queries.

The request's shape is the very struct that checks it; every object may have more than is said here, and keeps it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec


class Failure(msgspec.Struct):
    """What went wrong, and what would be right."""

    message: str
    type: str
    param: str | None
    code: str | None


class Failed(msgspec.Struct):
    """An error in the words that most dialects share."""

    error: Failure


class Parameter(NamedTuple):
    """A field of the head or of the query; without a `pattern` every text is taken."""

    name: str
    words: str
    pattern: str = ""


class Published(NamedTuple):
    """`demanded` are fields of the request that its struct alone would let be absent or null: of each of these groups one must be there.
    `event` is one of a stream, where there are streams, and `closing` what stands in place of the last. All shapes are types that msgspec
    can read."""

    summary: str
    request: Any
    answer: Any
    error: Any = Failed
    event: Any = None
    closing: str = ""
    demanded: tuple[tuple[str, ...], ...] = ()
    head: tuple[Parameter, ...] = ()
    query: tuple[Parameter, ...] = ()
