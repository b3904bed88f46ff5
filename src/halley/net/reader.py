"""From the bytes of one client connection to complete requests and refusals, in order, in a queue.

It holds the parser, the guards of head and body, and the deadline of what is being read. It never writes, serves, or sees a socket.
Field values are handed on as they came, a trailing blank included.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, Literal

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from halley.errors import Condition, Refused
from halley.net.guards import (
    SINGLE,
    TARGET_BYTES,
    check_content_encoding,
    check_expect,
    check_host,
    check_size,
    check_transfer_encoding,
    check_version,
    declared_length,
    given_twice,
    split_target,
    stays_open,
    too_large,
)
from halley.net.request import Request

if TYPE_CHECKING:
    from halley.net.listener import Listener
    from halley.net.server import Connection

NEVER = float("inf")
SLICE = 16384  # so much is parsed at once, which bounds how many pipelined requests exist as objects
KNOWN_HOSTS = 1024
MOST_PARTS = 1024
UNLIKE = 8  # heads of one connection in a row that were like no other: its client says something new each time
_LENGTH = re.compile(rb"\r\ncontent-length: ?([0-9]{1,9})\r\n", re.IGNORECASE)

# What the parser is in the middle of. DEAF: nothing that still comes is a request.
BETWEEN, HEAD, BODY, DEAF = range(4)


class Reader:
    """`queue` holds what is to be served next; a `Refused` in it is always the last. `deadline` belongs to what `stage` names."""

    __slots__ = (
        "_body",
        "_body_limit",
        "_chunked",
        "_clock",
        "_connection",
        "_fields",
        "_guards",
        "_joined",
        "_last",
        "_last_limit",
        "_lead",
        "_listener",
        "_method",
        "_parser",
        "_parts",
        "_path",
        "_query",
        "_received",
        "_repeated",
        "_seen",
        "_silent",
        "_slice",
        "_started",
        "_target",
        "_to_come",
        "_trail",
        "_unlike",
        "_version",
        "continue_due",
        "deadline",
        "queue",
        "stage",
    )

    def __init__(self, connection: Connection, listener: Listener) -> None:
        self._connection = connection
        self._listener = listener
        self._guards = listener.guards
        self._clock = listener.clock
        self._parser = HttpRequestParser(self)
        self._slice = self._seen = 0
        self._method = self._target = b""
        self._joined: bytearray | None = None
        self._version: Literal["1.0", "1.1"] = "1.1"
        self.queue: deque[Request | Refused] = deque()
        self.stage = BETWEEN
        self.continue_due = False
        self.deadline = self._clock.tick() + self._guards.head_seconds
        # The last request's head up to the digits of its length, and after them; empty when there is none to compare with.
        self._lead = self._trail = b""
        self._last: Request | None = None
        self._unlike = self._last_limit = 0

    @property
    def refused_path(self) -> bytes:
        """As much of the path as is known of a request that could not be read to its end."""
        return self._target[:TARGET_BYTES].partition(b"?")[0] or b"/"

    @property
    def refused_method(self) -> bytes:
        return self._method

    def close(self) -> None:
        """Forgets everything. Parser, reader and connection hold each other, which is a cycle."""
        self.stage = DEAF
        self.deadline = NEVER
        self.queue.clear()
        del self._parser, self._connection
        self._last = None

    def slice_size(self) -> int:
        """How much to parse next: the rest of a declared body in one go, anything else in small pieces."""
        return max(SLICE, self._to_come - self._received) if self.stage == BODY else SLICE

    def again(self, data: bytes) -> Request | None:
        """A whole request with the last one's head, but for the digits of its length: the parser has read the same bytes before, so it is
        not asked. None for anything else; then the parser is. A client says the same head with nearly every request."""
        lead, trail = self._lead, self._trail
        last = self._last
        if last is None or not data.startswith(lead):
            return None
        start = len(lead)
        end = data.find(b"\r", start, start + 10)
        if end < 0 or not data.startswith(trail, end):
            return None
        digits = data[start:end]
        body = data[end + len(trail) :]
        size = len(body)
        if not digits.isdigit() or int(digits) != size or size > self._last_limit:
            return None
        self._unlike = 0
        return Request(last.connection, last.method, last.path, last.query, last.fields, body, "1.1", self._clock.tick(), True)

    def _remember(self, data: bytes, request: Request) -> None:
        """Keep the head of a request that came in one read of its own, for `again`."""
        self._unlike += 1
        end = data.find(b"\r\n\r\n") + 4
        length = _LENGTH.search(data, 0, end)
        fields = request.fields
        plain = request.keep and request.version == "1.1" and b"expect" not in fields and b"upgrade" not in fields
        if length is not None and plain and len(data) == end + len(request.body):
            self._lead, self._trail = data[: length.start(1)], data[length.end(1) : end]
            self._last = Request(request.connection, request.method, request.path, request.query, fields, b"", "1.1", 0.0, True)
            self._last_limit = self._body_limit
        else:
            self._last = None

    def parse(self, data: bytes) -> None:
        """Any number of requests may be complete after it, or one refusal."""
        self._slice = size = len(data)
        alone = self.stage == BETWEEN and not self.queue and self._unlike < UNLIKE
        before = self._received if self.stage == BODY else -1
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            # The request had no body (see `_expect_body`); what follows it may be any protocol.
            self.stage = DEAF
        except HttpParserError as error:
            self._unparsable(error)
        else:
            if self.stage == HEAD:
                self._seen += size
                if self._seen > self._guards.head_bytes + SLICE:
                    self.refuse(Refused(Condition.HEAD_TOO_LARGE, f"the request head is larger than {self._guards.head_bytes} bytes"))
            elif self.stage == BODY and self._received == before:
                # Bytes without content: chunk extensions or trailers. The parser collects a trailer's text, so it is bounded here.
                self._silent += size
                if self._silent > self._guards.head_bytes:
                    self.refuse(Refused(Condition.INVALID, "the chunked body carries more extensions or trailers than are read"))
            elif alone and len(self.queue) == 1 and isinstance(request := self.queue[0], Request) and request.body:
                self._remember(data, request)

    def _unparsable(self, error: HttpParserError) -> None:
        cause = error.__context__
        if isinstance(cause, Refused):
            self.refuse(cause)
        elif cause is not None:
            raise cause  # a bug of ours inside a callback, not the client's fault
        elif self.stage != DEAF:
            self.refuse(Refused(Condition.INVALID, f"this is not a valid HTTP/1.1 request: {error}"))

    def refuse(self, refusal: Refused) -> None:
        """The last thing this connection says, after the answers that are still due."""
        self.stage = DEAF
        self.deadline = NEVER
        self.continue_due = False
        self.queue.append(refusal)

    def rearm(self) -> None:
        """An answer has left. The next request may have arrived in part; its time starts now."""
        now = self._clock.now
        if self.stage == BETWEEN:
            self.deadline = now + self._guards.idle_seconds
        elif self.stage == HEAD:
            self.deadline = now + self._guards.head_seconds
        elif self.stage == BODY:
            self._started = now
            self.deadline = now + self._guards.body_seconds

    def expire(self, now: float) -> bool:
        """Called past the deadline of a head or a body: whether that is refused now. A body earns time with its bytes."""
        if self.stage == HEAD:
            self.refuse(Refused(Condition.TOO_SLOW, f"the request head was not complete after {self._guards.head_seconds:g} seconds"))
        elif self.stage == BODY:
            self.deadline = self._started + self._guards.body_seconds + self._received / self._guards.body_rate
            if self.deadline >= now:
                return False
            self.refuse(Refused(Condition.TOO_SLOW, f"the request body arrived too slowly: {self._received} bytes so far"))
        return True

    # -- callbacks of the parser; a Refused raised here comes out of `parse` ------------------------------------

    def on_message_begin(self) -> None:
        if self.stage == DEAF:
            return
        self.stage = HEAD
        self._seen = 0
        self._target = b""
        self._fields: dict[bytes, bytes] = {}
        self._repeated = 0
        self._method = b""
        self.deadline = self._clock.now + self._guards.head_seconds

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.stage != HEAD:  # a trailer
            return
        name = name.lower()
        fields = self._fields
        if name in fields:
            if name in SINGLE:
                raise given_twice(name)
            self._repeated += 1
            value = b"%b%b%b" % (fields[name], b"; " if name == b"cookie" else b", ", value)
        fields[name] = value

    def on_headers_complete(self) -> None:
        if self.stage == DEAF:
            return
        self.stage = BODY
        parser = self._parser
        fields = self._fields
        target = self._target
        guards = self._guards
        if self._seen + self._slice > guards.head_bytes or len(target) > TARGET_BYTES or len(fields) + self._repeated > guards.head_fields:
            check_size(target, fields, self._repeated, guards)
        self._method = method = parser.get_method()
        if method == b"CONNECT":
            raise Refused(Condition.WRONG_METHOD, "CONNECT is not served")
        self._path, self._query = split_target(target, method)
        # Only 1.1 is kept alive unasked, and the parser takes both fields for asking; its version costs formatting a string.
        plain = b"connection" not in fields and b"proxy-connection" not in fields and parser.should_keep_alive()
        self._version = version = "1.1" if plain else check_version(parser.get_http_version())
        host = fields.get(b"host")
        hosts = self._listener.hosts
        if host not in hosts:
            check_host(host, version)
            if host is not None and len(hosts) < KNOWN_HOSTS:
                hosts.add(host)
        self._body = b""
        self._parts: list[bytes] | None = None
        self._received = self._to_come = self._silent = 0
        if b"content-encoding" in fields:
            check_content_encoding(fields[b"content-encoding"])
        coding = fields.get(b"transfer-encoding")
        self._chunked = coding is not None
        if coding is not None:
            check_transfer_encoding(coding, fields, version)
        elif b"content-length" in fields:
            self._to_come = declared_length(fields.pop(b"content-length"))
        if self._chunked or self._to_come:
            self._expect_body(method, fields)
        elif b"expect" in fields:
            check_expect(fields[b"expect"])

    def _expect_body(self, method: bytes, fields: dict[bytes, bytes]) -> None:
        if self._parser.should_upgrade():
            # The parser would take this body for the next request.
            raise Refused(Condition.UPGRADE, "a request with a body cannot ask for another protocol; send it without the Upgrade header")
        limit = self._body_limit = self._listener.application.limit(method, self._path, fields)
        if self._to_come > limit:
            raise too_large(limit)
        if b"expect" in fields:
            check_expect(fields[b"expect"])
            self.continue_due = self._version == "1.1"
        self._started = self._clock.now
        self.deadline = self._started + self._guards.body_seconds

    def on_body(self, data: bytes) -> None:
        received = self._received = self._received + len(data)
        if self._chunked and received > self._body_limit:
            raise too_large(self._body_limit)
        self._silent = 0
        if not self._body:
            self._body = data
        elif self._parts is None:
            self._parts = [self._body, data]
        else:
            parts = self._parts
            parts.append(data)
            if len(parts) == MOST_PARTS:  # tiny chunks: a piece costs far more memory than its bytes
                self._joined = self._joined or bytearray()
                self._joined += b"".join(parts)
                parts.clear()

    def _whole(self, parts: list[bytes]) -> bytes:
        joined, self._joined = self._joined, None
        return b"".join(parts) if joined is None else b"".join((joined, *parts))

    def on_message_complete(self) -> None:
        if self.stage == DEAF:
            return
        # The parser knows about keep-alive only inside this callback.
        keep = self._parser.should_keep_alive() and not self._parser.should_upgrade()
        if keep and self._version != "1.1":
            keep = stays_open(self._fields.get(b"connection", b""))
        body = self._body if self._parts is None else self._whole(self._parts)
        self._body = b""
        self._parts = None
        self.stage = BETWEEN if keep else DEAF
        self.continue_due = False
        now = self._clock.tick()
        self.queue.append(Request(self._connection, self._method, self._path, self._query, self._fields, body, self._version, now, keep))
