"""Chat: messages in, an answer out, whole or streamed."""

from __future__ import annotations

from halley.dialects import ANTHROPIC, GEMINI, OPENAI_CHAT, OPENAI_RESPONSES
from halley.dialects.gemini import published as google
from halley.exchanges.record import ANTHROPIC_CARRIERS, GOOGLE_CARRIERS, GOOGLE_PREFIXES, Exchange, Route

CHAT = Exchange(
    "chat",
    (
        Route(b"POST", b"/v1/chat/completions", OPENAI_CHAT),
        Route(b"POST", b"/v1/responses", OPENAI_RESPONSES),
        Route(b"POST", b"/v1/messages", ANTHROPIC, carriers=ANTHROPIC_CARRIERS),
        *(
            Route(b"POST", prefix, GEMINI, carriers=GOOGLE_CARRIERS, operation=operation, published=published)
            for prefix in GOOGLE_PREFIXES
            for operation, published in ((b":generateContent", google.GENERATE), (b":streamGenerateContent", google.STREAM))
        ),
        # CometAPI's own integration guide of 2026-06 tells readers to post here, which is the address of a documentation page.
        Route(b"POST", b"/api/text/chat", OPENAI_CHAT, canonical=b"/v1/chat/completions", page=b"/docs/chat-completions"),
        Route(b"POST", b"/api/text/responses", OPENAI_RESPONSES, canonical=b"/v1/responses", page=b"/docs/dialects"),
    ),
)
