"""Chat: messages in, an answer out, whole or streamed."""

from __future__ import annotations

from halley.dialects import OPENAI_CHAT
from halley.exchanges.record import Exchange, Route

CHAT = Exchange(
    "chat",
    (
        Route(b"POST", b"/v1/chat/completions", OPENAI_CHAT),
        # CometAPI's own integration guide of 2026-06 tells readers to post here, which is the address of a documentation page.
        Route(b"POST", b"/api/text/chat", OPENAI_CHAT, canonical=b"/v1/chat/completions"),
    ),
)
