"""`countTokens`: a request counted without being answered.

Shapes: `{contents}` or `{generateContentRequest: {model, contents, systemInstruction, tools, …}}` → `{totalTokens,
cachedContentTokenCount?, promptTokensDetails?}`. Providers are asked in the second form, which alone counts instructions and tools.
"""

from __future__ import annotations

import msgspec

from halley.chat.doors import Target, Unreadable, Written
from halley.chat.model import Ask
from halley.chat.usage import Usage
from halley.dialects.gemini.answer import Count, Json
from halley.dialects.gemini.node import Node
from halley.dialects.gemini.read_ask import read_ask
from halley.dialects.gemini.write_ask import write_ask


class _Counted(msgspec.Struct):
    totalTokens: Count
    cachedContentTokenCount: Count | None = None


_decode_counted = msgspec.json.Decoder(_Counted).decode


def read_count(body: bytes) -> Ask:
    """What is to be counted; the path names the model. Raises Refused."""
    wrapped = Node(body).take("generateContentRequest")
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
    except msgspec.DecodeError as error:
        raise Unreadable(f"no count of tokens: {error}") from None
    return Usage(input=found.totalTokens, cache_read=found.cachedContentTokenCount or 0)


def write_counted(usage: Usage) -> bytes:
    made: Json = {"totalTokens": usage.input}
    if usage.cache_read:
        made["cachedContentTokenCount"] = usage.cache_read
    return msgspec.json.encode(made)
