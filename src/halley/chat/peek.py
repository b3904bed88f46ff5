"""What the gateway needs to know of a request before it is served, whatever its dialect; the body itself stays bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from halley.chat.reading import decode
from halley.errors import Condition, Refused
from halley.wire import jsonbody
from halley.wire.jsonbody import Members, Places

T = TypeVar("T")
_NOTHING_DEEP: Mapping[str, bytes] = {}


class Peek(msgspec.Struct):
    """`cap` is the larger of the caps that were given, 0 where nothing is generated; `image_urls` are what a provider would fetch;
    `members` is what the body's top level is changed by. `previous` is the earlier answer that it goes on from, `named` are those of which
    it names parts, and `keeps` says that its own answer may be gone on from."""

    model: str
    stream: bool
    n: int
    cap: int | None
    wants_usage: bool
    image_urls: list[str]
    members: Members | Places
    previous: str | None = None
    keeps: bool = False
    named: list[str] = []


def opened(body: bytes, core: frozenset[str], what: str, deep: Mapping[str, bytes] = _NOTHING_DEEP) -> Members:
    """The top level of a body that every reader reads alike. `core` and `deep` as for `jsonbody.check_one_reading`; `what` says what an
    empty body should have had. Raises Refused."""
    try:
        jsonbody.gate(body)
        members = jsonbody.members(body)
        jsonbody.check_one_reading(body, members, core, deep)
    except jsonbody.Malformed as error:
        reason = str(error) if body.strip() else f"The body is empty; send a JSON object with {what}."
        raise Refused(Condition.INVALID, reason) from None
    return members


def look(
    body: bytes, decoder: msgspec.json.Decoder[T], core: frozenset[str], what: str, deep: Mapping[str, bytes] = _NOTHING_DEEP
) -> tuple[T, Members]:
    """The documented core of a body and its top level, as `opened`. Raises Refused, naming the field."""
    members = opened(body, core, what, deep)
    return decode(decoder, body), members


def rename(body: bytes, seen: Peek, model: str, _cap: int | None = None, _cap_field: str = "") -> bytes:
    """The body for a provider of the same dialect: the very bytes, but for the model's name there."""
    if model == seen.model:
        return body
    return jsonbody.set_members(body, seen.members, {"model": msgspec.json.encode(model)})
