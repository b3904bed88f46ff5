"""What the gateway needs to know of a chat request before it is served, whatever its dialect; the body itself stays bytes."""

from __future__ import annotations

import msgspec

from halley.wire.jsonbody import Members, Places


class Peek(msgspec.Struct):
    """`cap` is the larger of the caps that were given; `image_urls` are what a provider would fetch; `members` is what the body's top level
    is changed by."""

    model: str
    stream: bool
    n: int
    cap: int | None
    wants_usage: bool
    image_urls: list[str]
    members: Members | Places
