"""What the simulator would charge: one row per attempt, counted from what it generated and not from what it said in `usage`."""

from __future__ import annotations

from collections import deque

import msgspec

KEPT = 200_000
"""Rows kept; the totals cover every attempt since the last reset."""


class Attempt(msgspec.Struct):
    """One call of a model. Times are Unix seconds; `closed` is None while it runs; `surface` is the dialect or exchange that it came in.

    `prompt_tokens` holds what was cached and written to the cache, `completion_tokens` the reasoning.

    `outcome`: running, complete, refused (an error status), cut (the script broke it off), failed (the script sent an error frame),
    hung-up (the caller left).
    """

    id: str
    request_id: str
    model: str
    opened: float
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reported: dict[str, int] | None = None
    outcome: str = "running"
    closed: float | None = None
    surface: str = "chat"
    streamed: bool = False
    cancelled: bool = False
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    audio_prompt_tokens: int = 0
    audio_completion_tokens: int = 0


class Totals(msgspec.Struct):
    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    outcomes: dict[str, int] = msgspec.field(default_factory=dict[str, int])


class Bill:
    """Rows in order of opening; `totals` covers the closed ones."""

    __slots__ = ("_opened", "rows", "totals")

    def __init__(self) -> None:
        self._opened = 0
        self.rows: deque[Attempt] = deque(maxlen=KEPT)
        self.totals = Totals()

    def open(self, request_id: str, model: str, now: float, surface: str) -> Attempt:
        self._opened += 1
        attempt = Attempt(id=f"att_{self._opened}", request_id=request_id, model=model, opened=now, surface=surface)
        self.rows.append(attempt)
        return attempt

    def close(self, attempt: Attempt, outcome: str, now: float) -> None:
        attempt.outcome = outcome
        attempt.closed = now
        attempt.cancelled = outcome == "hung-up"
        totals = self.totals
        totals.attempts += 1
        totals.prompt_tokens += attempt.prompt_tokens
        totals.completion_tokens += attempt.completion_tokens
        totals.outcomes[outcome] = totals.outcomes.get(outcome, 0) + 1

    def render(self) -> bytes:
        return msgspec.json.encode({"totals": self.totals, "attempts": list(self.rows)})
