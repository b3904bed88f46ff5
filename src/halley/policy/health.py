"""A circuit breaker for one offer (one provider serving one model): who is asked again, and when.

Five failures in a row open it for 30 s times the number of openings (at most five minutes, with jitter); then one probe at a time decides.
A 429 only cools the offer for as long as the upstream said. Time and dice are arguments.
"""

from __future__ import annotations

FAILURES_TO_OPEN = 5
OPEN_S = 30.0
OPEN_MAX_S = 300.0
COOL_S = 1.0
COOL_MAX_S = 60.0


class Breaker:
    __slots__ = ("closed_until_probe", "failures", "openings", "until")

    def __init__(self) -> None:
        self.failures = 0
        self.openings = 0
        self.until = 0.0
        self.closed_until_probe = False

    def allows(self, now: float) -> bool:
        """Whether the offer may be asked. After an open period the first caller is the probe; the others wait for its outcome."""
        if self.until <= now:
            if self.openings and not self.closed_until_probe:
                self.closed_until_probe = True
                self.until = now + 10.0  # a probe that never reports back must not block the offer for ever
            return True
        return False

    def succeeded(self) -> None:
        if self.failures or self.openings or self.until:
            self.failures = self.openings = 0
            self.until = 0.0
            self.closed_until_probe = False

    def failed(self, now: float, dice: float) -> None:
        """`dice` is uniform in [0, 1): jitter keeps many relays from probing at once."""
        self.failures += 1
        self.closed_until_probe = False
        if self.failures >= FAILURES_TO_OPEN or self.openings:
            self.openings += 1
            self.failures = 0
            self.until = now + min(OPEN_S * self.openings, OPEN_MAX_S) * (0.8 + 0.4 * dice)

    def cooled(self, now: float, retry_after_s: float | None) -> None:
        """The upstream asked for a pause (429, 503 with Retry-After)."""
        self.until = max(self.until, now + min(retry_after_s if retry_after_s is not None else COOL_S, COOL_MAX_S))
