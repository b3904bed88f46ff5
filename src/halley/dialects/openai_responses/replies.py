"""The response object as a provider sends it: its fields, what it used, why it ended. For whole answers and ends of streams."""

from __future__ import annotations

from typing import Annotated

import msgspec

from halley.chat.events import Failed
from halley.chat.model import Finish, Part, Reason, Refusal, ToolCall
from halley.chat.strays import Strays, Watch
from halley.chat.usage import Usage, tier_named
from halley.dialects.openai_responses.left_out import LEFT_OUT
from halley.wire.jsonbody import BROKEN

# No context is as long. A larger figure is nonsense, which counts as no report: priced, it would not fit into a ledger's 64 bits.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
# What a failed answer would have been over HTTP; of a code that is not here it is not said.
_STATUS = {
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "server_error": 500,
    "server_is_overloaded": 503,
    "slow_down": 503,
    "context_length_exceeded": 400,
    "invalid_prompt": 400,
}


class _InputDetails(msgspec.Struct):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: Count | None = None


class UsageFound(msgspec.Struct):
    input_tokens: Count
    output_tokens: Count
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class ErrorFound(msgspec.Struct):
    message: str | None = None
    code: str | int | None = None
    type: str | None = None
    param: str | None = None


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class Reply(msgspec.Struct):
    """`output` stays raw. `usage` is raw too: nonsense in it is no report, and not the end of an answer."""

    id: str = ""
    model: str = ""
    created_at: float | None = None  # some providers write it with a fraction
    status: str | None = None
    error: ErrorFound | None = None
    incomplete_details: _Incomplete | None = None
    output: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = msgspec.Raw()
    service_tier: str | None = None

    @property
    def created(self) -> int | None:
        return None if self.created_at is None else int(self.created_at)


_usage = msgspec.json.Decoder(UsageFound | None)
_watched = Watch(UsageFound, LEFT_OUT, "usage")
_INCOMPLETE: dict[str | None, Reason] = {"content_filter": "filter", "max_output_tokens": "length"}
_NO_INPUT = _InputDetails()
_NO_OUTPUT = _OutputDetails()
_NO_ITEMS = msgspec.Raw()


class _Action(msgspec.Struct):
    type: str = ""


class _Item(msgspec.Struct):
    type: str = ""
    action: _Action | None = None


_items = msgspec.json.Decoder(list[_Item])
# What a provider bills by the call. A search that only opens a page or looks on it is none.
_BILLED = {
    "web_search_call": "web_search",
    "file_search_call": "file_search",
    "code_interpreter_call": "code_interpreter",
    "image_generation_call": "image_generation",
}


def tools(output: msgspec.Raw) -> dict[str, int]:
    """Calls of tools that the provider ran, by the names of a price list: the items of an answer. Function calls are the caller's own."""
    raw = bytes(output)
    if b"_call" not in raw or not any(word.encode() in raw for word in _BILLED):
        return {}
    try:
        found = _items.decode(raw)
    except BROKEN:
        return {}
    counts: dict[str, int] = {}
    for item in found:
        name = _BILLED.get(item.type)
        if name is not None and (item.action is None or item.action.type in ("", "search")):
            counts[name] = counts.get(name, 0) + 1
    return counts


def usage(raw: msgspec.Raw, output: msgspec.Raw = _NO_ITEMS, service_tier: str | None = None) -> Usage | None:
    """Normalised usage, None when there is none that makes sense. With the items of the answer and its tier, what they cost is in it."""
    if not raw:
        return None
    try:
        return normal(_usage.decode(raw), output, service_tier)
    except BROKEN:
        return None


def usage_watched(raw: msgspec.Raw, strays: Strays) -> Usage | None:
    """The same for who tells what of it is not known."""
    if len(raw) <= len(b"null"):
        return None
    try:
        return normal(_watched.read(raw, strays))
    except BROKEN:
        strays.tell("usage", "the provider's report makes no sense")
        return None


def normal(found: UsageFound | None, output: msgspec.Raw = _NO_ITEMS, service_tier: str | None = None) -> Usage | None:
    if found is None:
        return None
    prompt = found.input_tokens_details or _NO_INPUT
    details = found.output_tokens_details or _NO_OUTPUT
    return Usage(
        found.input_tokens,
        found.output_tokens,
        cache_read=prompt.cached_tokens or 0,
        cache_write_5m=prompt.cache_write_tokens or 0,
        reasoning=details.reasoning_tokens or 0,
        tools=tools(output) if output else {},
        service_tier=tier_named(service_tier),
    )


def finish(reply: Reply, last: Part | None, called: bool) -> Finish:
    """`last` is the last part of the answer; `called`: a tool of the caller is among them."""
    if reply.status == "incomplete":
        word = reply.incomplete_details.reason if reply.incomplete_details is not None else None
        return Finish(_INCOMPLETE.get(word, "length"), word=word if word not in _INCOMPLETE else None)
    if called:
        return Finish("tool")
    return Finish("refusal" if isinstance(last, Refusal) else "stop")


def is_call(part: Part) -> bool:
    return isinstance(part, ToolCall)


def failure(error: ErrorFound | None) -> Failed:
    if error is None:
        return Failed("The provider's answer failed.")
    code = str(error.code or error.type or "")
    return Failed(error.message or "The provider's answer failed.", _STATUS.get(code, 0), code)
