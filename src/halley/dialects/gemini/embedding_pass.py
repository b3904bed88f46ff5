"""Embeddings for a provider of this dialect: what is checked, the few bytes that change, and what an answer used.

The model is in the path and, if the client wants, once more in the body or in each request of a batch: `models/NAME`.
"""

from __future__ import annotations

import msgspec

from halley.chat.doors import Swap, Target, Unreadable, Written
from halley.chat.embed import Embed, Embedded
from halley.chat.peek import Peek, opened
from halley.chat.usage import Usage, Whole
from halley.dialects.gemini.embeddings import read_batch, read_embedded, read_one, write_all, write_batch, write_one
from halley.dialects.gemini.read_answer import read_error
from halley.dialects.gemini.request import addressed
from halley.wire import jsonbody

_CORE = frozenset(("model", "content", "requests"))
_JUDGED_INSIDE = {"content": b"", "requests": b""}
_decode_requests = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode


def peek_one(body: bytes, path: bytes) -> Peek:
    """Raises Refused, naming the field."""
    seen = _peek(body, path)
    read_one(body, seen.model)
    return seen


def peek_batch(body: bytes, path: bytes) -> Peek:
    """Raises Refused, naming the field."""
    seen = _peek(body, path)
    read_batch(body, seen.model)
    return seen


def _peek(body: bytes, path: bytes) -> Peek:
    members = opened(body, _CORE, "content or requests", _JUDGED_INSIDE)
    return Peek(addressed(path)[0], False, 1, 0, True, [], members)


def outbound_one(body: bytes, seen: Peek, model: str, _cap: int | None, _cap_field: str) -> bytes:
    if model == seen.model:
        return body
    members = jsonbody.members(body)
    return jsonbody.set_members(body, members, {"model": _name(model)}) if "model" in members else body


def outbound_batch(body: bytes, seen: Peek, model: str, _cap: int | None, _cap_field: str) -> bytes:
    if model == seen.model:
        return body
    members = jsonbody.members(body)
    requests = _decode_requests(members["requests"])
    named = msgspec.json.encode([request | {"model": msgspec.Raw(_name(model))} for request in requests])
    return jsonbody.set_members(body, members, {"requests": named})


def _name(model: str) -> bytes:
    return msgspec.json.encode(f"models/{model}")


def read_whole(body: bytes) -> Whole | None:
    """Usage of an answer, which older models do not report; None when it is no JSON object."""
    try:
        embedded = read_embedded(body)
    except Unreadable:
        return Whole(None, False) if jsonbody.is_object(body) else None
    return Whole(None if embedded.tokens is None else Usage(embedded.tokens), True)


def _write(embed: Embed, target: Target) -> Written:
    return write_batch(embed, target.model)


def _write_one(embedded: Embedded, _embed: Embed) -> bytes:
    return write_one(embedded)


def _write_all(embedded: Embedded, _embed: Embed) -> bytes:
    return write_all(embedded)


ONE = Swap(read_one, _write, read_embedded, _write_one, read_error)
BATCH = Swap(read_batch, _write, read_embedded, _write_all, read_error)
