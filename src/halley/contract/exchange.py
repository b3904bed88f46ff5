"""One HTTP/1.1 attempt over plain asyncio, directly or through a proxy: no redirect is followed, no connection reused, nothing tried twice.

It reads on its own, apart from the gateway's client, since it needs the raw head and must not share a fault with what it judges.
It forms no verdict.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httptools
import msgspec

from halley.contract.evidence import Evidence, Fault, FaultKind
from halley.contract.proxies import Proxy

BODY_CAP = 1 << 20
HEAD_CAP = 65536
CONNECT_S = 10.0
_FRAMING = 1 << 20
"""Bytes of a reply that are no body, such as trailers, beyond what chunks of one byte need."""


class Attempt(msgspec.Struct, frozen=True):
    """What to send; `fields` hold the credential, so an `Attempt` is never printed."""

    case: str
    method: str
    url: str
    fields: tuple[tuple[str, str], ...]
    body: bytes
    cap: int = BODY_CAP
    number: int = 0
    proxy: Proxy | None = None


class _Refused(Exception):
    """The proxy did not lead on; holds what to say of it."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault


class _Misframed(Exception):
    """It is HTTP/1, but not as it should be; holds what is wrong, in our words."""


class _SpeaksTls(Exception):
    """The first bytes of the reply are those of TLS, but the request went out in the clear."""


