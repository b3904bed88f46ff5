"""OpenAI's error object, before a stream and inside one."""

from __future__ import annotations

import msgspec

from halley.errors import Refused
from halley.wire import jsonbody, sse


def write_error(refusal: Refused, request_id: str) -> tuple[int, bytes, bytes]:
    """Status, extra header fields, body. Shape: `{"error": {message, type, param, code}}`."""
    del request_id  # travels in the x-request-id header alone
    wire = refusal.condition.value
    error = {"message": refusal.message, "type": wire.openai_type, "param": refusal.param, "code": refusal.code or wire.openai_code}
    return wire.status, b"", msgspec.json.encode({"error": error})


def write_error_event(refusal: Refused, request_id: str) -> bytes:
    """The error as the last frame of a stream; official SDKs raise on a data object with `error`."""
    return sse.render(write_error(refusal, request_id)[2])


def is_error(body: bytes) -> bool:
    """Whether a non-2xx body is an error that a client of this dialect can read: an object with `error`, `message` or `detail`."""
    try:
        found = jsonbody.members(body)
    except jsonbody.Malformed:
        return False
    return "error" in found or "message" in found or "detail" in found
