"""Completions, OpenAI's dialect before chat: a prompt in, its continuation out, whole or streamed.

Shapes: `{model, prompt, max_tokens?, n?, best_of?, stream?, stream_options?}` → `{choices: [{text, index, finish_reason}], usage}`; whoever
sends no `max_tokens` gets the provider's default (16 at OpenAI). A stream has the same objects in frames and ends with `[DONE]`. From
OpenAI's published schema (CreateCompletionRequest), read 2026-11.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from halley.chat.peek import Peek, look
from halley.chat.published import Published
from halley.dialects import OPENAI_CHAT
from halley.dialects.openai_chat.published import Used
from halley.dialects.openai_chat.reply import ChatMeter
from halley.exchanges.record import Exchange, Route, Surface

Few = Annotated[int, msgspec.Meta(ge=1, le=128)]


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class Request(msgspec.Struct):
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    prompt: str | list[str | int | list[int]]
    max_tokens: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None
    n: Few | None = None
    best_of: Few | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None


class Continued(msgspec.Struct):
    text: str
    index: int
    finish_reason: str | None


class Completion(msgspec.Struct):
    """The same in a stream, piece by piece; `[DONE]` ends it."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[Continued]
    usage: Used | None = None


_decoder = msgspec.json.Decoder(Request)
_CORE = frozenset(Request.__struct_fields__)
_DEEP = {"stream_options": b""}
_TEXT = re.compile(rb'"text"\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)"')


def peek(body: bytes, _path: bytes) -> Peek:
    """Raises Refused, naming the field. Every prompt of a list is continued `n` times, or `best_of` times to choose from."""
    ask, members = look(body, _decoder, _CORE, "model and prompt", _DEEP)
    prompts = 1
    if isinstance(ask.prompt, list):
        prompts = max(sum(not isinstance(each, int) for each in ask.prompt), 1)
    count = max(ask.n or 1, ask.best_of or 1) * prompts
    wants_usage = bool(ask.stream_options is not None and ask.stream_options.include_usage)
    return Peek(ask.model, bool(ask.stream), count, ask.max_tokens, wants_usage, [], members)


def outbound(body: bytes, seen: Peek, model: str, cap: int | None, _cap_field: str) -> bytes:
    """As of chat; but the cap has one name here, whatever the provider's is for chat."""
    return OPENAI_CHAT.outbound(body, seen, model, cap, "max_tokens")


def content_bytes(body: bytes) -> int:
    return sum(len(match[1]) for match in _TEXT.finditer(body))


class CompletionMeter(ChatMeter):
    """As of chat, but for where the text stands."""

    __slots__ = ()

    content = _TEXT


def meter(seen: Peek, *, strip: bool) -> CompletionMeter:
    return CompletionMeter(strip=strip and not seen.wants_usage)


OPENAI = OPENAI_CHAT._replace(
    name="openai_completions",
    exchange="completions",
    peek=peek,
    outbound=outbound,
    meter=meter,
    content_bytes=content_bytes,
    doors=None,
    published=Published("The continuation of a text, whole or streamed", Request, Completion, event=Completion, closing="[DONE]"),
)
COMPLETIONS = Exchange("completions", (Route(b"POST", b"/v1/completions", OPENAI),), (Surface("chat", OPENAI, "/completions"),))
