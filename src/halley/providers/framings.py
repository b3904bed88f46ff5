"""Framings other than server-sent events in which some hosts send a dialect: their bytes in, the dialect's own events out.

A host's words for a failure become those of the dialect that it speaks in this framing.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

import msgspec

from halley.wire import eventstream, sse


class Broken(ValueError):
    """These bytes are not what the framing allows, or are not whole; the message is fit for an operator."""


class Framing(Protocol):
    """One answer. `kind` is the content-type by which a stream in this framing is known."""

    kind: bytes

    def feed(self, data: bytes) -> bytes:
        """Whole server-sent events. Raises Broken; what was complete before has been given then."""
        ...

    def end(self) -> None:
        """Raises Broken when something had begun and not ended."""
        ...

    def error(self, status: int, body: bytes) -> bytes:
        """The body of a whole answer that is an error."""
        ...


class _Typed(msgspec.Struct):
    type: str = ""


class _Words(msgspec.Struct):
    """AWS writes it in both ways."""

    message: str | None = None
    Message: str | None = None


_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
_NAME = re.compile("[a-z_]{1,64}").fullmatch
_decode_type = msgspec.json.Decoder(_Typed).decode
_decode_words = msgspec.json.Decoder(_Words).decode
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ResponseStream.html, read 2026-11; and the statuses of its errors.
_EXCEPTIONS = {
    "throttlingException": "rate_limit_error",
    "validationException": "invalid_request_error",
    "serviceUnavailableException": "overloaded_error",
    "modelTimeoutException": "timeout_error",
}
_STATUSES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


class AwsEventStream:
    """Anthropic Messages as Bedrock's InvokeModel sends it."""

    kind = b"application/vnd.amazon.eventstream"

    __slots__ = ("_splitter",)

    def __init__(self) -> None:
        self._splitter = eventstream.Splitter()

    def feed(self, data: bytes) -> bytes:
        out: list[bytes] = []
        try:
            for message in self._splitter.feed(data):
                said = eventstream.chunk(message)
                if isinstance(said, bytes):
                    kind = _decode_type(said).type
                    # Line ends between the members of an object would be line ends of the event.
                    out.append(sse.render(said.translate(_ONE_LINE), kind.encode() if _NAME(kind) else b""))
                elif said is not None:
                    out.append(sse.render(_failure(_EXCEPTIONS.get(said.name, "api_error"), said.message), b"error"))
        except (eventstream.Corrupt, msgspec.DecodeError) as fault:
            if not out:
                raise Broken(str(fault)) from None
            # The next read finds the splitter spoilt, or the end finds it unfinished.
        return b"".join(out)

    def end(self) -> None:
        if self._splitter.rest or self._splitter.spoilt:
            raise Broken("the stream ended within a message")

    def error(self, status: int, body: bytes) -> bytes:
        try:
            words = _decode_words(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return body
        said = words.message or words.Message
        return body if said is None else _failure(_STATUSES.get(status, "api_error"), said)


FRAMINGS: dict[str, Callable[[], Framing]] = {"aws-eventstream": AwsEventStream}


def _failure(kind: str, message: str) -> bytes:
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})
