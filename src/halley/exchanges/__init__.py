"""The table of exchanges: one pure record per surface. The relay runs every one of them through the same loop."""

from __future__ import annotations

from halley.exchanges.chat import CHAT
from halley.exchanges.record import Exchange, Route

EXCHANGES: tuple[Exchange, ...] = (CHAT,)

__all__ = ["EXCHANGES", "Exchange", "Route"]
