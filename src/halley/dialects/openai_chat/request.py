"""An OpenAI Chat Completions request: the check of its documented core, and its body for an upstream of the same dialect.

Nothing here changes a byte that need not change. Facts: OpenAI's published schema (CreateChatCompletionRequest) and CometAPI's chat
reference, read 2026-11.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec

from halley.chat.peek import Peek, opened
from halley.chat.reading import decode, missing
from halley.dialects.openai_chat.reply import ChatMeter
from halley.errors import Condition, Refused
from halley.wire import jsonbody

Role = Literal["user", "assistant", "system", "tool", "developer", "function"]
Cap = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


MOST_IMAGES = 1500


class _Url(msgspec.Struct):
    url: str


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    image_url: _Url | None = None


class _Message(msgspec.Struct):
    role: Role
    content: str | list[_Part] | None = None
    tool_calls: list[msgspec.Raw] | None = None
    tool_call_id: str | None = None
    function_call: msgspec.Raw = msgspec.Raw()
    refusal: str | None = None
    audio: msgspec.Raw = msgspec.Raw()


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class Request(msgspec.Struct):
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    max_tokens: Cap | None = None
    max_completion_tokens: Cap | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None


_ask = msgspec.json.Decoder(Request)
_CORE = frozenset(Request.__struct_fields__)
_JUDGED_INSIDE = {"stream_options": b"", "messages": b"image_url"}


def peek(body: bytes, _path: bytes = b"") -> Peek:
    """Check the documented core of a request and read what routing and billing need. Raises Refused, naming the field."""
    members = opened(body, _CORE, "model and messages", _JUDGED_INSIDE)
    ask = decode(_ask, body, known=get_args(Role))
    seen = _seen(ask, members)
    for index, message in enumerate(ask.messages):
        content = message.content
        if content is None:
            _check_empty(message, index)
        elif type(content) is list:
            _check_parts(content, index, seen.image_urls)
        if message.role == "tool" and message.tool_call_id is None:
            raise missing(f"messages[{index}].tool_call_id", "a tool message names the call it answers")
    if len(seen.image_urls) > MOST_IMAGES:
        raise Refused(Condition.INVALID, f"messages: at most {MOST_IMAGES} images are taken in one request.", param="messages")
    return seen


def _seen(ask: Request, members: jsonbody.Members) -> Peek:
    low, high = ask.max_tokens, ask.max_completion_tokens
    cap = high if low is None else low if high is None else max(low, high)
    if len(members.get("stream_options", b"")) > jsonbody.SMALL:
        raise Refused(Condition.INVALID, f"stream_options: at most {jsonbody.SMALL} bytes are taken.", param="stream_options")
    wants_usage = bool(ask.stream_options is not None and ask.stream_options.include_usage)
    return Peek(ask.model, bool(ask.stream), ask.n or 1, cap, wants_usage, [], members)


def _check_empty(message: _Message, index: int) -> None:
    spoke = message.tool_calls or len(message.function_call) or message.refusal is not None or len(message.audio)
    if message.role != "assistant" or not spoke:
        raise missing(f"messages[{index}].content", "content may be absent or null only on an assistant message with tool_calls")


def _check_parts(parts: list[_Part], index: int, urls: list[str]) -> None:
    for number, part in enumerate(parts):
        if part.image_url is not None:  # whatever the part calls itself
            urls.append(part.image_url.url)
        elif part.type == "image_url":
            raise missing(f"messages[{index}].content[{number}].image_url", "an image_url part has an object with url")
        elif part.type == "text" and part.text is None:
            raise missing(f"messages[{index}].content[{number}].text", "a text part has text")


def outbound(body: bytes, seen: Peek, model: str, cap: int | None, cap_field: str) -> bytes:
    """The body for an upstream of the same dialect: the very bytes, but for the model's name there, a usage frame that Halley itself needs,
    and an output cap when one had to be set (`cap_field` is the upstream's name for it)."""
    changes: dict[str, bytes] = {}
    if model != seen.model:
        changes["model"] = msgspec.json.encode(model)
    if seen.stream and not seen.wants_usage:
        changes["stream_options"] = _with_usage(seen.members.get("stream_options"))
    if cap is not None:
        changes[cap_field] = b"%d" % cap
    return jsonbody.set_members(body, seen.members, changes) if changes else body


def _with_usage(options: msgspec.Raw | bytes | None) -> bytes:
    if options is None or bytes(options) == b"null":
        return b'{"include_usage":true}'
    raw = bytes(options)
    return jsonbody.set_members(raw, jsonbody.members(raw), {"include_usage": b"true"})


def meter(seen: Peek, *, strip: bool) -> ChatMeter:
    """The meter of the stream that answers this request."""
    return ChatMeter(strip=strip and not seen.wants_usage)
