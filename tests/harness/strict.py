"""HTTP/1.1 read as strictly as RFC 9112 allows: what a run of bytes says at most, so that a server can be held against it.

It shares nothing with the product: regular expressions over whole bytes, no parser library. Where the standard lets a reader be lenient
(bare line feeds, folded lines, lists of equal lengths) this one is not, because two lenient readers differ.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
# Several blanks are allowed by the standard, and what else the parser of the product speaks (RTSP) has the same frames. A target is
# anything visible; what a server makes of it is its own business.
_LINE = re.compile(rb"([A-Z][A-Z-]*) +([\x21-\x7e]+) +(?:HTTP|RTSP)/1\.([01])\r\n")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*\r\n")
# What an extension says is nobody's business, as long as it stays on its line.
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,32})(?:;[\t \x21-\x7e\x80-\xff]*)?\r\n")
_HOST = re.compile(rb"[A-Za-z0-9._-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?")
_SINGLE = (b"host", b"content-length", b"transfer-encoding", b"authorization", b"content-type", b"expect", b"x-api-key", b"x-goog-api-key")


class Said(NamedTuple):
    """One request, whole. `path` has no query; `closes`: nothing after it is a request."""

    method: bytes
    path: bytes
    fields: dict[bytes, bytes]
    body: bytes
    closes: bool


class Reading(NamedTuple):
    """The requests that are whole and valid, in order; `rest` says that bytes follow them which are none."""

    requests: list[Said]
    rest: bool


class _Bad(Exception):
    """Not a valid request, or not all of one."""


def read(data: bytes) -> Reading:
    requests: list[Said] = []
    position = 0
    while True:
        while data[position : position + 1] in (b"\r", b"\n"):  # hides nothing, whoever skips it
            position += 1
        if position >= len(data):
            return Reading(requests, False)
        try:
            request, position = _one(data, position)
        except _Bad:
            return Reading(requests, True)
        requests.append(request)
        if request.closes:
            return Reading(requests, False)


def _one(data: bytes, position: int) -> tuple[Said, int]:
    line = _LINE.match(data, position)
    if line is None:
        raise _Bad
    fields, position = _fields(data, line.end())
    old = line[3] == b"0"
    if (b"host" in fields and _HOST.fullmatch(fields[b"host"]) is None) or (b"host" not in fields and not old):
        raise _Bad
    connection = {word.strip().lower() for word in fields.get(b"connection", b"").split(b",")}
    closes = b"close" in connection or (old and b"keep-alive" not in connection)
    if b"transfer-encoding" in fields:
        if old or b"content-length" in fields or fields[b"transfer-encoding"].lower() != b"chunked":
            raise _Bad
        body, position = _chunks(data, position)
    else:
        length = fields.get(b"content-length", b"0")
        if re.fullmatch(rb"[0-9]{1,18}", length) is None or position + int(length) > len(data):
            raise _Bad
        body = data[position : position + int(length)]
        position += int(length)
    return Said(line[1], _path(line[2]), fields, body, closes), position


def _fields(data: bytes, position: int, single: tuple[bytes, ...] = _SINGLE) -> tuple[dict[bytes, bytes], int]:
    fields: dict[bytes, bytes] = {}
    while not data.startswith(b"\r\n", position):
        field = _FIELD.match(data, position)
        if field is None:
            raise _Bad
        name = field[1].lower()
        if name in fields and name in single:
            raise _Bad
        fields[name] = fields[name] + b", " + field[2] if name in fields else field[2]
        position = field.end()
    return fields, position + 2


def _chunks(data: bytes, position: int) -> tuple[bytes, int]:
    body = bytearray()
    while True:
        chunk = _CHUNK.match(data, position)
        if chunk is None:
            raise _Bad
        size, position = int(chunk[1], 16), chunk.end()
        if not size:
            _, position = _fields_of_trailer(data, position)
            return bytes(body), position
        if data[position + size : position + size + 2] != b"\r\n":
            raise _Bad
        body += data[position : position + size]
        position += size + 2


def _fields_of_trailer(data: bytes, position: int) -> tuple[dict[bytes, bytes], int]:
    fields, position = _fields(data, position, ())
    if b"content-length" in fields or b"transfer-encoding" in fields:
        raise _Bad
    return fields, position


def _path(target: bytes) -> bytes:
    if not target.startswith(b"/"):
        found = re.match(rb"(?i:https?)://[^/?#@]+(/.*)", target)
        if found is None:
            raise _Bad
        target = found[1]
    if b"#" in target:
        raise _Bad
    return target.partition(b"?")[0]
