"""Counting: how many tokens a chat request would have. It is free; where no provider counts, the gateway estimates and says so."""

from __future__ import annotations

from halley.chat.doors import Swap, Unreadable
from halley.chat.estimate import tokens
from halley.chat.model import Ask
from halley.chat.usage import Usage, Whole
from halley.dialects import ANTHROPIC, GEMINI, OPENAI_RESPONSES, Dialect
from halley.dialects.anthropic import counting as anthropic
from halley.dialects.anthropic import published as anthropic_published
from halley.dialects.gemini import counting as google
from halley.dialects.gemini import published as google_published
from halley.dialects.openai_responses import counting as openai
from halley.dialects.openai_responses import published as openai_published
from halley.exchanges.record import ANTHROPIC_CARRIERS, GOOGLE_CARRIERS, GOOGLE_PREFIXES, Exchange, Route, Surface, no_output
from halley.wire import jsonbody

NAME = "counting"


def _counting(dialect: Dialect, swap: Swap[Ask, Usage]) -> Dialect:
    def read_whole(body: bytes) -> Whole | None:
        try:
            swap.read_answer(body)
        except Unreadable:
            return Whole(Usage(), False) if jsonbody.is_object(body) else None
        return Whole(Usage(), True)

    return dialect._replace(
        name=f"{dialect.name}_counting",
        exchange=NAME,
        read_whole=read_whole,
        content_bytes=no_output,
        doors=None,
        swap=swap,
        billed=False,
        estimate=tokens,
    )


MESSAGES = _counting(ANTHROPIC, anthropic.SWAP)._replace(peek=anthropic.peek, published=anthropic_published.COUNTING)
RESPONSES = _counting(OPENAI_RESPONSES, openai.SWAP)._replace(peek=openai.peek, published=openai_published.COUNTING)
CONTENTS = _counting(GEMINI, google.SWAP)._replace(peek=google.peek, outbound=google.outbound, published=google_published.COUNTING)

COUNTING = Exchange(
    NAME,
    (
        Route(b"POST", b"/v1/messages/count_tokens", MESSAGES, carriers=ANTHROPIC_CARRIERS),
        Route(b"POST", b"/v1/responses/input_tokens", RESPONSES),
        *(Route(b"POST", prefix, CONTENTS, carriers=GOOGLE_CARRIERS, operation=b":countTokens") for prefix in GOOGLE_PREFIXES),
    ),
    (
        Surface("messages", MESSAGES, "/messages/count_tokens"),
        Surface("gemini", CONTENTS, "/models/{model}:countTokens"),
        Surface("responses", RESPONSES, "/responses/input_tokens"),
    ),
)
