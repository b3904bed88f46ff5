"""Requests, tokens and concurrency of one key, in memory: refuse before spending, give back what was not used.

A bucket holds at most one minute's worth and refills evenly, so a burst may use it at once and the wait after that is computable. It is
kept as one number, the time at which it will be full again. Tokens are taken by estimate at admission and corrected when the real usage is
known. Time is an argument (monotonic seconds).
"""

from __future__ import annotations

_MINUTE_S = 60.0
_ROUNDING_S = 1e-6


class Limits:
    """The three limits of one key at one relay; None is unlimited. `take` answers the limit that refused and the wait, or None."""

    __slots__ = ("_concurrency", "_request_s", "_requests_full_at", "_token_s", "_tokens_full_at", "_tpm", "running")

    def __init__(self, rpm: int | None, tpm: int | None, concurrency: int | None) -> None:
        # How long a bucket takes to refill one unit: nothing is missing from one without a limit.
        self._request_s = _MINUTE_S / rpm if rpm is not None else 0.0
        self._token_s = _MINUTE_S / tpm if tpm is not None else 0.0
        self._tpm = tpm
        self._concurrency = concurrency if concurrency is not None else 1 << 62
        self._requests_full_at = self._tokens_full_at = 0.0
        self.running = 0

    def take(self, estimate: int, now: float) -> tuple[str, float] | None:
        if self.running >= self._concurrency:
            return "concurrent requests", 1.0
        latest = now + _MINUTE_S + _ROUNDING_S
        requests, tokens = self._requests_full_at, self._tokens_full_at
        requests = (requests if requests > now else now) + self._request_s
        if requests > latest:
            return "requests per minute", round(requests - now - _MINUTE_S, 6)
        tokens = tokens if tokens > now else now
        full_at = tokens + estimate * self._token_s
        if full_at > latest and (self._tpm is None or estimate <= self._tpm or tokens > now):
            # More than the whole bucket waits for a full one.
            return "tokens per minute", round(min(full_at - now - _MINUTE_S, tokens - now), 6)
        self._requests_full_at = requests
        self._tokens_full_at = full_at
        self.running += 1
        return None

    def give_back(self, estimate: int, used: int, now: float) -> None:
        """The request ended: free its place and correct the token bucket by what it really used. A report far above the estimate closes
        the key for two minutes, not for ever: it may be wrong."""
        self.running -= 1
        full_at = self._tokens_full_at + (used - estimate) * self._token_s
        latest = now + 2 * _MINUTE_S
        self._tokens_full_at = full_at if full_at < latest else latest
