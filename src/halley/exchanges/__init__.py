"""The table of exchanges: one pure record per surface. The relay runs every one of them through the same loop."""

from __future__ import annotations

from halley.exchanges.chat import CHAT
from halley.exchanges.compaction import COMPACTION
from halley.exchanges.completions import COMPLETIONS
from halley.exchanges.counting import COUNTING
from halley.exchanges.embeddings import EMBEDDINGS
from halley.exchanges.moderation import MODERATION
from halley.exchanges.record import Exchange, Route
from halley.exchanges.rerank import RERANK

EXCHANGES: tuple[Exchange, ...] = (CHAT, EMBEDDINGS, COUNTING, MODERATION, COMPLETIONS, RERANK, COMPACTION)
# What a key can be limited to: an exchange by its name, or one of its paths.
CALLABLE: frozenset[str] = frozenset(name for exchange in EXCHANGES for name in (exchange.name, *(route.text for route in exchange.routes)))

__all__ = ["CALLABLE", "EXCHANGES", "Exchange", "Route"]
