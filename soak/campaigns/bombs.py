"""Bodies that are made to be expensive: every one is refused or served as it should be, and nobody else notices.

Beside each bomb a client asks `/readyz` a hundred times a second: its longest answer, the relay's own measure of its loop and its memory
are the figures. A body is built before its clock starts.
"""

from __future__ import annotations

import gzip
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from soak.campaign import Campaign, Effort, Figures, say
from soak.probe import Height, Probe, children
from soak.watch import figures, taken
from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.http import Client
from tests.harness.priced import configuration, customer
from tests.harness.simulator import Simulator

CHAT = "/v1/chat/completions"
MODEL = b"sim/tokens-3"
MOST = 32 << 20
# The goal, for the relay's own measure and for what a client sees; ten times that where the machine has other work to do.
LAG_MS = 100
PATIENCE = 10
GROWTH_MIB = 96.0

_HEAD = b'{"model":"%b","messages":[{"role":"user","content":"hi"}]' % MODEL
REFUSED = frozenset({400, 413, 415})
EITHER = REFUSED | {200}


class Bomb(NamedTuple):
    """`wire` is what goes out after the head; `fields` are further lines of it."""

    name: str
    statuses: frozenset[int]
    wire: Callable[[int], bytes]
    fields: bytes = b""
    chunked: bool = False


def _extra(value: bytes) -> bytes:
    return _HEAD + b',"x":' + value + b"}"


def _content(text: bytes) -> bytes:
    return b'{"model":"%b","messages":[{"role":"user","content":"%b"}]}' % (MODEL, text)


def _chunks(body: bytes, size: int) -> bytes:
    return (
        b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[at : at + size] for at in range(0, len(body), size))) + b"0\r\n\r\n"
    )


def _fields(count: int) -> bytes:
    return b"".join(b',"k%d":"%b"' % (number, b"a" * 140) for number in range(count))


