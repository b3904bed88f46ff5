"""Requests, tokens and concurrency of one key, in memory: refuse before spending, give back what was not used.

A bucket holds at most one minute's worth and refills evenly, so a burst may use it at once and the wait after that is computable. Tokens
are taken by estimate at admission and corrected when the real usage is known. Time is an argument (monotonic seconds).
"""

from __future__ import annotations


class Bucket:
    """A token bucket: `per_minute` units, refilled continuously."""

    __slots__ = ("level", "per_minute", "seen")

    def __init__(self, per_minute: int, now: float) -> None:
        self.per_minute = per_minute
        self.level = float(per_minute)
        self.seen = now

    def refill(self, now: float) -> float:
        if now > self.seen:
            level = self.level + (now - self.seen) * self.per_minute / 60.0
            self.level = level if level < self.per_minute else float(self.per_minute)
            self.seen = now
        return self.level

    def wait(self, amount: float) -> float:
        """Seconds until `amount` is there; an amount above the whole bucket waits for a full one."""
        missing = min(amount, self.per_minute) - self.level
        return max(missing * 60.0 / self.per_minute, 0.0)


class Limits:
    """The three limits of one key at one relay; None is unlimited. `take` answers the limit that refused and the wait, or None."""

    __slots__ = ("concurrency", "requests", "running", "tokens")

    def __init__(self, rpm: int | None, tpm: int | None, concurrency: int | None, now: float) -> None:
        self.requests = Bucket(rpm, now) if rpm is not None else None
        self.tokens = Bucket(tpm, now) if tpm is not None else None
        self.concurrency = concurrency
        self.running = 0

    def take(self, estimate: int, now: float) -> tuple[str, float] | None:
        if self.concurrency is not None and self.running >= self.concurrency:
            return "concurrent requests", 1.0
        requests, tokens = self.requests, self.tokens
        if requests is not None and requests.refill(now) < 1.0:
            return "requests per minute", requests.wait(1.0)
        if tokens is not None and tokens.refill(now) < min(estimate, tokens.per_minute):
            return "tokens per minute", tokens.wait(estimate)
        if requests is not None:
            requests.level -= 1.0
        if tokens is not None:
            tokens.level -= estimate
        self.running += 1
        return None

    def give_back(self, estimate: int, used: int) -> None:
        """The request ended: free its place and correct the token bucket by what it really used."""
        self.running -= 1
        tokens = self.tokens
        if tokens is not None:
            # A report far above the estimate closes the key for two minutes, not for ever: it may be wrong.
            tokens.level = max(tokens.level + estimate - used, -float(tokens.per_minute))
