"""May Halley open this URL? The judge of every address that a caller, not the operator, has chosen.

`judge` looks at the spelling, `judge_answers` at what the name resolved to; both are pure. A caller resolves once, has every answer judged,
and connects to a vetted address without asking the resolver again: then neither a second answer nor a redirect can lead inside. What is not
known to be public is refused, and a spelling that two parsers could read differently is refused rather than understood.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Sequence

import msgspec

_INLINE_TYPES = frozenset(
    {
        "image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf",
        "audio/mpeg", "audio/wav", "audio/ogg", "audio/flac", "video/mp4", "video/webm",
    }
)  # fmt: skip


class UrlPolicy(msgspec.Struct, frozen=True):
    """What an operator lets callers name. `ports` of None is every port; `inline_bytes` caps a decoded `data:` URL, and 0 refuses it."""

    plain_http: bool = False
    ports: frozenset[int] | None = frozenset({80, 443})
    inline_bytes: int = 0
    inline_types: frozenset[str] = _INLINE_TYPES


class Refusal(msgspec.Struct, frozen=True):
    """Not this one. `reason` is a stable word for tests and log rows; `message` is for the caller and repeats nothing of the URL."""

    reason: str
    message: str


class Target(msgspec.Struct, frozen=True):
    """A URL that may be tried once its addresses are vetted. `host` is a lower-case ASCII name, or an address that is vetted already."""

    scheme: str
    host: str
    port: int
    path: str
    literal: bool


class Inline(msgspec.Struct, frozen=True):
    """The content stands in the URL itself; nothing is fetched."""

    media_type: str
    base64: str


class Address(msgspec.Struct, frozen=True):
    """A public address in canonical spelling: connect to exactly this."""

    ip: str
    version: int


Verdict = Target | Inline | Refusal

_LONGEST = 8192
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_AUTHORITY = re.compile(r"//([^/?#]*)")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_QUAD = re.compile(r"(0|[1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_DATA = re.compile(r"([a-z]+/[a-z0-9.+-]+);base64,([A-Za-z0-9+/]*={0,2})")
_PATH_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/?%[]|")

# Last labels that never name a public host: special-use names (RFC 6761, 6762, 7686, 8375, 9476) and what networks use inside.
_INSIDE = frozenset(
    {
        "localhost", "localdomain", "local", "internal", "intranet", "private", "lan", "home", "corp", "svc", "cluster", "arpa", "onion",
        "alt", "invalid",
    }
)  # fmt: skip
# Full names of metadata services under public suffixes.
_METADATA = frozenset({"metadata.goog"})


def _network(text: str) -> tuple[int, int]:
    """First address and size in bits of the host part."""
    network = ipaddress.ip_network(text)
    return int(network.network_address), network.max_prefixlen - network.prefixlen


# Own tables, because the standard library's `is_private` and `is_global` differ between Python versions and know nothing of clouds.
# Source: IANA special-purpose registries for IPv4 and IPv6, read 2026-11.
_CLOSED_V4 = tuple(
    (*_network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by carriers"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's host service"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.52.193.0/24", "multicast tunnels"),
        ("192.88.99.0/24", "6to4 relays"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarks"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)
_OPEN_V6 = _network("2000::/3")
_CLOSED_V6 = tuple(
    (*_network(network), reason)
    for network, reason in (
        ("2001::/23", "protocol assignments: Teredo, ORCHID, benchmarks"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("3fff::/20", "documentation"),
    )
)
# An ISATAP interface identifier holds an IPv4 address under any prefix.
_ISATAP = (0x00005EFE, 0x02005EFE)


def judge(url: str, allow: UrlPolicy = UrlPolicy()) -> Verdict:  # noqa: B008 - frozen, so that sharing the default is safe
    """What a URL that a caller wrote leads to. A `Target` with `literal=False` must still pass `judge_answers` before anything is sent."""
    if not url or (len(url) > _LONGEST and not url.startswith("data:")):
        return Refusal("length", f"the URL must have 1 to {_LONGEST} characters")
    if "\\" in url or " " in url or not url.isprintable():
        return Refusal("character", "the URL holds a blank, a control character or a backslash; percent-encode it")
    scheme = _SCHEME.match(url)
    match scheme and scheme.group(1).lower():
        case "https" | "http" as name:
            if name == "http" and not allow.plain_http:
                return Refusal("plain_http", "the URL must begin with https://")
            return _judge_hierarchical(name, url[len(name) + 1 :], allow)
        case "data":
            return _judge_inline(url[5:], allow)
        case _:
            return Refusal("scheme", "the URL must begin with https://")


def follow(base: Target, location: str, allow: UrlPolicy = UrlPolicy()) -> Verdict:  # noqa: B008
    """Where a redirect leads, judged as if the caller had named it. It never leaves https for http and never becomes inline content."""
    if not location:
        return Refusal("length", "the redirect names no URL")
    if _SCHEME.match(location):
        verdict = judge(location, allow)
    elif location.startswith("//"):
        verdict = judge(f"{base.scheme}:{location}", allow)
    else:
        origin = f"{base.scheme}://{f'[{base.host}]' if ':' in base.host else base.host}:{base.port}"
        folder = base.path.split("?", 1)[0].rsplit("/", 1)[0]
        verdict = judge(origin + (location if location.startswith("/") else f"{folder}/{location}"), allow)
    match verdict:
        case Inline():
            return Refusal("scheme", "a redirect must lead to an https:// URL")
        case Target(scheme="http") if base.scheme == "https":
            return Refusal("plain_http", "a redirect must not lead from https to http")
        case _:
            return verdict


def judge_address(ip: str) -> Address | Refusal:
    """Whether an address, as a resolver gave it or a URL spelled it, is on the public internet."""
    try:
        parsed = ipaddress.ip_address(ip)
    except ValueError:
        return Refusal("address", "the host is not an IP address")
    if "%" in ip:
        return Refusal("address", "the address names a network interface")
    number = int(parsed)
    if parsed.version == 4:
        reason = _closed(number, _CLOSED_V4)
    elif number >> _OPEN_V6[1] != _OPEN_V6[0] >> _OPEN_V6[1]:
        reason = "not global unicast"
    elif (number >> 32) & 0xFFFFFFFF in _ISATAP:
        reason = "an embedded IPv4 address"
    else:
        reason = _closed(number, _CLOSED_V6)
    if reason:
        return Refusal("address", f"the host's address is not public ({reason})")
    return Address(str(parsed), parsed.version)


def judge_answers(answers: Sequence[str]) -> tuple[Address, ...] | Refusal:
    """Every answer of one look-up. A single answer that is not public refuses the name: which one is used must not matter."""
    vetted: list[Address] = []
    for answer in answers:
        verdict = judge_address(answer)
        if isinstance(verdict, Refusal):
            return verdict
        vetted.append(verdict)
    return tuple(vetted) or Refusal("unresolved", "the host has no address")


def _closed(number: int, table: Sequence[tuple[int, int, str]]) -> str | None:
    return next((reason for first, bits, reason in table if number >> bits == first >> bits), None)


def _judge_hierarchical(scheme: str, rest: str, allow: UrlPolicy) -> Target | Refusal:
    found = _AUTHORITY.match(rest)
    if found is None or not found.group(1):
        return Refusal("host", "the URL has no host; write https://HOST/PATH")
    authority, path = found.group(1), rest[found.end() :].split("#", 1)[0]
    if "@" in authority:
        return Refusal("userinfo", "the URL must not hold a user name or password")
    host, port = _split_port(authority)
    if port is None:
        port = 443 if scheme == "https" else 80
    elif not _PORT.fullmatch(str(port)) or int(port) > 65535:
        return Refusal("port", "the port must be a number from 1 to 65535")
    if allow.ports is not None and int(port) not in allow.ports:
        return Refusal("port", "this port is not open to callers")
    judged = _judge_host(host)
    if isinstance(judged, Refusal):
        return judged
    name, literal = judged
    return Target(scheme, name, int(port), _encoded(path if path.startswith("/") else f"/{path}"), literal)


def _split_port(authority: str) -> tuple[str, str | None]:
    """Host and port text; the colons of an address in brackets belong to the host."""
    host, colon, port = authority.rpartition(":")
    if not colon or (authority.startswith("[") and authority.endswith("]")):
        return authority, None
    return host, port


def _judge_host(host: str) -> tuple[str, bool] | Refusal:
    """The host in the spelling to use, and whether it is an address."""
    if host.startswith("["):
        if not host.endswith("]") or not re.fullmatch(r"[0-9A-Fa-f:.]+", host[1:-1]) or ":" not in host:
            return Refusal("host", "the host in brackets is not an IPv6 address")
        return _literal(host[1:-1])
    name = _ascii_name(host.removesuffix("."))
    if name is None:
        return Refusal("host", "the host is not a valid name; write an international name in its xn-- form")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        if not _QUAD.fullmatch(name):
            return Refusal("address", "an IPv4 address must be written as four decimal numbers")
        return _literal(name)
    if len(labels) < 2 or labels[-1] in _INSIDE or name in _METADATA:
        return Refusal("name", "the host is a name of an inner network")
    return name, False


def _literal(text: str) -> tuple[str, bool] | Refusal:
    verdict = judge_address(text)
    return verdict if isinstance(verdict, Refusal) else (verdict.ip, True)


def _ascii_name(host: str) -> str | None:
    """The name as the resolver gets it, or None when it is not one or when two implementations could map it differently."""
    labels = [_ascii_label(label) for label in host.lower().split(".")]
    if any(label is None for label in labels):
        return None
    name = ".".join(label for label in labels if label)
    return name if len(name) <= 253 else None


def _ascii_label(label: str) -> str | None:
    if label.isascii():
        if not _LABEL.fullmatch(label):
            return None
        return label if not label.startswith("xn--") or _holds_letters(label) else None
    if label != label.casefold() or not _unambiguous(label):
        return None
    encoded = f"xn--{label.encode('punycode').decode('ascii')}"
    return encoded if _LABEL.fullmatch(encoded) else None


def _holds_letters(label: str) -> bool:
    """Whether an xn-- label decodes to a word that encodes back to it and needed the encoding."""
    try:
        word = label[4:].encode("ascii").decode("punycode")
        return not word.isascii() and _unambiguous(word) and word.encode("punycode").decode("ascii") == label[4:]
    except (UnicodeError, ValueError, OverflowError):
        return False


def _unambiguous(word: str) -> bool:
    """Letters and marks that no normalisation changes, beside ASCII letters, digits and inner hyphens: nothing in disguise."""
    if unicodedata.normalize("NFKC", word) != word or word.startswith("-") or word.endswith("-"):
        return False
    if unicodedata.category(word[0]).startswith("M"):
        return False
    return all(
        (character.isascii() and (character.isalnum() or character == "-"))
        or (not character.isascii() and unicodedata.category(character) in ("Ll", "Lo", "Lm", "Mn", "Mc"))
        for character in word
    )


def _encoded(path: str) -> str:
    """Path and query in ASCII; escapes that are there stay as they are."""
    return "".join(character if character in _PATH_SAFE else _escaped(character) for character in path)


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))


def _judge_inline(rest: str, allow: UrlPolicy) -> Inline | Refusal:
    if not allow.inline_bytes:
        return Refusal("scheme", "the URL must begin with https://")
    if len(rest) > allow.inline_bytes * 4 // 3 + 128:
        return Refusal("length", f"inline content must not be larger than {allow.inline_bytes} bytes")
    found = _DATA.fullmatch(rest)
    if found is None or len(found.group(2)) % 4:
        return Refusal("inline", "inline content must be written as data:TYPE;base64,CONTENT")
    media_type, content = found.groups()
    if media_type not in allow.inline_types:
        return Refusal("inline", f"inline content must be one of {', '.join(sorted(allow.inline_types))}")
    if len(content) // 4 * 3 - content.count("=") > allow.inline_bytes:
        return Refusal("length", f"inline content must not be larger than {allow.inline_bytes} bytes")
    return Inline(media_type, content)
