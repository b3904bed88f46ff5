"""The way out to one provider: most are their pool of connections and no more. Some want each request signed, some a token that has to be
fetched first, some answer in a framing of their own; then what stands here is around the pool, and the relay sees none of it.

A credential that cannot be used lets no request out; the configuration refuses it before it comes here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from halley import logs
from halley.errors import UpstreamError
from halley.net.client import Call, Deadlines, Fault, Origin, Pool, Receiver
from halley.net.clock import Clock
from halley.policy.snapshot import ProviderRow
from halley.providers.auth import SCHEMES, SIGNERS, Outgoing, bearer
from halley.providers.framings import FRAMINGS, Broken, Framing
from halley.providers.row import ProviderKind
from halley.secret import Secret

if TYPE_CHECKING:
    from halley.net.tokens import Tokens

PoolFactory = Callable[[Origin], Pool]

EVENT_STREAM = b"text/event-stream"
ERROR_BYTES = 65536

_log = logs.get("halley.relay")


class Calling(Protocol):
    """What stands for a call until its reply is told: the call itself, or what will make it."""

    @property
    def sent(self) -> bool: ...
    def abort(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class Doorway(Protocol):
    """As `net.client.Pool` documents its methods."""

    def call(
        self, head: bytes, body: bytes, receiver: Receiver, deadlines: Deadlines | None = None, request_id: bytes = b""
    ) -> Calling: ...
    def retire(self) -> None: ...


def doorway(
    row: ProviderRow, kind: ProviderKind, pool: Pool, authority: str, pools: PoolFactory, guard: Callable[[Secret], None]
) -> Doorway:
    """`authority` is what requests name as their host. `guard` is told of each credential that holds for a while, before it is used."""
    try:
        return _doorway(row, kind, pool, authority, pools, guard)
    except ValueError as fault:
        _log.error("a provider cannot be called", provider=row.name, fault=fault)
        pool.retire()
        return Shut(fault)


def _doorway(
    row: ProviderRow, kind: ProviderKind, pool: Pool, authority: str, pools: PoolFactory, guard: Callable[[Secret], None]
) -> Doorway:
    """Raises ValueError when the provider's credential is none of its scheme."""
    way: Doorway = pool
    framings = {spoken.framing for spoken in kind.speaks.values()} & FRAMINGS.keys()
    if framings:
        way = Unframing(way, FRAMINGS[framings.pop()])
    schemes = {kind.scheme(dialect) for dialect in kind.speaks} - SCHEMES.keys()
    if "google-service-account" in schemes:
        # Only who has such a provider waits for the import of its cryptography.
        from halley.net.tokens import Tokens
        from halley.providers.service_account import ServiceAccount

        account = ServiceAccount.read(row.api_key)
        way = Tokened(way, Tokens(account, pools(Origin.parse(account.token_uri)), pool.clock), guard)
    elif schemes:
        way = Signing(way, schemes.pop(), row, authority, pool.clock)
    return way


class Signing:
    """Each request is signed as it leaves: the line of its method, its host, its content-type and its body."""

    def __init__(self, inner: Doorway, scheme: str, row: ProviderRow, authority: str, clock: Clock) -> None:
        """Raises ValueError."""
        self._inner = inner
        self._clock = clock
        self._sign = SIGNERS[scheme]
        self._secret = row.api_key
        self._authority = authority
        self._region = row.region
        self._sign(row.api_key, self._request(b"POST / HTTP/1.1\r\n", b""), clock.wall)

    def call(self, head: bytes, body: bytes, receiver: Receiver, deadlines: Deadlines | None = None, request_id: bytes = b"") -> Calling:
        lines = self._sign(self._secret, self._request(head, body), self._clock.wall).lines
        return self._inner.call(head + lines, body, receiver, deadlines, request_id)

    def retire(self) -> None:
        self._inner.retire()

    def _request(self, head: bytes, body: bytes) -> Outgoing:
        method, path, _ = head[: head.index(b"\r\n")].decode("ascii").split(" ")
        return Outgoing(method, self._authority, path, (("content-type", "application/json"),), body, self._region)


class Tokened:
    """Each request carries the access token of the moment; while there is none, it waits for the next."""

    def __init__(self, inner: Doorway, tokens: Tokens, guard: Callable[[Secret], None]) -> None:
        self._inner = inner
        self._guard = guard
        self.tokens = tokens

    def call(self, head: bytes, body: bytes, receiver: Receiver, deadlines: Deadlines | None = None, request_id: bytes = b"") -> Calling:
        def leave(token: Secret) -> Calling:
            self._guard(token)
            return self._inner.call(head + bearer(token), body, receiver, deadlines, request_id)

        token = self.tokens.token
        return leave(token) if token is not None else Waiting(self.tokens, leave, receiver)

    def retire(self) -> None:
        self.tokens.retire()
        self._inner.retire()


