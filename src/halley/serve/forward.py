"""Everything that is not data plane goes to control over its Unix socket: pages, docs, metrics. Heads are written anew from allow-lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halley.dialects import error_writer
from halley.errors import Condition, Refused
from halley.net.client import Call, Fault
from halley.net.server import Connection, Request
from halley.policy import webhooks
from halley.serve import faults
from halley.serve.faults import shield

if TYPE_CHECKING:
    from halley.serve.gateway import Gateway

_REQUEST_FIELDS = (
    b"host",
    b"accept",
    b"accept-language",
    b"content-type",
    b"cookie",
    b"if-none-match",
    b"authorization",
    b"origin",
    b"sec-fetch-site",
    *webhooks.FIELDS,
)
REPLY_FIELDS = frozenset(
    {
        b"cache-control", b"etag", b"location", b"set-cookie", b"content-security-policy", b"x-content-type-options",
        b"referrer-policy", b"allow", b"www-authenticate", b"retry-after", b"content-language", b"content-disposition", b"x-next-cursor",
    }
)  # fmt: skip


class Forward:
    """One forwarded request. The answer is buffered: pages are small, and control must never wait for a slow reader."""

    __slots__ = ("call", "connection", "gateway", "id", "parts", "request")

    def __init__(self, gateway: Gateway, request: Request) -> None:
        self.gateway = gateway
        self.request = request
        self.connection: Connection | None = request.connection
        self.id = gateway.new_id()
        self.parts: list[bytes] = []
        self.call: Call | None = None

    @shield
    def begin(self) -> None:
        request = self.request
        request.connection.owner = self
        target = request.path + (b"?" + request.query if request.query else b"")
        head = [b"%b %b HTTP/1.1\r\n" % (request.method, target)]
        head += [b"%b: %b\r\n" % (name, request.fields[name]) for name in _REQUEST_FIELDS if name in request.fields]
        if b"host" not in request.fields:
            head.append(b"host: localhost\r\n")
        head.append(
            b"x-request-id: %b\r\nx-halley-peer: %b\r\n" % (self.id.encode(), self.gateway.peers.address(request).encode("latin-1"))
        )
        self.call = self.gateway.web.call(b"".join(head), request.body, self)

    @shield
    def replied(self, call: Call, data: bytes, done: bool) -> None:
        if data:
            self.parts.append(data)
        if done:
            self.call = None  # it knows its receiver: a cycle
        if done and self.connection is not None:
            self.connection.owner = None
            fields = b"content-type: %b\r\n" % call.kind if call.kind else b""
            fields += b"".join([b"%b: %b\r\n" % pair for pair in call.fields]) + b"x-request-id: %b\r\n" % self.id.encode()
            self.connection.answer(call.status, fields, b"".join(self.parts))

    @shield
    def failed(self, call: Call, fault: Fault) -> None:
        self.call = None
        self._refuse(Refused(Condition.OVERLOADED, "This part of Halley is restarting; try again in a moment.", retry_after_s=1.0))

    def client_gone(self) -> None:
        self.connection = None
        self._drop()

    def client_slow(self) -> None: ...

    def client_ready(self) -> None: ...

    def expel(self, refusal: Refused) -> None:
        self._drop()
        self._refuse(refusal)

    def broke(self) -> None:
        self._refuse(faults.bug())

    def _drop(self) -> None:
        call, self.call = self.call, None
        if call is not None:
            call.abort()

    def _refuse(self, refusal: Refused) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.owner = None
            connection.answer(*faults.answer(refusal, error_writer(self.request.path), self.id))
