"""Gemini generateContent on the wire. So far only its error shape, which paths under `/v1beta` answer with.

Shape: `{"error": {code, message, status}}` with the HTTP status as a number (google.rpc.Status in JSON, read 2026-11).
"""

from __future__ import annotations

import msgspec

from halley.errors import Refused


def write_error(refusal: Refused, request_id: str) -> tuple[int, bytes, bytes]:
    """Status, extra header fields, body."""
    del request_id  # travels in the x-request-id header alone
    wire = refusal.condition.value
    error = {"code": wire.status, "message": refusal.message, "status": wire.gemini_status}
    return wire.status, b"", msgspec.json.encode({"error": error})