class Waiting:
    """A call that has no token yet."""

    def __init__(self, tokens: Tokens, leave: Callable[[Secret], Calling], receiver: Receiver) -> None:
        self._tokens = tokens
        self._leave = leave
        self._receiver = receiver
        self._call: Calling | None = None
        self._paused = False
        tokens.ask(self)

    @property
    def sent(self) -> bool:
        return self._call is not None and self._call.sent

    def granted(self, token: Secret) -> None:
        self._call = self._leave(token)
        if self._paused:
            self._call.pause()

    def denied(self, error: UpstreamError) -> None:
        _log.warning("a provider cannot be called", fault=error)
        _nothing(self._receiver).fail(Fault("connect", False, str(error)))

    def abort(self) -> None:
        self._tokens.forget(self)
        if self._call is not None:
            self._call.abort()

    def pause(self) -> None:
        self._paused = True
        if self._call is not None:
            self._call.pause()

    def resume(self) -> None:
        self._paused = False
        if self._call is not None:
            self._call.resume()


class Unframing:
    """Answers in another framing become server-sent events before anybody reads them, and the host's errors those of its dialect."""

    def __init__(self, inner: Doorway, framing: Callable[[], Framing]) -> None:
        self._inner = inner
        self._framing = framing

    def call(self, head: bytes, body: bytes, receiver: Receiver, deadlines: Deadlines | None = None, request_id: bytes = b"") -> Calling:
        return self._inner.call(head, body, _Unframed(receiver, self._framing()), deadlines, request_id)

    def retire(self) -> None:
        self._inner.retire()


class _Unframed:
    """One reply on its way to its receiver."""

    __slots__ = ("_error", "_framing", "_plain", "_receiver", "_told")

    def __init__(self, receiver: Receiver, framing: Framing) -> None:
        self._receiver = receiver
        self._framing = framing
        self._plain: bool | None = None  # not known before the head
        self._error: bytearray | None = None
        self._told = False

    def replied(self, call: Call, data: bytes, done: bool) -> None:
        if self._plain is None:
            self._plain = not (call.status == 200 and call.kind.lower().startswith(self._framing.kind))
            if not self._plain:
                call.kind = EVENT_STREAM
            elif call.status >= 400:
                self._error = bytearray()
        if not self._plain:
            self._unframe(call, data, done)
        elif self._error is None:
            self._receiver.replied(call, data, done)
        else:
            self._gather(call, data, done)

    def failed(self, call: Call, fault: Fault) -> None:
        self._receiver.failed(call, fault)

    def _unframe(self, call: Call, data: bytes, done: bool) -> None:
        try:
            events = self._framing.feed(data)
        except Broken as fault:
            self._break(call, fault)
            return
        try:
            if done:
                self._framing.end()
        except Broken as fault:
            self._receiver.replied(call, events, False)
            self._break(call, fault)
            return
        if events or done or not self._told:
            self._told = True
            self._receiver.replied(call, events, done)

    def _break(self, call: Call, fault: Broken) -> None:
        call.abort()
        self._receiver.failed(call, Fault("protocol", True, f"the reply is not whole: {fault}"))

    def _gather(self, call: Call, data: bytes, done: bool) -> None:
        """An error is rewritten when it is all there; one that is too long passes on as it is, for the relay to judge."""
        assert self._error is not None
        self._error += data
        if done:
            body = bytes(self._error)
            self._receiver.replied(call, self._framing.error(call.status, body) if len(body) <= ERROR_BYTES else body, True)
        elif len(self._error) > ERROR_BYTES:
            so_far, self._error = bytes(self._error), None
            self._receiver.replied(call, so_far, False)


class Shut:
    """The way to a provider whose credential is none: every call fails, and says why to the operator alone."""

    def __init__(self, fault: ValueError) -> None:
        self._fault = fault

    def call(self, head: bytes, body: bytes, receiver: Receiver, deadlines: Deadlines | None = None, request_id: bytes = b"") -> Calling:
        call = _nothing(receiver)
        asyncio.get_running_loop().call_soon(call.fail, Fault("connect", False, str(self._fault)))
        return call

    def retire(self) -> None: ...


def _nothing(receiver: Receiver) -> Call:
    """A call of which nothing leaves."""
    return Call(b"", b"", receiver, Deadlines(0.0, 0.0, 0.0), 0.0, asks_head=False)
