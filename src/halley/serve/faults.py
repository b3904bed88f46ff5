"""Any error becomes an answer in the caller's dialect, made here and nowhere else. The only catch-all of the relay stands here too.

An unknown exception tells the client a request id and nothing more; the log has the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Protocol, TypeVar, TypeVarTuple

from halley import logs
from halley.dialects import Dialect, WriteError
from halley.errors import Condition, Refused

A = TypeVarTuple("A")

JSON = b"content-type: application/json\r\n"

_log = logs.get("halley.serve")


def answer(refusal: Refused, write: WriteError, request_id: str) -> tuple[int, bytes, bytes]:
    """Status, header fields and body of a refusal."""
    status, extra, body = write(refusal, request_id)
    fields = b"%bx-request-id: %b\r\n%b" % (JSON, request_id.encode(), extra)
    if refusal.retry_after_s is not None:
        fields += b"retry-after: %d\r\n" % max(math.ceil(refusal.retry_after_s), 1)
    if refusal.condition is Condition.CONFLICT:
        fields += b"x-should-retry: false\r\n"  # SDKs try a 409 again of themselves, and would find the same
    if refusal.condition is Condition.BAD_KEY:
        fields += b"www-authenticate: Bearer\r\n"
    return status, fields, body


def identity(dialect: Dialect, request_id: bytes) -> bytes:
    """The fields in which a client of the dialect finds the request's id."""
    also = dialect.id_field
    return b"x-request-id: %b\r\n%b: %b\r\n" % (request_id, also, request_id) if also else b"x-request-id: %b\r\n" % request_id


def bug() -> Refused:
    return Refused(Condition.BUG, "Something went wrong inside the gateway; the request id identifies it in the log.")


class Shielded(Protocol):
    """Something that ends its request when its own code failed."""

    def broke(self) -> None: ...


T = TypeVar("T", bound=Shielded)


def shield(method: Callable[[T, *A], None]) -> Callable[[T, *A], None]:
    """Entry points that the event loop calls: an exception ends this request with a 500, not the connection in an undefined state."""

    @wraps(method)
    def shielded(self: T, *args: *A) -> None:
        try:
            method(self, *args)
        except Exception as error:
            _log.error("a bug in the relay", name=method.__qualname__, fault=error)
            self.broke()

    return shielded
