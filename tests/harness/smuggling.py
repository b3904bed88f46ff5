"""The corpus of raw requests with a hidden one in each, and the oracle: an answer is allowed only where a strict reader finds a request.

Paths under `/v1` that are not served are answered at once with a 404 that names the path; so an answer says which request it is for.
"""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tests.harness import strict
from tests.harness.process import ROOT

FIXTURE = ROOT / "fixtures" / "http" / "smuggling.jsonl"
EVIL = b"GET /v1/evil HTTP/1.1\r\nHost: halley.test\r\n\r\n"
CANARY = b"GET /v1/canary HTTP/1.1\r\nHost: halley.test\r\n\r\n"
LIMIT_S = 20.0

_EVIL_LENGTH = re.compile(rb"\{\{EVIL\+(\d+)\}\}")
_NAMED = re.compile(rb"(?:nothing at|not served at) ([^ ]*?)(?:\. Did you|\. The base|; use|\.\")")
_HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")
_LENGTH = re.compile(rb"^content-length: (\d+)\r\n", re.MULTILINE)


class Case(NamedTuple):
    """`served`: the paths that are answered, in order; `refused`: whether a refusal that closes comes after them."""

    id: str
    served: tuple[str, ...]
    refused: bool
    template: bytes

    def bytes(self, evil: bytes = EVIL) -> bytes:
        """Everything that is sent, with this hidden request in it."""
        filled = self.template.replace(b"{{EVIL}}", evil).replace(b"{{EVIL#}}", b"%x" % len(evil)).replace(b"{{CANARY}}", CANARY)
        return _EVIL_LENGTH.sub(lambda found: b"%d" % (len(evil) + int(found[1])), filled)


class Answer(NamedTuple):
    """`path` is the one that the answer names, empty if it names none; `closes`: it says that it is the last."""

    status: int
    path: bytes
    closes: bool


def corpus(path: Path = FIXTURE) -> list[Case]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Case(x["id"], tuple(x["served"]), x["refused"], x["send"].encode("latin-1")) for x in lines if "_meta" not in x]


def answers(raw: bytes, methods: list[bytes]) -> list[Answer]:
    """What a server said, answer by answer; interim ones are left out. `methods`: of the requests, because HEAD has no body.
    Raises AssertionError when the bytes are not whole answers of a known length."""
    found: list[Answer] = []
    position = 0
    while position < len(raw):
        head = _HEAD.match(raw, position)
        assert head is not None, f"not an answer: {raw[position : position + 200]!r}"
        position = head.end()
        status = int(head[1])
        if status < 200:
            continue
        length = _LENGTH.search(head[2])
        assert length is not None, f"an answer without a length: {head[0]!r}"
        closes = b"\r\nconnection: close\r\n" in b"\r\n" + head[2]
        # A refused HEAD has no body either, though a strict reader found no request there.
        bodiless = methods[len(found)] == b"HEAD" if len(found) < len(methods) else closes and position == len(raw)
        size = 0 if bodiless else int(length[1])
        body = raw[position : position + size]
        assert len(body) == size, f"half an answer: {raw!r}"
        position += size
        named = _NAMED.search(body)
        found.append(Answer(status, named[1] if named else b"", closes))
    return found


def judge(sent: bytes, raw: bytes) -> list[Answer]:
    """The answers to these bytes. Raises AssertionError when one of them is to something else than the strict reading, in order, with
    at most one refusal where that reading ends."""
    reading = strict.read(sent)
    given = answers(raw, [request.method for request in reading.requests])
    assert len(given) <= len(reading.requests) + reading.rest, f"{len(given)} answers to {len(reading.requests)} requests: {given}"
    for number, answer in enumerate(given):
        assert 200 <= answer.status < 500, f"status {answer.status}"
        assert number == len(given) - 1 or not answer.closes, f"an answer after the last: {given}"
        if number < len(reading.requests):
            path = reading.requests[number].path
            assert not answer.path or answer.path == shown(path), f"{answer.path!r} is answered where {path!r} was asked for"
        else:
            assert answer.closes, f"something that is no request was served: {answer}"
            assert answer.status != 404, f"something that is no request was looked up: {answer}"
    return given


def shown(path: bytes) -> bytes:
    """A path as a 404 names it, in JSON."""
    return json.dumps(path[:200].decode("latin-1").encode("ascii", "backslashreplace").decode()).encode()[1:-1]


def address(url: str) -> tuple[str, int]:
    place = urlsplit(url)
    assert place.hostname is not None
    return place.hostname, place.port or 80


def connect(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, LIMIT_S)


def said(connection: socket.socket) -> bytes:
    """Everything until the other side closes."""
    raw = bytearray()
    try:
        while piece := connection.recv(65536):
            raw += piece
    except ConnectionResetError:
        pass
    return bytes(raw)


def ask(address: tuple[str, int], data: bytes) -> bytes:
    """Sends everything, shuts this side, and takes all answers: what is answered at once is answered before the end is seen."""
    with connect(address) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it was refused before all of it was taken
        return said(connection)
