"""One HTTP/1.1 attempt over plain asyncio: no redirect is followed, no connection reused, nothing tried twice.

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

BODY_CAP = 1 << 20
HEAD_CAP = 65536
CONNECT_S = 10.0


class Attempt(msgspec.Struct, frozen=True):
    """What to send; `fields` hold the credential, so an `Attempt` is never printed."""

    case: str
    method: str
    url: str
    fields: tuple[tuple[str, str], ...]
    body: bytes


class _Reply:
    """Collects one reply: httptools calls back, `feed` returns whether more is wanted."""

    __slots__ = ("_head_done", "_parser", "body", "capped", "done", "fields", "head", "interim", "status")

    def __init__(self) -> None:
        self._start()
        self.body = bytearray()
        self.capped = False
        self.done = False
        self.interim = 0

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
        room = BODY_CAP - len(self.body)
        self.body += data[:room]
        self.capped = self.capped or len(data) > room

    def on_message_complete(self) -> None:
        self.done = True

    def feed(self, data: bytes) -> bool:
        if not self._head_done:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                if len(self.head) > HEAD_CAP:
                    raise httptools.HttpParserError("the head is over 64 KiB")
                return True
            data, self.head = self.head, self.head[: end + 4]
            head = self.head
            if data[9:10] == b"1":  # 100 Continue and its kin come before the final head
                self.interim += 1
                if self.interim > 16:
                    raise httptools.HttpParserError("more than 16 interim replies")
                self._start()
                return self.feed(data[end + 4 :]) if len(data) > end + 4 else True
            self._parser.feed_data(data)
            self.head = head
        else:
            self._parser.feed_data(data)
        return not (self.done or self.capped)

    def ended_by_close(self) -> bool:
        """An end of the connection is an end of the body only where neither a length nor chunks frame it."""
        return self._head_done and "content-length" not in self.fields and "chunked" not in self.fields.get("transfer-encoding", "").lower()


def _fault(error: OSError) -> FaultKind:
    match error:
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
    lines = [f"{attempt.method} {parts.path} HTTP/1.1", f"Host: {parts.netloc}", *(f"{name}: {value}" for name, value in attempt.fields)]
    if attempt.body:
        lines.append(f"Content-Length: {len(attempt.body)}")
    if any(character in line for line in lines for character in "\r\n\0"):
        raise ValueError("a line break or NUL in the request's head")
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + attempt.body


async def carry_out(attempt: Attempt, timeout_s: float) -> Evidence:
    """Sends one request and returns what came back; every fault of the network is a value in the evidence."""
    request = render(attempt)
    parts = urlsplit(attempt.url)
    secure = parts.scheme == "https"
    reply, fault = _Reply(), None
    started, clock = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), time.monotonic()
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(min(CONNECT_S, timeout_s)):
            reader, writer = await asyncio.open_connection(
                parts.hostname, parts.port or (443 if secure else 80), ssl=ssl.create_default_context() if secure else None
            )
        async with asyncio.timeout(max(0.0, timeout_s - (time.monotonic() - clock))):
            writer.write(request)
            while True:
                data = await reader.read(65536)
                if not data:
                    fault = None if reply.ended_by_close() else Fault("cut", "the connection ended before the reply did")
                    break
                if not reply.feed(data):
                    break
    except TimeoutError:
        fault = Fault("connect-timeout" if writer is None else "timeout")
    except httptools.HttpParserError:
        fault = Fault("protocol", "the reply is not HTTP/1.1")
    except OSError as error:
        fault = Fault(_fault(error), error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else "")
    finally:
        if writer is not None:
            writer.transport.abort()
    return Evidence(
        case=attempt.case, url=attempt.url, started=started, elapsed_s=time.monotonic() - clock, status=reply.status, fields=reply.fields,
        head=reply.head, body=bytes(reply.body), capped=reply.capped, fault=fault,
    )  # fmt: skip
