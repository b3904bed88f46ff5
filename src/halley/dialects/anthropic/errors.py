"""Errors of Anthropic Messages: written for a client, read from a provider, whole or as the last event of a stream.

Shape: `{"type": "error", "error": {type, message, details?}, "request_id"}`; overload is status 529. `details.error_code` is what official
SDKs branch on (`anthropic` 2.14, read 2026-11). Nothing here knows why a request failed.
"""

from __future__ import annotations

from typing import Final

import msgspec

from halley.chat.doors import ProviderError
from halley.errors import Condition, Refused
from halley.wire import jsonbody, sse
from halley.wire.jsonbody import BROKEN

OVERLOADED: Final = 529

# The status that each type of error stands for, where a stream has the type alone; from the errors page, read 2026-11.
STATUSES: Final = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": OVERLOADED,
}
_TYPES: Final = {status: kind for kind, status in STATUSES.items()} | {408: "timeout_error", 503: "overloaded_error"}


class _Details(msgspec.Struct):
    error_code: str | None = None


class _Error(msgspec.Struct):
    type: str = ""
    message: str = ""
    details: _Details | None = None


class _Envelope(msgspec.Struct):
    error: _Error


_decode = msgspec.json.Decoder(_Envelope).decode


def error_type(status: int) -> str:
    """The type of an error that has this HTTP status; 0 is an unknown one."""
    return _TYPES.get(status) or ("invalid_request_error" if 400 <= status < 500 else "api_error")


def write_error(refusal: Refused, request_id: str, /) -> tuple[int, bytes, bytes]:
    """Status, extra header fields, body."""
    wire = refusal.condition.value
    status = OVERLOADED if refusal.condition in (Condition.OVERLOADED, Condition.NO_PROVIDER) else wire.status
    error: dict[str, object] = {"type": wire.anthropic_type, "message": refusal.message}
    if refusal.code is not None:
        error["details"] = {"error_code": refusal.code}
    body = msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})
    return status, f"request-id: {request_id}\r\n".encode(), body


def write_error_event(refusal: Refused, request_id: str) -> bytes:
    """The error as the last event of a stream; official SDKs raise on it."""
    return sse.render(write_error(refusal, request_id)[2], b"error")


def read_error(status: int, body: bytes) -> ProviderError:
    """What a provider refused with. A body that is no such error is not quoted: it may be anything, an HTML page or a prompt."""
    try:
        error = _decode(body).error
    except BROKEN:
        return ProviderError(status, f"The provider answered with status {status}.")
    code = error.details.error_code if error.details is not None else None
    return ProviderError(status, error.message or f"The provider answered with status {status}.", code or error.type)


def is_error(body: bytes) -> bool:
    """Whether a non-2xx body is an error that a client of this dialect can read: an object with `error`."""
    try:
        return "error" in jsonbody.members(body)
    except jsonbody.Malformed:
        return False
