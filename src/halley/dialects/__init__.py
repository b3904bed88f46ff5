"""The table of dialects: what a client may speak, and the doors of each.

`ERROR_PREFIXES` says in whose words a path answers when no exchange is served there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from halley.chat.peek import Peek
from halley.dialects import anthropic, gemini, openai_chat, openai_reply
from halley.errors import Refused

WriteError = Callable[[Refused, str], tuple[int, bytes, bytes]]


class Dialect(NamedTuple):
    """A chat dialect as the relay uses it; each door is documented where it is defined."""

    name: str
    upstream_path: str
    reply_fields: frozenset[bytes]
    peek: Callable[[bytes, bytes], Peek]  # of a body and the path that it came to
    outbound: Callable[[bytes, Peek, str, int | None, str], bytes]
    meter: Callable[[Peek], openai_reply.Meter]
    read_whole: Callable[[bytes], openai_reply.Whole | None]
    content_bytes: Callable[[bytes], int]
    is_error: Callable[[bytes], bool]
    write_error: WriteError
    write_error_event: Callable[[Refused, str], bytes]


OPENAI_CHAT = Dialect(
    "openai_chat",
    "/chat/completions",
    # What of an upstream's head may reach the client. Rate limits are the upstream's business with Halley and never leak.
    frozenset({b"openai-version", b"openai-processing-ms", b"retry-after", b"retry-after-ms", b"x-should-retry"}),
    openai_chat.peek,
    openai_chat.outbound,
    openai_chat.meter,
    openai_reply.read_whole,
    openai_reply.content_bytes,
    openai_chat.is_error,
    openai_chat.write_error,
    openai_chat.write_error_event,
)

ERROR_PREFIXES: tuple[tuple[bytes, WriteError], ...] = (
    (b"/v1/messages", anthropic.write_error),
    (b"/v1beta", gemini.write_error),
)


def error_writer(path: bytes) -> WriteError:
    """In whose words a path that is no exchange answers."""
    for prefix, write in ERROR_PREFIXES:
        if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in (b"", b"/"):
            return write
    return openai_chat.write_error
