"""One error tree and the one table of what each condition looks like on the wire.

`Refused` is something the caller can fix or must wait for; `UpstreamError` is something another upstream might not have. Neither knows
how a dialect writes an error: that is each dialect's `write_error`. Every dialect has its column from the start, because a
path under another dialect's prefix is refused in that dialect's words.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import NamedTuple


class Wire(NamedTuple):
    """How one condition is spelled: HTTP status, then each dialect's own words."""

    status: int
    openai_type: str
    openai_code: str
    anthropic_type: str
    gemini_status: str


@unique
class Condition(Enum):
    INVALID = Wire(400, "invalid_request_error", "invalid_value", "invalid_request_error", "INVALID_ARGUMENT")
    BAD_KEY = Wire(401, "invalid_request_error", "invalid_api_key", "authentication_error", "UNAUTHENTICATED")
    NO_CREDIT = Wire(402, "insufficient_quota", "insufficient_quota", "billing_error", "FAILED_PRECONDITION")
    NOT_ALLOWED = Wire(403, "permission_error", "permission_denied", "permission_error", "PERMISSION_DENIED")
    UNKNOWN_MODEL = Wire(404, "invalid_request_error", "model_not_found", "not_found_error", "NOT_FOUND")
    NOT_FOUND = Wire(404, "invalid_request_error", "not_found", "not_found_error", "NOT_FOUND")
    UNKNOWN_URL = Wire(404, "invalid_request_error", "unknown_url", "not_found_error", "NOT_FOUND")
    WRONG_METHOD = Wire(405, "invalid_request_error", "unknown_url", "not_found_error", "NOT_FOUND")
    TOO_SLOW = Wire(408, "invalid_request_error", "request_timeout", "timeout_error", "DEADLINE_EXCEEDED")
    CONFLICT = Wire(409, "invalid_request_error", "idempotency_conflict", "invalid_request_error", "ABORTED")
    BODY_TOO_LARGE = Wire(413, "invalid_request_error", "request_too_large", "request_too_large", "INVALID_ARGUMENT")
    WRONG_TYPE = Wire(415, "invalid_request_error", "unsupported_media_type", "invalid_request_error", "INVALID_ARGUMENT")
    UPGRADE = Wire(426, "invalid_request_error", "upgrade_unsupported", "invalid_request_error", "INVALID_ARGUMENT")
    EXPECTATION = Wire(417, "invalid_request_error", "expectation_failed", "invalid_request_error", "INVALID_ARGUMENT")
    RATE_LIMIT = Wire(429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED")
    HEAD_TOO_LARGE = Wire(431, "invalid_request_error", "headers_too_large", "invalid_request_error", "INVALID_ARGUMENT")
    BUG = Wire(500, "api_error", "internal_error", "api_error", "INTERNAL")
    UPSTREAM = Wire(502, "api_error", "upstream_error", "api_error", "INTERNAL")
    NO_PROVIDER = Wire(503, "api_error", "no_provider_available", "overloaded_error", "UNAVAILABLE")
    OVERLOADED = Wire(503, "api_error", "overloaded", "overloaded_error", "UNAVAILABLE")
    DEADLINE = Wire(504, "api_error", "timeout", "timeout_error", "DEADLINE_EXCEEDED")

    @property
    def status(self) -> int:
        return self.value.status


class HalleyError(Exception):
    """Root of everything Halley raises on purpose."""


class Refused(HalleyError):
    """The request is not served, and the message says what would be right.

    `param` names the offending body field in the caller's own spelling (`messages[0].content`); `retry_after_s` is computed, never guessed.
    `code` is a word that a client of one dialect acts upon and the condition is too coarse for; it stands where that dialect keeps such.
    """

    def __init__(
        self,
        condition: Condition,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: float | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.condition = condition
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        self.code = code


class UpstreamError(HalleyError):
    """An attempt failed before a byte of its answer had left for the client; another offer may be tried."""

    def __init__(self, condition: Condition, message: str) -> None:
        super().__init__(message)
        self.condition = condition
        self.message = message
