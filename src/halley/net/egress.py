"""The only way to a URL that a caller has named: judged, resolved once, connected to the vetted address itself, read under caps.

It never asks a resolver twice for one hop, never follows a redirect that was not judged like the URL itself, never sends a cookie, a
credential or anything of the caller's request, and never uses a proxy from the environment. What it says tells nothing of the inside: a
name without an address, one with an inner address and a host that does not answer are the same refusal in the same words.
"""

from __future__ import annotations

import asyncio
import binascii
import ssl
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import msgspec

from halley import __version__
from halley.errors import Condition, Refused
from halley.net.client import Call, Deadlines, Fault, Origin, Pool
from halley.net.clock import Clock
from halley.net.lookups import LookUps, Resolve, look_up
from halley.policy.urls import Inline, Refusal, Target, UrlPolicy, Verdict, follow, judge, judge_answers
from halley.wire.magic import KNOWN, sniff

REDIRECTS = 3
ADDRESSES = 4  # of one name are tried, one after the other
LOOKUP_S = 5.0
SILENCE_S = 10.0
MOST_WAITING = 256

_MOVED = frozenset({301, 302, 303, 307, 308})
# What storage hosts say when nobody told them a type; then the first bytes decide alone.
_UNTYPED = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_ALIASES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png", "application/x-pdf": "application/pdf"}
FIELDS = frozenset({b"location", b"content-encoding", b"content-length"})
_CLOSED = "the URL cannot be fetched: its host has no public address that answers"

Dial = Callable[[Origin, str], Pool]


class Caps(msgspec.Struct, frozen=True):
    """What one fetch may cost, and how many run at once. `content_bytes` bounds every `Wanted`."""

    content_bytes: int = 20971520
    connect_s: float = 5.0
    first_byte_s: float = 10.0
    total_s: float = 30.0
    concurrent: int = 16
    plain_http: bool = False


class Wanted(msgspec.Struct, frozen=True):
    """What a caller of `fetch` can use: media types in lower case, and how large. `param` is where the URL stands in the request."""

    types: frozenset[str]
    content_bytes: int
    param: str | None = None


class Fetched(msgspec.Struct, frozen=True):
    """`mime` is what the bytes are, as far as their first bytes tell; else what their host calls them."""

    mime: str
    data: bytes


class Receiver(Protocol):
    """One of the two is called, once, and never from within `fetch`."""

    def fetched(self, fetch: Fetch, content: Fetched, /) -> None: ...
    def refused(self, fetch: Fetch, refusal: Refused, /) -> None: ...


