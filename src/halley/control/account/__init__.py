"""The API with which a caller reads and manages what is theirs: keys, usage, requests, balance. A table of endpoints, each a record beside
the function that does it; `door` puts them on the web, `control.openapi` describes them."""

from __future__ import annotations

from halley.control.account import budgets, figures, keys, logs, panel_keys, panel_logs, panels
from halley.control.account.endpoint import Endpoint

ENDPOINTS: tuple[Endpoint, ...] = (
    *keys.ENDPOINTS,
    *budgets.ENDPOINTS,
    *figures.ENDPOINTS,
    *logs.ENDPOINTS,
    *panel_keys.ENDPOINTS,
    *panels.ENDPOINTS,
    *panel_logs.ENDPOINTS,
)

__all__ = ["ENDPOINTS", "Endpoint"]
