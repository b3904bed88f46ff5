"""Rerank: documents in the order in which they answer a query, in the words that Jina, Cohere (v1) and their followers share.

Usage is `usage.total_tokens` (Jina, vLLM, Voyage); Cohere bills searches (`meta.billed_units.search_units`), which is a price per request.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from halley.chat.peek import Peek, look, rename
from halley.chat.published import Published
from halley.chat.reading import begins
from halley.chat.usage import Usage, Whole
from halley.dialects import OPENAI_CHAT
from halley.exchanges.record import Exchange, Route, Surface, no_output
from halley.wire.jsonbody import BROKEN

Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class Request(msgspec.Struct):
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    query: str | dict[str, msgspec.Raw]
    documents: Annotated[list[str | dict[str, msgspec.Raw]], msgspec.Meta(min_length=1)]
    top_n: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Ranked(msgspec.Struct):
    """`index` is the document's place in the request."""

    index: int
    relevance_score: float


class Reranked(msgspec.Struct):
    results: list[Ranked]


class _Usage(msgspec.Struct):
    total_tokens: Count | None = None
    prompt_tokens: Count | None = None


class _Units(msgspec.Struct):
    search_units: float | None = None


class _Meta(msgspec.Struct):
    billed_units: _Units | None = None


class _Reply(msgspec.Struct):
    results: msgspec.Raw = msgspec.Raw()
    usage: msgspec.Raw = msgspec.Raw()
    meta: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(Request)
_decode_reply = msgspec.json.Decoder(_Reply).decode
_decode_usage = msgspec.json.Decoder(_Usage).decode
_decode_meta = msgspec.json.Decoder(_Meta).decode
_CORE = frozenset(Request.__struct_fields__)


def peek(body: bytes, _path: bytes) -> Peek:
    """Raises Refused, naming the field."""
    ask, members = look(body, _decoder, _CORE, "model, query and documents")
    return Peek(ask.model, False, 1, 0, True, [], members)


def read_whole(body: bytes) -> Whole | None:
    """None when it is no JSON object."""
    try:
        reply = _decode_reply(body)
    except BROKEN:
        return None
    return Whole(_usage(reply), begins(reply.results, b"["))


def _usage(reply: _Reply) -> Usage | None:
    try:
        if len(reply.usage):
            found = _decode_usage(reply.usage)
            count = found.prompt_tokens if found.total_tokens is None else found.total_tokens
            if count is not None:
                return Usage(count)
        units = _decode_meta(reply.meta).billed_units if len(reply.meta) else None
    except BROKEN:
        return None
    return Usage() if units is not None and units.search_units is not None else None


JINA = OPENAI_CHAT._replace(
    name="jina_rerank",
    exchange="rerank",
    peek=peek,
    outbound=rename,
    read_whole=read_whole,
    content_bytes=no_output,
    doors=None,
    published=Published("Documents in the order in which they answer a query", Request, Reranked),
)
RERANK = Exchange("rerank", (Route(b"POST", b"/v1/rerank", JINA),), (Surface("chat", JINA, "/rerank"),))
