"""Where an upstream is, how long it may take, and what can go wrong on the way: the values of the upstream side, without I/O."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

import msgspec

FaultKind = Literal["busy", "connect", "tls", "first_byte_timeout", "idle_timeout", "cut", "protocol"]


class Origin(msgspec.Struct, frozen=True):
    """`path` is the socket's path for the scheme unix, else empty."""

    scheme: Literal["http", "https", "unix"]
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, url: str) -> Origin:
        """From `http://host[:port][/…]`, `https://…` or `unix:/path`; the path of an http URL is the caller's. ValueError otherwise."""
        parts = urlsplit(url)
        match parts.scheme:
            case "unix" if parts.path.startswith("/"):
                return cls("unix", "localhost", 0, parts.path)
            case ("http" | "https") as scheme if parts.hostname and parts.username is None:
                return cls(scheme, parts.hostname, parts.port or (443 if scheme == "https" else 80))
            case _:
                raise ValueError("an upstream is http://host[:port], https://host[:port] or unix:/path, without user information")


class Deadlines(msgspec.Struct, frozen=True):
    """Seconds: until connected, from the request to the final reply head, between two reads of the reply."""

    connect_s: float
    first_byte_s: float
    idle_s: float


class Fault(msgspec.Struct, frozen=True):
    """Why a call ended without a complete reply. `written` is false only if no byte of the request can have left."""

    kind: FaultKind
    written: bool
    detail: str


def check_head(head: bytes) -> None:
    """Refuses what would end a line or the head early. Values from outside need `render_field`: a smuggled line looks like a line."""
    lines = head.count(b"\r\n")
    if head.count(b"\r") != lines or head.count(b"\n") != lines or b"\0" in head:
        raise ValueError("a request head holds CR, LF or NUL outside its line ends")
    if not head.endswith(b"\r\n") or b"\r\n\r\n" in head or b"\r\n " in head or b"\r\n\t" in head:
        raise ValueError("a request head is complete lines, without the blank line and without folded ones")


def render_field(name: bytes, value: bytes) -> bytes:
    """One header line. ValueError if the value could become more than one."""
    if b"\r" in value or b"\n" in value or b"\0" in value:
        raise ValueError(f"the value for {name.decode('latin-1')} holds CR, LF or NUL")
    return b"%b: %b\r\n" % (name, value)
