"""`POST /v1/messages/count_tokens`: a request counted without being answered.

The body is that of a message without what only an answer needs; the answer is `{"input_tokens": n}`. A provider's endpoint refuses fields
that it does not know, so only those that it documents are sent (API reference, read 2026-11).
"""

from __future__ import annotations

from typing import Final

from halley.chat import count
from halley.chat.doors import Target, Written
from halley.chat.model import Ask
from halley.chat.peek import Peek
from halley.chat.usage import Usage
from halley.dialects.anthropic import request
from halley.dialects.anthropic.answers import read_count
from halley.dialects.anthropic.ask_in import read_count_ask
from halley.dialects.anthropic.ask_out import write_ask, write_count
from halley.dialects.anthropic.errors import read_error

_COUNTED: Final = frozenset(
    (
        "model",
        "messages",
        "system",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "cache_control",
        "mcp_servers",
        "context_management",
    )
)


def peek(body: bytes, path: bytes) -> Peek:
    """Raises Refused."""
    return count.only_counted(request.peek(body, path))


def write(ask: Ask, target: Target) -> Written:
    """Raises Refused as `write_ask` does."""
    return write_ask(ask, target).only(_COUNTED)


def read_answer(body: bytes) -> Usage:
    """Raises Unreadable."""
    return Usage(read_count(body))


SWAP = count.swap(read_count_ask, write, read_answer, lambda usage: write_count(usage.input), read_error)
