"""Compaction: a conversation becomes a shorter one that only its provider can read. It is paid like an answer."""

from __future__ import annotations

from halley.chat.peek import Peek
from halley.dialects import OPENAI_RESPONSES
from halley.dialects.openai_responses import published
from halley.exchanges.record import Exchange, Route, Surface


def _peek(body: bytes, path: bytes) -> Peek:
    """Raises Refused. What comes out is the next request's input, and nobody goes on from its id."""
    seen = OPENAI_RESPONSES.peek(body, path)
    seen.stream = seen.keeps = False
    return seen


RESPONSES = OPENAI_RESPONSES._replace(
    name="openai_responses_compaction", exchange="compaction", doors=None, peek=_peek, published=published.COMPACTION
)

COMPACTION = Exchange(
    "compaction",
    (Route(b"POST", b"/v1/responses/compact", RESPONSES),),
    (Surface("responses", RESPONSES, "/responses/compact"),),
)
