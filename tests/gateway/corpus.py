"""Lines of a corpus of bad requests as bytes for a socket: the format, its placeholders, and nothing about who serves them.

A line names method, path, headers and one of `body`, `body_b64`, `body_segments` (text and count, repeated and joined); `raw_b64` and
`raw_segments` are everything that is sent. `{{NAME}}` is filled from the values of the test. The first line of a file is its legend.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

Line = dict[str, Any]

_PLACE = re.compile(r"\{\{([A-Z_]+)\}\}")
_PIECE = 1 << 20


class Unfilled(KeyError):
    """The line needs something that the test has no value for."""


class Sent(NamedTuple):
    """What goes on the wire; `raw` says that nobody promised a well-formed request."""

    data: bytes
    method: str
    raw: bool


def read(path: Path) -> list[Line]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return [line for line in lines if "_meta" not in line]


def render(line: Line, values: Mapping[str, str], host: str) -> Sent:
    """Raises Unfilled."""
    if "raw_b64" in line:
        return Sent(base64.b64decode(line["raw_b64"]), "GET", True)
    if "raw_segments" in line:
        return Sent(_joined(line["raw_segments"], values), "GET", True)
    body = _body(line, values)
    given = [(name, fill(value, values)) for name, value in line["headers"]]
    head = [f"{line['method']} {fill(line['path'], values)} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in given)]
    framed = {name.lower() for name, _ in given} & {"content-length", "transfer-encoding"}
    if body is not None and not framed:
        head.append(f"Content-Length: {len(body)}")
    return Sent(("\r\n".join(head) + "\r\n\r\n").encode() + (body or b""), line["method"], False)


def fill(text: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise Unfilled(match[1])
        return values[match[1]]

    return _PLACE.sub(value, text)


def _body(line: Line, values: Mapping[str, str]) -> bytes | None:
    segments = line.get("body_segments") or line["expect"].get("use_segments")
    if line.get("body_transform") == "gzip":
        return _gzipped(segments if segments else [[line["body"], 1]], values)
    if segments:
        return _joined(segments, values)
    if "body_b64" in line:
        return base64.b64decode(line["body_b64"])
    return fill(line["body"], values).encode() if line.get("body") else None


def _joined(segments: list[list[Any]], values: Mapping[str, str]) -> bytes:
    return b"".join([fill(text, values).encode() * count for text, count in segments])


def _gzipped(segments: list[list[Any]], values: Mapping[str, str]) -> bytes:
    """In pieces: what a bomb unpacks to does not fit a test's memory."""
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1, mtime=0) as file:
        for text, count in segments:
            unit = fill(text, values).encode()
            at_once = max(_PIECE // max(len(unit), 1), 1)
            for done in range(0, count, at_once):
                file.write(unit * min(at_once, count - done))
    return packed.getvalue()
