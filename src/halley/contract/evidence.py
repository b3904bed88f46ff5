"""What one attempt left behind, as a value, and the plain facts that can be read off it.

Nothing here does I/O or forms a verdict. The bytes in an `Evidence` may hold prompts and secrets: only `contract.keep` writes them.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

FaultKind = Literal[
    "dns", "connection-refused", "unreachable", "connect-timeout", "tls", "tls-to-http", "http-to-tls", "timeout", "cut", "protocol",
    "misframed", "proxy-unreachable", "proxy-refused", "proxy-authentication", "proxy-unsupported",
]  # fmt: skip

# Only these words of a foreign head may appear in a report, with a version: any other could be an echo of what was sent.
_PRODUCT = re.compile(
    r"(?<![a-z0-9])(?:nginx|openresty|tengine|apache|caddy|traefik|haproxy|istio-envoy|envoy|varnish|squid|cloudflare|cloudfront|akamaighost|"
    r"awselb|awsalb|fastly|vercel|netlify|heroku|vegur|google frontend|gws|gse|esf|microsoft-iis|kong|apisix|tinyproxy|zscaler|uvicorn|"
    r"hypercorn|gunicorn|granian|daphne|werkzeug|waitress|tornado|jetty|tomcat|kestrel|express|litellm|halley|vllm|ollama|llama\.cpp)"
    r"(?:/[0-9]{1,4}(?:\.[0-9]{1,5}){0,3})?(?![a-z0-9])",
    re.IGNORECASE,
)


class Unread(msgspec.Struct, frozen=True):
    """Stands for a body that is not JSON; `None` is a JSON value."""


UNREAD = Unread()


class Fault(msgspec.Struct, frozen=True):
    """`detail` is in our own words."""

    kind: FaultKind
    detail: str = ""


class Evidence(msgspec.Struct, frozen=True):
    """`head` and `body` are raw (body after de-chunking, at most the attempt's cap; `capped`: more came). `status` is None if no head
    arrived. `peer` is the address that was connected to, `number` counts the attempts of a run."""

    case: str
    url: str
    started: str
    elapsed_s: float = 0.0
    status: int | None = None
    fields: dict[str, str] = {}
    head: bytes = b""
    body: bytes = b""
    capped: bool = False
    fault: Fault | None = None
    peer: str = ""
    number: int = 0

    @property
    def media_type(self) -> str:
        return self.fields.get("content-type", "").partition(";")[0].strip().lower()

    def is_json_type(self) -> bool:
        return self.media_type == "application/json" or (self.media_type.startswith("application/") and self.media_type.endswith("+json"))

    def is_event_stream(self) -> bool:
        return self.media_type == "text/event-stream" or self.body[:5] == b"data:" or self.body[:6] == b"event:"

    def is_html(self) -> bool:
        start = self.body[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        return self.media_type in ("text/html", "application/xhtml+xml") or start.startswith((b"<!doctype html", b"<html"))

    def value(self) -> object:
        """The body as a JSON value, or `UNREAD`."""
        if self.capped:
            return UNREAD
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return UNREAD

    def sender(self) -> str:
        """Who answered, by its own head: the last `via` hop, else Cloudflare's mark, else `server`, else nobody by name."""
        hop = self.fields.get("via", "").rpartition(",")[2]
        for word in (hop, "cloudflare" if "cf-ray" in self.fields else "", self.fields.get("server", "")):
            found = _PRODUCT.search(word)
            if found:
                return found.group()
        return "an unnamed server"


def member(value: object, name: str) -> object:
    """`value[name]` if there is such a member, else `UNREAD`."""
    return members(value).get(name, UNREAD)


def members(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def items(value: object) -> list[object]:
    return value if isinstance(value, list) else []  # pyright: ignore[reportUnknownVariableType]


def content(value: object) -> object:
    """`choices[0].message.content`, or `UNREAD` where the path ends early."""
    choices = items(member(value, "choices"))
    return member(member(choices[0], "message"), "content") if choices else UNREAD


def holds_content(value: object) -> bool:
    """Whether generated text stands anywhere in a reply, in any dialect's place for it."""
    pending = [value]
    while pending:
        seen = pending.pop()
        pending.extend(items(seen))
        for name, inner in members(seen).items():
            if name in ("choices", "candidates", "content", "output", "output_text", "completion") and inner:
                return True
            pending.append(inner)
    return False
