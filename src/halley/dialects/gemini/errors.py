"""Errors of this dialect: `{"error": {code, message, status}}` with the HTTP status as a number (google.rpc.Status in JSON, read 2026-11).

In a stream the same object is a frame of its own, or the last element of the array. @google/genai 1.30 for JavaScript, as Gemini CLI 0.61
has it, finds no error in a frame and takes the end of the connection for the end of the answer. It raises where an event is unfinished,
which every other reader throws away: so one is begun behind the error (`UNFINISHED`).
"""

from __future__ import annotations

import msgspec

from halley.errors import Refused
from halley.wire import jsonbody, sse

# The words of google.rpc.Code for the statuses that a provider of another dialect may have answered with.
_WORDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    529: "UNAVAILABLE",
}
UNFINISHED = b"data: "
_KNOWN = {*_WORDS.values(), "INTERNAL", "UNKNOWN", "OUT_OF_RANGE", "ALREADY_EXISTS", "UNIMPLEMENTED", "DATA_LOSS"}


def write_error(refusal: Refused, request_id: str, /) -> tuple[int, bytes, bytes]:
    """Status, extra header fields, body."""
    del request_id  # travels in the x-request-id header alone
    wire = refusal.condition.value
    return wire.status, b"", msgspec.json.encode(error_object(wire.status, refusal.message, wire.gemini_status))


def error_object(status: int, message: str, word: str = "") -> dict[str, object]:
    """A word of another dialect is replaced by the one that the status has here."""
    own = word if word in _KNOWN else _WORDS.get(status, "INTERNAL")
    return {"error": {"code": status, "message": message, "status": own}}


def is_error(body: bytes) -> bool:
    """Whether a non-2xx body is an error that a client of this dialect can read: an object with `error` or `message`, or a list of one."""
    text = body.strip()
    if text.startswith(b"["):
        text = text[1:-1]
    try:
        found = jsonbody.members(text)
    except jsonbody.Malformed:
        return False
    return "error" in found or "message" in found


def write_error_event(refusal: Refused, request_id: str) -> bytes:
    """The error as the last frame of a stream; google-genai raises on it."""
    return sse.render(write_error(refusal, request_id)[2]) + UNFINISHED


def write_error_element(refusal: Refused, request_id: str, *, first: bool) -> bytes:
    """The error as the end of an array of which elements may have been sent."""
    return (b"[" if first else b",\r\n") + write_error(refusal, request_id)[2] + b"]"
