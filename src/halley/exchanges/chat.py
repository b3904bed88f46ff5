"""Chat: messages in, an answer out, whole or streamed."""

from __future__ import annotations

from halley.dialects import ANTHROPIC, GEMINI, OPENAI_CHAT, OPENAI_RESPONSES
from halley.exchanges.record import AUTHORIZATION, QUERY, Exchange, Route

_GOOGLE = (b"x-goog-api-key", AUTHORIZATION, QUERY)

CHAT = Exchange(
    "chat",
    (
        Route(b"POST", b"/v1/chat/completions", OPENAI_CHAT),
        Route(b"POST", b"/v1/responses", OPENAI_RESPONSES),
        Route(b"POST", b"/v1/messages", ANTHROPIC, carriers=(b"x-api-key", AUTHORIZATION)),
        # Google's clients of today ask under v1beta, those of the newest major under v1.
        *(
            Route(b"POST", prefix, GEMINI, carriers=_GOOGLE, operation=operation)
            for prefix in (b"/v1beta/models/", b"/v1/models/")
            for operation in (b":generateContent", b":streamGenerateContent")
        ),
        # CometAPI's own integration guide of 2026-06 tells readers to post here, which is the address of a documentation page.
        Route(b"POST", b"/api/text/chat", OPENAI_CHAT, canonical=b"/v1/chat/completions", page=b"/docs/chat-completions"),
        Route(b"POST", b"/api/text/responses", OPENAI_RESPONSES, canonical=b"/v1/responses", page=b"/docs/dialects"),
    ),
)
