"""Errors of this dialect, both ways: `{"error": {message, type, param, code}}` as a body, and as the last event of a stream.

Inside a stream an error is `response.failed` once a response has been created, with one of the codes that OpenAI's schema has
(ResponseErrorCode, read 2026-11); before that it is a flat `error` event.
"""

from __future__ import annotations

import msgspec

from halley.chat.doors import ProviderError
from halley.dialects.openai_responses.replies import ErrorFound
from halley.errors import Refused
from halley.wire import jsonbody, sse
from halley.wire.jsonbody import BROKEN

_TOO_MANY = 429
# Codes that clients act on; every other becomes the general one.
_CODES = frozenset(
    {
        "rate_limit_exceeded", "insufficient_quota", "context_length_exceeded", "invalid_prompt", "server_error", "server_is_overloaded",
        "bio_policy", "vector_store_timeout", "invalid_image", "invalid_image_url", "image_content_policy_violation",
    }
)  # fmt: skip


class _Body(msgspec.Struct):
    error: ErrorFound | str | None = None
    message: str | None = None
    detail: msgspec.Raw = msgspec.Raw()


_body = msgspec.json.Decoder(_Body)


def failed_code(status: int, code: str) -> str:
    if code in _CODES:
        return code
    return "rate_limit_exceeded" if status == _TOO_MANY else "server_error"


def read_error(status: int, body: bytes) -> ProviderError:
    try:
        found = _body.decode(body)
    except BROKEN:
        return ProviderError(status, "")
    error = found.error
    if isinstance(error, ErrorFound):
        return ProviderError(status, error.message or "", str(error.code or error.type or ""), error.param)
    return ProviderError(status, error or found.message or bytes(found.detail).decode(errors="replace").strip('"'))


def write_error(refusal: Refused, request_id: str, /) -> tuple[int, bytes, bytes]:
    """Status, extra header fields, body."""
    del request_id  # travels in the x-request-id header alone
    wire = refusal.condition.value
    error = {"message": refusal.message, "type": wire.openai_type, "param": refusal.param, "code": refusal.code or wire.openai_code}
    return wire.status, b"", msgspec.json.encode({"error": error})


def write_error_event(refusal: Refused, request_id: str) -> bytes:
    """The error as the last frame of a provider's stream that went through as it was: a response has been created there, whose id and
    numbers nobody has looked at. Codex, AI SDK and OpenAI's SDKs take the event by its type and `response.error` alone (2026-11)."""
    code = failed_code(refusal.condition.status, refusal.condition.value.openai_code)
    reply: dict[str, object] = {
        "id": f"resp_{request_id}",
        "object": "response",
        "created_at": 0,
        "status": "failed",
        "error": {"code": code, "message": refusal.message},
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": "",
        "output": [],
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": None,
    }
    body = msgspec.json.encode({"type": "response.failed", "sequence_number": 0, "response": reply})
    return sse.render(body, b"response.failed")


def is_error(body: bytes) -> bool:
    """Whether a non-2xx body is an error that a client of this dialect can read: an object with `error`, `message` or `detail`."""
    try:
        found = jsonbody.members(body)
    except jsonbody.Malformed:
        return False
    return "error" in found or "message" in found or "detail" in found