class Fetch:
    """One fetch under way."""

    __slots__ = ("_task", "receiver", "url", "wanted")

    def __init__(self, url: str, wanted: Wanted, receiver: Receiver) -> None:
        self.url = url
        self.wanted = wanted
        self.receiver = receiver
        self._task: asyncio.Task[None] | None = None

    def run(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def abort(self) -> None:
        """Closes its connection; the receiver hears nothing."""
        if self._task is not None:
            self._task.cancel()


class Egress:
    """One per relay. `resolve` and `dial` stand in for the resolver and the network in tests; `dial` gets the address that was vetted."""

    def __init__(
        self,
        clock: Clock,
        caps: Caps = Caps(),  # noqa: B008 - frozen, so that sharing the default is safe
        *,
        ssl_context: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
        dial: Dial | None = None,
    ) -> None:
        self._clock = clock
        self._caps = caps
        self._ssl_context = ssl_context
        self._dial = dial or self._pool
        self._closed = False
        self._turns = asyncio.Semaphore(caps.concurrent)
        self._fetches: dict[asyncio.Task[None], Fetch] = {}
        self._lookups = LookUps(resolve or look_up)

    @property
    def running(self) -> int:
        return len(self._fetches)

    def fetch(self, url: str, wanted: Wanted, receiver: Receiver) -> Fetch:
        """Begins at once or waits for its turn; everything together is bounded by `Caps.total_s`. RuntimeError after `close`."""
        if self._closed:
            raise RuntimeError("the egress is closed")
        fetch = Fetch(url, wanted, receiver)
        full = len(self._fetches) >= self._caps.concurrent + MOST_WAITING
        task = asyncio.get_running_loop().create_task(self._turn_away(fetch) if full else self._run(fetch))
        self._fetches[task] = fetch
        fetch.run(task)
        task.add_done_callback(self._ended)
        return fetch

    def close(self) -> None:
        """Fetches under way are refused; no more may begin."""
        if self._closed:
            return
        self._closed = True
        for task, fetch in tuple(self._fetches.items()):
            if task.cancel():
                fetch.receiver.refused(fetch, _overloaded("the gateway is closing"))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._fetches.pop(task, None)
        if not task.cancelled():
            task.result()  # a bug, in here or in a receiver: it belongs to the loop's exception handler

    async def _turn_away(self, fetch: Fetch) -> None:
        fetch.receiver.refused(fetch, _overloaded("too many URLs are being fetched"))

    async def _run(self, fetch: Fetch) -> None:
        wanted = fetch.wanted
        waiting = True
        try:
            async with asyncio.timeout(self._caps.total_s), self._turns:
                waiting = False
                content = await self._content(fetch.url, wanted)
        except TimeoutError:
            if waiting:
                fetch.receiver.refused(fetch, _overloaded("too many URLs are being fetched"))
            else:
                late = f"the URL cannot be fetched: its content was not complete after {self._caps.total_s:g} seconds"
                fetch.receiver.refused(fetch, _refused(late, wanted))
        except Refused as refusal:
            fetch.receiver.refused(fetch, refusal)
        else:
            fetch.receiver.fetched(fetch, content)

    async def _content(self, url: str, wanted: Wanted) -> Fetched:
        most = min(wanted.content_bytes, self._caps.content_bytes)
        allow = UrlPolicy(plain_http=self._caps.plain_http, inline_bytes=most, inline_types=wanted.types)
        verdict = judge(url, allow)
        for _ in range(REDIRECTS + 1):
            match verdict:
                case Refusal(message=message):
                    raise _refused(message, wanted)
                case Inline(media_type=media_type, base64=text):
                    return _checked(media_type, _decoded(text, wanted), wanted)
                case Target() as target:
                    reply = await self._visit(target, wanted, most)
                    if reply.location is None:
                        return _checked(_media_type(reply.kind), bytes(reply.body), wanted)
                    verdict = _redirected(follow(target, reply.location, allow))
        raise _refused(f"the URL cannot be fetched: it redirects more than {REDIRECTS} times", wanted)

    async def _visit(self, target: Target, wanted: Wanted, most: int) -> _Reply:
        """One hop: one look-up, then the vetted addresses one after the other until one of them takes the connection."""
        answers = [target.host] if target.literal else await self._answers(target)
        vetted = judge_answers(answers)
        if isinstance(vetted, Refusal):
            raise _refused(_CLOSED, wanted)
        head = _head(target, wanted)
        for address in vetted[:ADDRESSES]:
            reply = await self._ask(Origin(_scheme(target), address.ip, target.port), target.host, head, most, wanted)
            match reply.fault:
                case None if reply.refusal is not None:
                    raise reply.refusal
                case None:
                    return reply
                case Fault(kind="connect"):
                    continue
                case Fault(kind="tls"):
                    raise _refused("the URL cannot be fetched: its host has no valid certificate for this name", wanted)
                case Fault(kind="first_byte_timeout" | "idle_timeout"):
                    raise _refused("the URL cannot be fetched: its host was silent for too long", wanted)
                case Fault():
                    raise _refused("the URL cannot be fetched: its host did not send a complete and valid answer", wanted)
        raise _refused(_CLOSED, wanted)

    async def _answers(self, target: Target) -> Sequence[str]:
        try:
            async with asyncio.timeout(LOOKUP_S):
                return await self._lookups.ask(target.host, target.port)
        except (OSError, UnicodeError, TimeoutError):
            return ()

    async def _ask(self, origin: Origin, name: str, head: bytes, most: int, wanted: Wanted) -> _Reply:
        reply = _Reply(asyncio.get_running_loop().create_future(), most, wanted)
        pool = self._dial(origin, name)
        try:
            pool.call(head, b"", reply)
            await reply.ended
        finally:
            for upstream in tuple(pool.connections):
                upstream.drop()  # not closed in good order, which a hostile host could draw out
            pool.close()
        return reply

    def _pool(self, origin: Origin, name: str) -> Pool:
        caps = self._caps
        deadlines = Deadlines(caps.connect_s, caps.first_byte_s, SILENCE_S)
        if self._ssl_context is None and origin.scheme == "https":
            self._ssl_context = ssl.create_default_context()  # once: it reads all authorities
        return Pool(origin, deadlines=deadlines, clock=self._clock, wanted=FIELDS, ssl_context=self._ssl_context, server_name=name, size=1)


class _Reply:
    """What one hop answered: `location` for a redirect, else the body; or why not. It stops reading as soon as that is known."""

    __slots__ = ("_headed", "_most", "_wanted", "body", "ended", "fault", "kind", "location", "refusal")

    def __init__(self, ended: asyncio.Future[None], most: int, wanted: Wanted) -> None:
        self.ended = ended
        self.body = bytearray()
        self.kind = b""
        self.location: str | None = None
        self.refusal: Refused | None = None
        self.fault: Fault | None = None
        self._headed = False
        self._most = most
        self._wanted = wanted

    def replied(self, call: Call, data: bytes, done: bool) -> None:
        if not self._headed:
            self._headed = True
            self.kind = call.kind
            self._read_head(call)
        if self.refusal is None and self.location is None:
            self.body += data
            if len(self.body) > self._most:
                self.refusal = _too_large(self._most, self._wanted)
        if done or self.refusal is not None or self.location is not None:
            call.abort()
            self._end()

    def failed(self, call: Call, fault: Fault) -> None:
        self.fault = fault
        self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def _read_head(self, call: Call) -> None:
        fields = dict(call.fields)
        if call.status in _MOVED and b"location" in fields:
            self.location = fields[b"location"].decode("utf-8", "replace")
        elif call.status != 200:
            self.refusal = _refused(f"the URL cannot be fetched: its host answered with status {call.status}", self._wanted)
        elif fields.get(b"content-encoding", b"identity").strip().lower() not in (b"", b"identity"):
            self.refusal = _refused("the URL cannot be fetched: its host sends it compressed without being asked to", self._wanted)
        elif int(fields.get(b"content-length", b"0")) > self._most:  # digits only: the connection has looked at it
            self.refusal = _too_large(self._most, self._wanted)
        elif (kind := _media_type(call.kind)) not in self._wanted.types and kind not in _UNTYPED:
            self.refusal = _wrong_type(self._wanted)


def _scheme(target: Target) -> Literal["http", "https"]:
    return "https" if target.scheme == "https" else "http"


def _head(target: Target, wanted: Wanted) -> bytes:
    """Written from this list alone. No referer, no cookie, no credential; a judged path and host are plain ASCII."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    if target.port != (443 if target.scheme == "https" else 80):
        host = f"{host}:{target.port}"
    return (
        f"GET {target.path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: halley-fetch/{__version__}\r\n"
        f"accept: {', '.join(sorted(wanted.types))}\r\naccept-encoding: identity\r\nconnection: close\r\n"
    ).encode("ascii")


def _redirected(verdict: Verdict) -> Verdict:
    """In other words than for the URL itself: its host wrote this one, and what it says must not become a way to ask about addresses."""
    if isinstance(verdict, Refusal):
        return Refusal(verdict.reason, "the URL cannot be fetched: it redirects to a place that is not open to callers")
    return verdict


def _media_type(kind: bytes) -> str:
    name = kind.decode("latin-1").partition(";")[0].strip().lower()
    return _ALIASES.get(name, name)


def _decoded(text: str, wanted: Wanted) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error:
        raise _refused("inline content must be valid base64", wanted) from None


def _checked(declared: str, data: bytes, wanted: Wanted) -> Fetched:
    """A type whose first bytes are known goes by them alone; only for the others the host is believed."""
    if not data:
        raise _refused("the URL cannot be fetched: its content is empty", wanted)
    mime = sniff(data)
    if mime is None and declared in KNOWN:
        raise _refused(f"the content of the URL is not {declared}, although its host says so", wanted)
    mime = mime or declared
    if mime not in wanted.types:
        raise _wrong_type(wanted)
    return Fetched(mime, data)


def _wrong_type(wanted: Wanted) -> Refused:
    return _refused(f"the content of the URL is of a type that cannot be used here; use {', '.join(sorted(wanted.types))}", wanted)


def _too_large(most: int, wanted: Wanted) -> Refused:
    return _refused(f"the content of the URL is larger than {most} bytes", wanted)


def _refused(message: str, wanted: Wanted) -> Refused:
    return Refused(Condition.INVALID, message, param=wanted.param)


def _overloaded(message: str) -> Refused:
    return Refused(Condition.OVERLOADED, message, retry_after_s=1.0)
