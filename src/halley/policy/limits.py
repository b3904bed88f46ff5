"""Requests, tokens and concurrency of one key, in memory: refuse before spending, give back what was not used.

A bucket holds at most one minute's worth and refills evenly, so a burst may use it at once and the wait after that is computable. Tokens
are taken by estimate at admission and corrected when the real usage is known. Time is an argument (monotonic seconds).
"""

from __future__ import annotations


class Bucket:
    """A token bucket of `per_minute` units, refilled continuously, kept as one number: when it will be full again (monotonic seconds)."""

    __slots__ = ("_unit_s", "full_at", "per_minute")

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._unit_s = 60.0 / per_minute
        self.full_at = 0.0

    def wait(self, amount: int, now: float) -> float:
        """Seconds until `amount` is there, not above 0 when it is; an amount above the whole bucket waits for a full one."""
        full_at = self.full_at
        return round((full_at if full_at > now else now) + min(amount, self.per_minute) * self._unit_s - now - 60.0, 6)

    def take(self, amount: int, now: float) -> None:
        full_at = self.full_at
        self.full_at = (full_at if full_at > now else now) + amount * self._unit_s

    def correct(self, taken: int, used: int, now: float) -> None:
        """What was taken turned out to be used in part, or more. A report far above the estimate closes the bucket for two minutes, not
        for ever: it may be wrong."""
        self.full_at = min(self.full_at + (used - taken) * self._unit_s, now + 120.0)


class Limits:
    """The three limits of one key at one relay; None is unlimited. `take` answers the limit that refused and the wait, or None."""

    __slots__ = ("concurrency", "requests", "running", "tokens")

    def __init__(self, rpm: int | None, tpm: int | None, concurrency: int | None) -> None:
        self.requests = Bucket(rpm) if rpm is not None else None
        self.tokens = Bucket(tpm) if tpm is not None else None
        self.concurrency = concurrency
        self.running = 0

    def take(self, estimate: int, now: float) -> tuple[str, float] | None:
        if self.concurrency is not None and self.running >= self.concurrency:
            return "concurrent requests", 1.0
        requests, tokens = self.requests, self.tokens
        if requests is not None and (wait := requests.wait(1, now)) > 0.0:
            return "requests per minute", wait
        if tokens is not None and (wait := tokens.wait(estimate, now)) > 0.0:
            return "tokens per minute", wait
        if requests is not None:
            requests.take(1, now)
        if tokens is not None:
            tokens.take(estimate, now)
        self.running += 1
        return None

    def give_back(self, estimate: int, used: int, now: float) -> None:
        """The request ended: free its place and correct the token bucket by what it really used."""
        self.running -= 1
        if self.tokens is not None and used != estimate:
            self.tokens.correct(estimate, used, now)
