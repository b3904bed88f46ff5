"""What can be said of a base URL and a key before anything is sent: where requests go, and what looks wrong. Pure."""

from __future__ import annotations

import ipaddress
import re
from typing import Literal
from urllib.parse import urlsplit

Environment = Literal["staging", "production", "local"]


class BadBase(ValueError):
    """A base URL that no request can be sent to; the message never repeats it, since it may hold a credential."""


def check_base(text: str) -> str:
    base = text.strip().rstrip("/")
    try:
        parts = urlsplit(base)
        _ = parts.port, (parts.hostname or "").encode("idna")
    except ValueError:
        raise BadBase("the base URL is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadBase("the base URL must look like https://host or https://host/v1")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise BadBase("the base URL must have no credential, query or fragment")
    if not base.isascii() or any(c <= " " for c in base):
        raise BadBase("the base URL must be ASCII without blanks")
    for tail in ("/chat/completions", "/api/text/chat", "/api/text/responses"):
        if parts.path.endswith(tail):
            kind = "a documentation path" if tail.startswith("/api/text") else "an endpoint"
            raise BadBase(f"the base URL ends in {tail}, which is {kind}; leave that part out")
    return base


def endpoint_root(base: str) -> str:
    """The base with a version segment: one that has none anywhere gets /v1."""
    path = urlsplit(base).path
    return base if any(re.fullmatch(r"v\d+[a-z0-9]*", segment) for segment in path.split("/")) else f"{base}/v1"


def host_root(base: str) -> str:
    """Scheme and host."""
    parts = urlsplit(base)
    return f"{parts.scheme}://{parts.netloc}"


def is_local(base: str) -> bool:
    host = urlsplit(base).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def forewarnings(base: str, root: str, key: str, environment: Environment) -> list[str]:
    """Codes of what can be said before anything is sent."""
    codes: list[str] = []
    if key != key.strip():
        codes.append("key-blank")
    if key.strip().lower().startswith("bearer "):
        codes.append("key-bearer-prefix")
    if key.strip()[:1] in ("'", '"'):
        codes.append("key-quoted")
    if "/v1/v1" in root:
        codes.append("doubled-v1")
    if (environment == "local") != is_local(base):
        codes.append("environment-mismatch")
    if base.startswith("http:") and not is_local(base):
        codes.append("plain-http")
    return codes
