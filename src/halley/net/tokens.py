"""Access tokens of a service account: one exchange at a time, kept until shortly before its end, renewed before anybody has to wait.

It judges no request and makes no header. A token that still holds outlives a token endpoint that fails; while there is none, whoever asks
waits for the next exchange and hears how it ended.
"""

from __future__ import annotations

from typing import Protocol

from halley.errors import Condition, UpstreamError
from halley.net.client import Call, Fault, Pool, render_field
from halley.net.clock import Clock
from halley.providers.service_account import ServiceAccount, read_token
from halley.secret import Secret

RENEW_S = 300.0
SPARE_S = 10.0
RETRY_S = 1.0
ANSWER_BYTES = 65536


class Waiter(Protocol):
    """One of the two is called, once, and never from within `ask`."""

    def granted(self, token: Secret, /) -> None: ...
    def denied(self, error: UpstreamError, /) -> None: ...


class Tokens:
    """The token of one account. `pool` leads to the host of the account's `token_uri`, and stays its maker's to close."""

    def __init__(self, account: ServiceAccount, pool: Pool, clock: Clock) -> None:
        self._account = account
        self._pool = pool
        self._clock = clock
        self._token = Secret("")
        self._ends = 0.0  # on the clock's `now`
        self._renews = 0.0
        self._retries = 0.0
        self._waiting: list[Waiter] = []
        self._call: Call | None = None
        self._body = b""
        self._retired = False
        clock.every_second.append(self._each_second)

    @property
    def token(self) -> Secret | None:
        """The token of the moment, if there is one with time left for a request; a look at two numbers, fit for every request."""
        return self._token if self._clock.now < self._ends - SPARE_S else None

    def ask(self, waiter: Waiter) -> None:
        """For when there is no `token`: the next one, or why there is none."""
        self._waiting.append(waiter)
        if self._retired and self._each_second not in self._clock.every_second:
            self._clock.every_second.append(self._each_second)
        if self._call is None and self._clock.now >= self._retries:
            self._exchange()

    def forget(self, waiter: Waiter) -> None:
        """Whoever asked is gone."""
        if waiter in self._waiting:
            self._waiting.remove(waiter)

    def retire(self) -> None:
        """No more renewals, but for who was admitted before and still asks."""
        self._retired = True
        self._pool.retire()

    def close(self) -> None:
        if self._each_second in self._clock.every_second:
            self._clock.every_second.remove(self._each_second)
        if self._call is not None:
            self._call.abort()
        self._deny("the gateway is closing")

    def _each_second(self) -> None:
        now = self._clock.now
        if self._retired and self._call is None and not self._waiting:
            self._clock.every_second.remove(self._each_second)
            return
        due = bool(self._waiting) or (bool(self._token) and now >= self._renews and not self._retired)
        if due and self._call is None and now >= self._retries:
            self._exchange()

    def _exchange(self) -> None:
        request = self._account.request(self._clock.wall)
        fields = (("host", request.host), *request.fields, ("accept-encoding", "identity"))
        head = f"{request.method} {request.path} HTTP/1.1\r\n".encode("ascii")
        head += b"".join(render_field(name.encode("ascii"), value.encode("ascii")) for name, value in fields)
        self._body = b""
        self._call = self._pool.call(head, request.body, self)

    def replied(self, call: Call, data: bytes, done: bool) -> None:
        self._body += data
        if len(self._body) > ANSWER_BYTES:
            call.abort()
            self._deny("the token endpoint's answer is too large")
        elif done and call.status != 200:
            # Its words are not repeated: they may hold the assertion.
            self._deny(f"the token endpoint answered with status {call.status}")
        elif done:
            try:
                token = read_token(self._body)
            except ValueError as unusable:
                self._deny(str(unusable))
            else:
                self._grant(token.secret, float(token.lifetime_s))

    def failed(self, call: Call, fault: Fault) -> None:
        self._deny(f"the token endpoint cannot be reached ({fault.kind})")

    def _grant(self, token: Secret, lifetime_s: float) -> None:
        now = self._clock.tick()
        self._call = None
        self._body = b""
        self._token = token
        self._ends = now + lifetime_s
        self._renews = now + max(lifetime_s - RENEW_S, lifetime_s / 2)
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.granted(token)

    def _deny(self, reason: str) -> None:
        self._call = None
        self._body = b""
        self._retries = self._clock.tick() + RETRY_S
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.denied(UpstreamError(Condition.UPSTREAM, f"no access token could be had: {reason}"))
