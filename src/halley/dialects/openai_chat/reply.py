"""An OpenAI Chat Completions answer: what it used, whether it is whole, and the marks by which its stream is metered.

Whole answers and streams pass to the client as they are; this module only looks. The grammar of the stream stands in the package.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from halley.chat.meter import Meter
from halley.chat.usage import Usage, Whole, tier_named
from halley.wire import sse
from halley.wire.jsonbody import BROKEN

# No context is as long. A larger figure is nonsense, which counts as no report: priced, it would not fit into a ledger's 64 bits.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class _PromptDetails(msgspec.Struct):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None


class _ServerTools(msgspec.Struct):
    web_search_requests: Count | None = None


class UsageShape(msgspec.Struct):
    """The last three are how hosts beside OpenAI count searches: OpenRouter, Perplexity, xAI."""

    prompt_tokens: Count
    completion_tokens: Count
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    server_tool_use: _ServerTools | None = None
    num_search_queries: Count | None = None
    num_sources_used: Count | None = None


class _Reply(msgspec.Struct):
    usage: UsageShape | None = None
    choices: msgspec.Raw = msgspec.Raw()
    service_tier: str | None = None


class _OddReply(msgspec.Struct):
    """A reply whose usage is not what the schema says: the answer counts, the usage does not."""

    choices: msgspec.Raw = msgspec.Raw()


_decode_reply = msgspec.json.Decoder(_Reply).decode
_decode_odd_reply = msgspec.json.Decoder(_OddReply).decode
_NO_PROMPT = _PromptDetails()
_NO_OUTPUT = _OutputDetails()
_NULL = b"null"


def normal(found: UsageShape | None, service_tier: str | None = None) -> Usage | None:
    """Normalised usage, None when there is none: zero counts as zero."""
    if found is None:
        return None
    prompt = found.prompt_tokens_details or _NO_PROMPT
    output = found.completion_tokens_details or _NO_OUTPUT
    return Usage(
        found.prompt_tokens,
        found.completion_tokens,
        prompt.cached_tokens or 0,
        prompt.cache_write_tokens or 0,
        0,
        output.reasoning_tokens or 0,
        prompt.audio_tokens or 0,
        output.audio_tokens or 0,
        prompt.image_tokens or 0,
        output.image_tokens or 0,
        tools=_tools(found),
        service_tier=tier_named(service_tier),
    )


def _tools(found: UsageShape) -> dict[str, int]:
    """Calls of tools that the provider ran, by the names of a price list."""
    if found.server_tool_use is None and found.num_search_queries is None and found.num_sources_used is None:
        return {}
    searches = found.server_tool_use.web_search_requests if found.server_tool_use is not None else found.num_search_queries
    return {name: count for name, count in (("web_search", searches), ("source", found.num_sources_used)) if count}


def read_whole(body: bytes) -> Whole | None:
    """Usage of a non-streamed answer, nonsense counting as absent; None when the body is not a JSON object."""
    try:
        reply = _decode_reply(body)
        usage = normal(reply.usage, reply.service_tier)
    except msgspec.ValidationError:
        try:
            reply, usage = _decode_odd_reply(body), None
        except BROKEN:  # what the first reading did not get to may be no JSON at all
            return None
    except BROKEN:
        return None
    return Whole(usage, len(reply.choices) > 0 and bytes(reply.choices) != _NULL)


def content_bytes(body: bytes) -> int:
    """Bytes of generated text and arguments in a whole answer: what an own count is made from when no usage was reported."""
    return sum(len(match[1]) for match in _CONTENT.finditer(body))


_FINISH = re.compile(rb'"finish_reason"\s*:\s*"[^"]')
_DONE_FRAME = re.compile(rb"^data: ?\[DONE\][ \t\r]*$", re.MULTILINE)
_ERROR = re.compile(rb'^data: ?\{\s*"error"\s*:', re.MULTILINE)
_EMPTY_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_CONTENT = re.compile(rb'"(?:content|reasoning_content|reasoning|arguments)"\s*:\s*"(?!")([^"\\]*(?:\\.[^"\\]*)*)"')


class ChatMeter(Meter):
    """The stream of chat completions: the report stands alone in the last frame but one, or in the frames that carry the answer."""

    __slots__ = ()

    finish = _FINISH
    done_word = b"[DONE]"
    done_frame = _DONE_FRAME
    error = _ERROR
    content = _CONTENT

    def usage_of(self, frame: bytes) -> Usage | None:
        try:
            reply = _decode_reply(sse.payload(frame))
            return normal(reply.usage, reply.service_tier)
        except BROKEN:
            return None

    def is_alone(self, frame: bytes) -> bool:
        return _EMPTY_CHOICES.search(frame) is not None

    def without_end(self, complete: bytes) -> bytes:
        return _DONE_FRAME.split(complete, 1)[0]
