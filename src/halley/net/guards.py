"""What a request head must be before anything else looks at it; pure functions over the parsed fields.

llhttp refuses broken syntax (bare CR or LF, folded lines, NUL, odd lengths); this module refuses what is well-formed and still not to be
served. It holds no connection and reads no clock. Whatever raises here raises `Refused`, and the connection closes after the answer.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from halley.errors import Condition, Refused

TARGET_BYTES = 8192
# One value each: a second one is an attempt to be read differently by two readers.
SINGLE = frozenset(
    (
        b"host",
        b"authorization",
        b"x-api-key",
        b"x-goog-api-key",
        b"content-length",
        b"content-type",
        b"transfer-encoding",
        b"expect",
    )
)
# Of these a second value is a second claim to be somebody.
CREDENTIALS = frozenset((b"authorization", b"x-api-key", b"x-goog-api-key"))
_HOST = re.compile(rb"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")


class Guards(msgspec.Struct, frozen=True):
    """Limits of the listener. Bytes, seconds, and bytes per second; `connections` is how many may be open at a time, `pipeline` how much is
    read ahead of the request being served."""

    head_bytes: int = 32768
    head_fields: int = 100
    head_seconds: float = 10.0
    body_bytes: int = 33554432
    body_seconds: float = 28.0
    body_rate: int = 16384
    idle_seconds: float = 73.0
    write_stall_seconds: float = 30.0
    connections: int = 16384
    pipeline: int = 65536


def check_size(target: bytes, fields: dict[bytes, bytes], repeated: int, guards: Guards) -> None:
    if len(target) > TARGET_BYTES:
        raise Refused(Condition.HEAD_TOO_LARGE, f"the request target is {len(target)} bytes long; at most {TARGET_BYTES} are taken")
    if len(fields) + repeated > guards.head_fields:
        raise Refused(Condition.HEAD_TOO_LARGE, f"the request has more than {guards.head_fields} header fields")
    if len(target) + sum(len(name) + len(value) + 4 for name, value in fields.items()) > guards.head_bytes:
        raise Refused(Condition.HEAD_TOO_LARGE, f"the request head is larger than {guards.head_bytes} bytes")


def given_twice(name: bytes) -> Refused:
    if name in CREDENTIALS:
        return Refused(Condition.BAD_KEY, f"the {name.decode('latin-1')} header is given twice; send one API key, once")
    return Refused(Condition.INVALID, f"the {name.decode('latin-1')} header is given twice")


def check_version(version: str) -> Literal["1.0", "1.1"]:
    if version == "1.1" or version == "1.0":
        return version
    raise Refused(Condition.INVALID, f"HTTP/{version} is not served; HTTP/1.1 and HTTP/1.0 are")


def check_host(host: bytes | None, version: str) -> None:
    if host is None:
        if version == "1.1":
            raise Refused(Condition.INVALID, "the Host header is missing")
        return
    found = _HOST.fullmatch(host.strip(b" \t"))
    if found is None or int(found[1] or 0) > 65535:
        raise Refused(Condition.INVALID, "the Host header is not a host name or address with an optional port")


def check_transfer_encoding(value: bytes, fields: dict[bytes, bytes], version: str) -> None:
    if value.strip(b" \t").lower() != b"chunked":
        raise Refused(Condition.INVALID, 'Transfer-Encoding can only be "chunked"')
    if version != "1.1":
        raise Refused(Condition.INVALID, "Transfer-Encoding does not exist in HTTP/1.0")
    if b"content-length" in fields:
        raise Refused(Condition.INVALID, "Content-Length and Transfer-Encoding cannot both be given")


def declared_length(value: bytes) -> int:
    """Only digits: `int` alone would also take signs, blanks and underscores."""
    digits = value.strip(b" \t")
    if not digits.isdigit() or len(digits) > 18:
        raise Refused(Condition.INVALID, "Content-Length is not a number of bytes")
    return int(digits)


def check_expect(value: bytes) -> None:
    if value.strip(b" \t").lower() != b"100-continue":
        raise Refused(Condition.EXPECTATION, 'the only expectation that is met is "100-continue"')


def check_content_encoding(value: bytes) -> None:
    if value.strip(b" \t").lower() != b"identity":
        raise Refused(Condition.WRONG_TYPE, "compressed request bodies are not taken; send the body without Content-Encoding")


def too_large(limit: int) -> Refused:
    return Refused(Condition.BODY_TOO_LARGE, f"the request body is larger than {limit} bytes")


def stays_open(value: bytes) -> bool:
    """Whether a `connection` field of HTTP/1.0 keeps the connection: the parser would not see that it also says `close`."""
    words = {word.strip(b" \t").lower() for word in value.split(b",")}
    return b"keep-alive" in words and b"close" not in words


def split_target(target: bytes, method: bytes) -> tuple[bytes, bytes]:
    """The path and the query of an origin-form, absolute-form or (of OPTIONS) asterisk-form target."""
    if not target.startswith(b"/"):
        if target[:7].lower() == b"http://" or target[:8].lower() == b"https://":
            authority, slash, rest = target.partition(b"://")[2].partition(b"/")
            target = slash + rest
            if b"?" in authority or b"@" in authority or not authority or not slash:
                raise Refused(Condition.INVALID, "the request target is not a path")
        elif target != b"*" or method != b"OPTIONS":
            raise Refused(Condition.INVALID, "the request target is not a path")
    if b"#" in target:
        raise Refused(Condition.INVALID, "the request target holds a fragment")
    path, _, query = target.partition(b"?")
    return path, query
