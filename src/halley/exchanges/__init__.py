"""The table of exchanges: one pure record per surface. The relay runs every one of them through the same loop."""

from __future__ import annotations

from halley.exchanges.chat import CHAT
from halley.exchanges.completions import COMPLETIONS
from halley.exchanges.counting import COUNTING
from halley.exchanges.embeddings import EMBEDDINGS
from halley.exchanges.moderation import MODERATION
from halley.exchanges.record import Exchange, Route
from halley.exchanges.rerank import RERANK

EXCHANGES: tuple[Exchange, ...] = (CHAT, EMBEDDINGS, COUNTING, MODERATION, COMPLETIONS, RERANK)

__all__ = ["EXCHANGES", "Exchange", "Route"]