_OK = frozenset({200})
_BAD = frozenset({400})
BOMBS = (
    Bomb("depth", _BAD, lambda n: _extra(b"[" * (n // 2) + b"]" * (n // 2))),
    Bomb("depth-101", _BAD, lambda _: _extra(b"[" * 101 + b"]" * 101)),
    Bomb("depth-open", _BAD, lambda n: _extra(b"[" * n)),
    Bomb("depth-objects", _BAD, lambda n: _extra(b'{"a":' * (n // 6) + b"1" + b"}" * (n // 6))),
    Bomb("width-arrays", _BAD, lambda n: _extra(b"[" + b"[]," * (n // 3) + b"[]]")),
    Bomb("width-numbers", _BAD, lambda n: _extra(b"[" + b"1," * (n // 2) + b"1]")),
    Bomb("width-strings", _BAD, lambda n: _extra(b"[" + b'"",' * (n // 3) + b'""]')),
    Bomb("width-at-the-limit", _OK, lambda _: _extra(b"[" + b"[]," * 99_000 + b"[]]")),
    Bomb("many-strings", _OK, lambda n: _extra(b"[" + (b'"' + b"a" * 160 + b'",') * (n // 170) + b'""]')),
    Bomb("many-messages", _OK, lambda n: _HEAD[:-1] + (b',{"role":"user","content":"' + b"a" * 400 + b'"}') * (n // 520) + b"]}"),
    Bomb("many-images", _BAD, lambda _: _content_parts(b'{"type":"image_url","image_url":{"url":"http://a.example/x"}}', 8000)),
    Bomb("many-keys", _BAD, lambda n: _HEAD + _fields(n // 160) + b"}"),
    Bomb("one-key", EITHER, lambda n: _HEAD + b',"' + b"k" * n + b'":1}'),
    Bomb("one-key-of-escapes", EITHER, lambda n: _HEAD + b',"' + b"\\n" * (n // 2) + b'":1}'),
    Bomb("same-key-twice", _BAD, lambda n: _HEAD + b',"a":"' + b"a" * (n // 2) + b'","a":"' + b"b" * (n // 2) + b'"}'),
    Bomb("huge-integer", EITHER, lambda n: _extra(b"1" * n)),
    Bomb("huge-integer-field", _BAD, lambda n: _HEAD + b',"max_tokens":' + b"1" * n + b"}"),
    Bomb("huge-float", EITHER, lambda n: _extra(b"1." + b"1" * n)),
    Bomb("huge-exponent", EITHER, lambda n: _extra(b"1e" + b"1" * n)),
    Bomb("many-floats", _OK, lambda n: _extra(b"[" + (b"1." + b"1" * 160 + b",") * (n // 170) + b"1]")),
    Bomb("long-string", _OK, lambda n: _content(b"a" * n)),
    Bomb("long-text", _OK, lambda n: _content("é€😀".encode() * (n // 9))),
    Bomb("one-wide-character", _OK, lambda n: _content(b"a" * n + "😀".encode())),
    Bomb("escapes", _OK, lambda n: _content(b"\\n" * (n // 2))),
    Bomb("unicode-escapes", _OK, lambda n: _content(b"\\u00e9" * (n // 6))),
    Bomb("escaped-quotes", _OK, lambda n: _content(b'\\"' * (n // 2))),
    Bomb("brackets-in-a-string", _OK, lambda n: _content(b"[{," * (n // 3))),
    Bomb("brackets-and-quotes", _OK, lambda n: _content(b'[{,\\"' * (n // 5))),
    Bomb("image", _OK, lambda n: _content_parts(b'{"type":"image_url","image_url":{"url":"data:image/png;base64,%b"}}' % (b"A" * n), 1)),
    Bomb("role", _BAD, lambda n: _HEAD[:-1] + b',{"role":"' + b"a" * n + b'","content":"x"}]}'),
    Bomb("model", _BAD, lambda n: b'{"model":"' + b"a" * n + b'","messages":[{"role":"user","content":"hi"}]}'),
    Bomb("stream-options", _BAD, lambda n: _HEAD + b',"stream":true,"stream_options":{"a":"' + b"a" * n + b'"}}'),
    Bomb("blanks", _OK, lambda n: b"{" + b" " * n + _HEAD[1:] + b"}"),
    Bomb("blanks-only", _BAD, lambda n: b" " * n),
    Bomb("not-utf-8-at-the-end", _BAD, lambda n: _content(b"a" * n + b"\xff")),
    Bomb("cut", _BAD, lambda n: _content(b"a" * n)[:-3]),
    Bomb("quotes", _BAD, lambda n: _extra(b'"' * n)),
    Bomb("nul", _BAD, lambda n: b"\0" * n),
    Bomb("over-the-limit", frozenset({413}), lambda _: b"a" * (MOST + 1)),
    Bomb("gzip", frozenset({415}), lambda n: gzip.compress(_content(b"a" * n), 1), b"Content-Encoding: gzip\r\n"),
    Bomb("multipart", frozenset({415}), lambda n: b"--a\r\n" * (n // 5), b"Content-Type: multipart/form-data; boundary=a\r\n"),
    Bomb("chunks", _OK, lambda n: _chunks(_content(b"a" * n), 65536), chunked=True),
    Bomb("tiny-chunks", EITHER | {408}, lambda n: _chunks(_content(b"a" * (n // 16)), 2), chunked=True),
    Bomb("chunks-over-the-limit", frozenset({413}), lambda _: _chunks(b"a" * (MOST + 1), 65536), chunked=True),
)


def _content_parts(part: bytes, count: int) -> bytes:
    return b'{"model":"%b","messages":[{"role":"user","content":[%b]}]}' % (MODEL, b",".join([part] * count))


def run(place: Path, effort: Effort) -> Figures:
    size = MOST - 65536
    chosen = list(BOMBS)
    random.Random(effort.seed).shuffle(chosen)
    longest = {"answer_ms": ("", 0), "own_ms": ("", 0), "mib": ("", 0.0)}
    answers = 0
    with Simulator(place) as simulator, Gateway(place, configuration(simulator.url, (MODEL.decode(),), max_output=100)) as gateway:
        key = customer(gateway, "bomber", "1000000")
        relay = gateway.children()["relay-0"]
        # The process for large bodies is there from here on.
        assert _throw(gateway, key, Bomb("first", _OK, lambda n: _content(b"a" * (1 << 20))), 1 << 20) == 200
        resting, late = taken(relay).memory, figures(gateway)["halley_loop_late_total"]
        for bomb in _rounds(chosen, effort.rounds):
            wire = bomb.wire(size)
            with Height([relay]) as height, Probe(gateway.url) as probe:
                status = _send(gateway, key, bomb, wire)
            assert status in bomb.statuses, f"{bomb.name}: {status}, not one of {sorted(bomb.statuses)}"
            assert probe.lost == 0 and set(probe.statuses) <= {200}, f"{bomb.name}: {probe.statuses}, {probe.faults}"
            grown = max(height.most.values()) - resting
            assert grown <= GROWTH_MIB, f"{bomb.name}: the relay grew by {grown:.0f} MiB"
            assert probe.longest_ms <= LAG_MS * PATIENCE, f"{bomb.name}: another client waited for {probe.longest_ms} ms"
            say(f"{bomb.name}: {status}, another client waited {probe.longest_ms} ms, own measure {probe.lag_ms} ms, {grown:+.0f} MiB")
            for name, value in (("answer_ms", probe.longest_ms), ("own_ms", probe.lag_ms), ("mib", round(grown, 1))):
                if value > longest[name][1]:
                    longest[name] = (bomb.name, value)
            answers += 1
        assert gateway.children()["relay-0"] == relay, "the relay has died"
        lector = [round(taken(pid).memory) for pid in children(relay)]
        late = figures(gateway)["halley_loop_late_total"] - late
        found = audit(gateway, simulator)
        # What passes here may be refused by the upstream, which judges more of a body; then it costs nothing.
        assert {request.ending for request in found.requests} <= {"complete", "failed"}, found.endings
    return {
        "bombs": answers,
        "served": len(found.requests) - 1,
        "late_beats": late,
        "lector_mib": max(lector, default=0),
        **{f"worst_{name}": value for name, (_, value) in longest.items()},
        **{f"worst_{name}_by": bomb for name, (bomb, _) in longest.items()},
    }


def _rounds(bombs: list[Bomb], rounds: int) -> Iterator[Bomb]:
    for _ in range(rounds):
        yield from bombs


def _throw(gateway: Gateway, key: str, bomb: Bomb, size: int) -> int:
    return _send(gateway, key, bomb, bomb.wire(size))


def _send(gateway: Gateway, key: str, bomb: Bomb, wire: bytes) -> int:
    """The status of the answer, whether or not all of the body was wanted."""
    framing = b"Transfer-Encoding: chunked\r\n" if bomb.chunked else b"Content-Length: %d\r\n" % len(wire)
    kind = b"" if b"Content-Type" in bomb.fields else b"Content-Type: application/json\r\n"
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %b\r\n%b%b%b\r\n" % (
        CHAT.encode(),
        key.encode(),
        kind,
        bomb.fields,
        framing,
    )
    with Client(gateway.url, 120.0) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        try:
            client.send(head)
            client.send(wire)
        except ConnectionError:
            pass  # it was refused before its end
        reply = client.reply("POST")
        reply.body()
        return reply.status


CAMPAIGN = Campaign("bombs", "G24", "bodies that are made to be expensive, beside other clients", Effort(rounds=1), Effort(rounds=5), run)
