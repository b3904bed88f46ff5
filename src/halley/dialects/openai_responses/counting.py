"""`POST /v1/responses/input_tokens`: a request counted without being answered.

Shapes: OpenAI's published schema (TokenCountsBody, TokenCountsResource), read 2026-11; the endpoint refuses fields that it does not have.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from halley.chat import count
from halley.chat.doors import Target, Unreadable, Written
from halley.chat.model import Ask
from halley.chat.peek import Peek
from halley.chat.usage import Usage
from halley.dialects.openai_responses import passing
from halley.dialects.openai_responses.neighbours import input_tokens
from halley.dialects.openai_responses.read_ask import read_ask
from halley.dialects.openai_responses.refusals import read_error
from halley.dialects.openai_responses.write_ask import write_ask
from halley.wire.jsonbody import BROKEN

_COUNTED = frozenset(
    ("model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "reasoning", "text", "truncation", "conversation")
)


class _Counted(msgspec.Struct):
    input_tokens: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


_decode_counted = msgspec.json.Decoder(_Counted).decode


def peek(body: bytes, path: bytes) -> Peek:
    """Raises Refused."""
    return count.only_counted(passing.peek(body, path))


def write(ask: Ask, target: Target) -> Written:
    """Raises Refused as `write_ask` does."""
    return write_ask(ask, target).only(_COUNTED)


def read_answer(body: bytes) -> Usage:
    """Raises Unreadable."""
    try:
        return Usage(_decode_counted(body).input_tokens)
    except BROKEN as error:
        raise Unreadable(f"no count: {error}"[:300]) from None


SWAP = count.swap(read_ask, write, read_answer, lambda usage: input_tokens(usage.input), read_error)
