"""`countTokens`: a request counted without being answered.

Shapes: `{contents}` or `{generateContentRequest: {model, contents, systemInstruction, tools, …}}` → `{totalTokens,
cachedContentTokenCount?, promptTokensDetails?}`. Providers are asked in the second form, which alone counts instructions and tools.
"""

from __future__ import annotations

import msgspec

from halley.chat import count
from halley.chat.doors import Target, Unreadable, Written
from halley.chat.model import Ask
from halley.chat.peek import Peek, opened
from halley.chat.reading import invalid
from halley.chat.usage import Usage
from halley.dialects.gemini import seals
from halley.dialects.gemini.answer import Count, Json
from halley.dialects.gemini.node import Node, camel
from halley.dialects.gemini.read_answer import read_error
from halley.dialects.gemini.read_ask import read_ask
from halley.dialects.gemini.request import addressed, peek_as
from halley.dialects.gemini.write_ask import write_ask
from halley.wire import jsonbody
from halley.wire.jsonbody import BROKEN


class _Counted(msgspec.Struct):
    totalTokens: Count
    cachedContentTokenCount: Count | None = None


_WRAPPED = "generateContentRequest"
_decode_counted = msgspec.json.Decoder(_Counted).decode


def read_count(body: bytes) -> Ask:
    """What is to be counted; the path names the model. Raises Refused."""
    wrapped = Node(body).take(_WRAPPED)
    ask = read_ask(body if wrapped is None else bytes(wrapped))
    return msgspec.structs.replace(ask, extras=tuple(extra for extra in ask.extras if extra.at != "model"))


def write_count(ask: Ask, target: Target) -> Written:
    """Raises Refused as `write_ask` does."""
    written = write_ask(ask, target)
    request = {"model": msgspec.Raw(msgspec.json.encode(f"models/{target.model}"))}
    request |= msgspec.json.decode(written.body, type=dict[str, msgspec.Raw])
    return Written(msgspec.json.encode({"generateContentRequest": request}), written.losses)


def read_counted(body: bytes) -> Usage:
    """Raises Unreadable."""
    try:
        found = _decode_counted(body)
    except BROKEN as error:
        raise Unreadable(f"no count of tokens: {error}") from None
    return Usage(input=found.totalTokens, cache_read=found.cachedContentTokenCount or 0)


def write_counted(usage: Usage) -> bytes:
    made: Json = {"totalTokens": usage.input}
    if usage.cache_read:
        made["cachedContentTokenCount"] = usage.cache_read
    return msgspec.json.encode(made)


def peek(body: bytes, path: bytes) -> Peek:
    """Judged as the request is that is counted. Raises Refused."""
    members = opened(body, frozenset(), "contents")
    wrapped = Node(body).take(_WRAPPED)
    if wrapped is not None and "contents" in members:
        raise invalid("contents", f"stands in {_WRAPPED} already")
    seen = peek_as(body if wrapped is None else bytes(wrapped), addressed(path)[0], False)
    seen.members = members
    return count.only_counted(seen)


def outbound(body: bytes, seen: Peek, model: str, _cap: int | None, _cap_field: str) -> bytes:
    """The very bytes, but for the model's name where the wrapped request has it, and the seals of other makers."""
    if model != seen.model:
        members = jsonbody.members(body)
        name = next((name for name, value in members.items() if camel(name) == _WRAPPED and bytes(value) != b"null"), None)
        if name is not None:
            wrapped = bytes(members[name])
            named = jsonbody.set_members(wrapped, jsonbody.members(wrapped), {"model": msgspec.json.encode(f"models/{model}")})
            body = jsonbody.set_members(body, members, {name: named})
    return seals.without_foreign(body)


SWAP = count.swap(read_count, write_count, read_counted, write_counted, read_error)
