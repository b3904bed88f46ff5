"""The small answers beside a response: how many tokens an input has, the items that it had, that it is gone, and a compacted conversation.

Shapes: OpenAI's published schema (TokenCountsResource, ResponseItemList, DeletedResponse, CompactResource), read 2026-11. Where the numbers
and items come from is the caller's business.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from halley.chat.usage import Usage
from halley.dialects.openai_responses.envelope import usage_said

encode = msgspec.json.encode


class _Id(msgspec.Struct):
    id: str | None = None


_id = msgspec.json.Decoder(_Id)


def input_tokens(count: int) -> bytes:
    return encode({"object": "response.input_tokens", "input_tokens": count})


def input_items(items: Sequence[msgspec.Raw], *, more: bool) -> bytes:
    """One page; `more` says that it is not the last."""
    ids = [_id.decode(items[place]).id for place in (0, -1)] if items else [None, None]
    return encode({"object": "list", "data": items, "first_id": ids[0], "last_id": ids[1], "has_more": more})


def deleted(id: str) -> bytes:
    return encode({"id": id, "object": "response", "deleted": True})


def compacted(id: str, created: int, output: Sequence[msgspec.Raw], usage: Usage) -> bytes:
    """`output` is what the next request sends as its input."""
    said = usage_said(usage, [])
    return encode({"id": id, "object": "response.compaction", "created_at": created, "output": output, "usage": said})