class _Reply:
    """Collects one reply: httptools calls back, `feed` returns whether more is wanted."""

    __slots__ = ("_cap", "_head_done", "_parser", "_raw", "body", "capped", "done", "fields", "head", "interim", "status")

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._start()
        self.body = bytearray()
        self.capped = False
        self.done = False
        self.interim = 0
        self._raw = 0

    def _start(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._head_done = False
        self.head = b""
        self.fields: dict[str, str] = {}
        self.status: int | None = None

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head_done:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            self.fields[key] = f"{self.fields[key]}, {text}" if key in self.fields else text

    def on_headers_complete(self) -> None:
        self._head_done = True
        self.status = self._parser.get_status_code()

    def on_body(self, data: bytes) -> None:
        room = self._cap - len(self.body)
        self.body += data[:room]
        self.capped = self.capped or len(data) > room

    def on_message_complete(self) -> None:
        self.done = True

    def feed(self, data: bytes) -> bool:
        self._raw += len(data)
        if self._raw > _FRAMING + 8 * len(self.body) + len(data):
            raise _Misframed("much frame and no body")
        if not self._head_done:
            searched = max(0, len(self.head) - 3)
            self.head += data
            if self.head[:2] == b"\x15\x03":  # an alert record: whoever listens there speaks TLS
                raise _SpeaksTls
            end = self.head.find(b"\r\n\r\n", searched)
            if end < 0:
                if len(self.head) > HEAD_CAP:
                    raise _Misframed("the head is over 64 KiB") if self._is_http() else httptools.HttpParserError("no head")
                return True
            data, self.head = self.head, self.head[: end + 4]
            head = self.head
            if data[9:10] == b"1":  # 100 Continue and its kin come before the final head
                self.interim += 1
                if self.interim > 16:
                    raise _Misframed("more than 16 interim replies")
                self._start()
                return self.feed(data[end + 4 :]) if len(data) > end + 4 else True
            self._parse(data)
            self.head = head
        else:
            self._parse(data)
        return not (self.done or self.capped)

    def _is_http(self) -> bool:
        return self.head.startswith((b"HTTP/1.", b"HTTP/2"))

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if not self._is_http():
                raise
            raise _Misframed("length or chunks do not fit the body" if self._head_done else "the head is malformed") from None

    def missing(self) -> Fault | None:
        """What the end of the connection means: the end of the body where neither a length nor chunks frame it, else a cut."""
        framed = "content-length" in self.fields or "chunked" in self.fields.get("transfer-encoding", "").lower()
        if self._head_done and not framed:
            return None
        if self.head and not b"HTTP/".startswith(self.head[:5]):
            return Fault("protocol")
        if not self._head_done and b"\n\n" in self.head:
            return Fault("misframed", "the head's lines end without a carriage return")
        return Fault("cut")


# What OpenSSL's numbers for a refused certificate mean (X509_V_ERR_…).
_CERTIFICATES = {
    10: "the certificate has expired",
    18: "the certificate is signed by itself",
    19: "the certificate's authority is not known here",
    20: "the certificate's authority is not known here",
    21: "the certificate's authority is not known here",
    62: "the certificate is for another host",
    64: "the certificate is for another address",
}


def _detail(error: OSError) -> str:
    return _CERTIFICATES.get(error.verify_code, "the certificate is not trusted") if isinstance(error, ssl.SSLCertVerificationError) else ""


def _fault(error: OSError) -> FaultKind:
    match error:
        case ssl.SSLError(reason="WRONG_VERSION_NUMBER" | "HTTP_REQUEST" | "RECORD_LAYER_FAILURE" | "PACKET_LENGTH_TOO_LONG"):
            return "tls-to-http"
        case ssl.SSLError():
            return "tls"
        case socket.gaierror():
            return "dns"
        case ConnectionRefusedError():
            return "connection-refused"
        case ConnectionResetError() | BrokenPipeError():
            return "cut"
        case _:
            return "unreachable"


def render(attempt: Attempt) -> bytes:
    """The request as bytes. ValueError if a value would break the head."""
    parts = urlsplit(attempt.url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    lines = [f"Host: {parts.netloc}", *(f"{name}: {value}" for name, value in attempt.fields)]
    if attempt.proxy is not None and parts.scheme == "http":
        target = f"http://{parts.netloc}{target}"
        lines += _authorization(attempt.proxy)
    lines.insert(0, f"{attempt.method} {target} HTTP/1.1")
    if attempt.body:
        lines.append(f"Content-Length: {len(attempt.body)}")
    if any(character in line for line in lines for character in "\r\n\0"):
        raise ValueError("a line break or NUL in the request's head")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + attempt.body


def _authorization(proxy: Proxy) -> list[str]:
    return [f"Proxy-Authorization: Basic {proxy.password.reveal()}"] if proxy.password else []


def _address(writer: asyncio.StreamWriter) -> str:
    found = writer.get_extra_info("peername")
    return str(found[0]) if isinstance(found, tuple) and found else ""  # pyright: ignore[reportUnknownArgumentType]


async def _dial(host: str, port: int, *, secure: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Tries the host's addresses in turn, so that each failure keeps its number. Raises OSError."""
    context = ssl.create_default_context() if secure else None
    last = OSError("the name has no address")
    for *_, address in await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            return await asyncio.open_connection(str(address[0]), port, ssl=context, server_hostname=host if secure else None)
        except ssl.SSLError:
            raise
        except OSError as error:
            last = error
    raise last


async def _through(proxy: Proxy, host: str, port: int, *, secure: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection by way of the proxy: for https a tunnel with TLS inside, for http the proxy itself. Raises OSError and _Refused."""
    if proxy.unsupported:
        raise _Refused(Fault("proxy-unsupported", proxy.unsupported))
    try:
        reader, writer = await _dial(proxy.host, proxy.port, secure=False)
    except OSError:
        raise _Refused(Fault("proxy-unreachable", proxy.name)) from None
    if not secure:
        return reader, writer
    through = False
    try:
        await _connect(proxy, reader, writer, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        await writer.start_tls(ssl.create_default_context(), server_hostname=host)
        through = True
    finally:
        if not through:
            writer.transport.abort()
    return reader, writer


async def _connect(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: str) -> None:
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}", *_authorization(proxy), "", ""]
    writer.write("\r\n".join(lines).encode("latin-1"))
    head = await _head(reader)
    status = head[9:12].decode("latin-1")
    if not head.startswith(b"HTTP/1.") or not status.isdigit():
        raise _Refused(Fault("proxy-refused", "no status"))
    if status == "407":
        raise _Refused(Fault("proxy-authentication"))
    if status[0] != "2":
        raise _Refused(Fault("proxy-refused", status))


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return b""


async def speaks_tls(url: str, timeout_s: float) -> bool:
    """Whether whoever listens there completes a TLS handshake in time, trusted or not. Nothing is sent after it."""
    parts = urlsplit(url)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(min(CONNECT_S, timeout_s)):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 80, ssl=context)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


async def carry_out(attempt: Attempt, timeout_s: float) -> Evidence:
    """Sends one request and returns what came back; every fault of the network is a value in the evidence."""
    request = render(attempt)
    parts = urlsplit(attempt.url)
    secure = parts.scheme == "https"
    reply, fault, peer = _Reply(attempt.cap), None, ""
    started, clock = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), time.monotonic()
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(min(CONNECT_S, timeout_s)):
            host, port = parts.hostname or "", parts.port or (443 if secure else 80)
            proxy = attempt.proxy
            reader, writer = await (_through(proxy, host, port, secure=secure) if proxy else _dial(host, port, secure=secure))
        peer = _address(writer)
        async with asyncio.timeout(max(0.0, timeout_s - (time.monotonic() - clock))):
            writer.write(request)
            while True:
                data = await reader.read(65536)
                if not data:
                    fault = reply.missing()
                    break
                if not reply.feed(data):
                    break
    except TimeoutError:
        fault = Fault("connect-timeout" if writer is None else "timeout")
    except _Refused as refused:
        fault = refused.fault
    except _SpeaksTls:
        fault = Fault("http-to-tls")
    except _Misframed as wrong:
        fault = Fault("misframed", str(wrong))
    except httptools.HttpParserError:
        fault = Fault("protocol")
    except OSError as error:
        fault = Fault(_fault(error), _detail(error))
    finally:
        if writer is not None:
            writer.transport.abort()
    return Evidence(
        case=attempt.case, url=attempt.url, started=started, elapsed_s=time.monotonic() - clock, status=reply.status, fields=reply.fields,
        head=reply.head, body=bytes(reply.body), capped=reply.capped, fault=fault, peer=peer, number=attempt.number,
    )  # fmt: skip
