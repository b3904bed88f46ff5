"""Anthropic Messages on the wire. So far only its error shape, which paths under `/v1/messages` answer with.

Shape: `{"type": "error", "error": {type, message}, "request_id"}`; overload is status 529 (Anthropic API errors page, read 2026-11).
"""

from __future__ import annotations

import msgspec

from halley.errors import Condition, Refused


def write_error(refusal: Refused, request_id: str) -> tuple[int, bytes, bytes]:
    """Status, extra header fields, body."""
    wire = refusal.condition.value
    status = 529 if refusal.condition in (Condition.OVERLOADED, Condition.NO_PROVIDER) else wire.status
    error = {"type": wire.anthropic_type, "message": refusal.message}
    body = msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})
    return status, f"request-id: {request_id}\r\n".encode(), body
