"""What the soak hour asks: each kind of request with its share, its model, how its client behaves, and which answers are right for it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

Manner = Literal["reads", "leaves", "stalls", "half"]
"""Reads to the end; leaves at a random moment; stops reading and later leaves; leaves before its request is whole."""

_GOOD = frozenset({200})
# A fault of the upstream passes as it is, becomes 502 or 504, or is not met at all while the offer rests (503).
_FAULTY = frozenset({200, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Kind:
    """`share` is a weight. `cut`: an answer that breaks off is right too. `body` stands for a chat with `model` where it is given."""

    name: str
    share: float
    model: str = ""
    stream: bool = False
    manner: Manner = "reads"
    statuses: frozenset[int] = _GOOD
    cut: bool = False
    method: str = "POST"
    path: str = "/v1/chat/completions"
    body: bytes | None = None
    key: str | None = None


def _faults(name: str, share: float, model: str, *, stream: bool = False) -> Iterator[Kind]:
    """Under four names: an offer that failed five times rests for half a minute, and one name alone would rest all the time."""
    for variant in "abcd":
        yield Kind(f"{name}-{variant}", share / 4, f"{model}+id-{variant}", stream, statuses=_FAULTY, cut=True)


LONG = "sim/tokens-8000"
"""More than all buffers on its way hold: whoever stops reading stops the upstream. The charge is for what was delivered."""

MIX: tuple[Kind, ...] = (
    Kind("json", 40, "sim/tokens-40"),
    Kind("json-echo", 5, "sim/echo"),
    Kind("json-no-usage", 2, "sim/tokens-30+no-usage"),
    Kind("json-eof", 1, "sim/tokens-30+eof-body"),
    Kind("burst", 16, "sim/tokens-60", True),
    Kind("stream", 12, "sim/tokens-30+slow-20ms", True),
    Kind("stream-reasoner", 2, "sim/reasoner", True),
    Kind("stream-no-usage", 2, "sim/tokens-40+slow-5ms+no-usage", True),
    Kind("stream-crlf", 1, "sim/tokens-40+crlf", True),
    Kind("stream-in-pieces", 1, "sim/tokens-40+write-7", True),
    Kind("stream-usage-each-chunk", 1, "sim/tokens-40+usage-each-chunk", True),
    Kind("slow-head", 2, "sim/tokens-10+head-delay-1500ms"),
    Kind("leaves", 4, "sim/tokens-100+slow-20ms", True, "leaves"),
    Kind("leaves-json", 1, "sim/tokens-20+head-delay-500ms", False, "leaves"),
    Kind("leaves-half", 1, "sim/tokens-40", False, "half"),
    # A kept connection that is closed unasked can be closed in the moment of its reuse: nobody knows then whether the call counts.
    Kind("json-early-close", 1, "sim/tokens-30+early-close", statuses=frozenset({200, 502})),
    Kind("leaves-billed", 1, "sim/tokens-40+slow-20ms+bills-to-end", True, "leaves", statuses=frozenset({200, 502})),
    Kind("stalls", 0.3, LONG, True, "stalls", cut=True),
    *_faults("status-429", 1, "sim/status-429+retry-after-1"),
    *_faults("status-500", 1, "sim/status-500"),
    *_faults("status-503", 1, "sim/status-503"),
    *_faults("html-502", 0.5, "sim/html-502"),
    *_faults("bad-json", 0.5, "sim/tokens-20+bad-json"),
    *_faults("cut-head", 0.5, "sim/tokens-20+reset-after-head"),
    *_faults("cut-json", 0.5, "sim/tokens-40+cut-at-200"),
    *_faults("cut-stream", 1, "sim/tokens-60+slow-5ms+cut-at-3000", stream=True),
    *_faults("error-frame", 0.5, "sim/tokens-40+error-frame-after-10", stream=True),
    Kind("bad-key", 0.7, "sim/echo", statuses=frozenset({401}), key="sk-hy-nobody"),
    Kind("bad-body", 0.5, statuses=frozenset({400}), body=b'{"model": "sim/echo", "messages": [}'),
    Kind("bad-field", 0.5, statuses=frozenset({400}), body=b'{"model": "sim/echo", "messages": 7}'),
    Kind("bad-model", 0.5, "sim/of-another-planet", statuses=frozenset({404})),
    Kind("bad-path", 0.3, "sim/echo", statuses=frozenset({404}), path="/v1/chat/complete"),
    Kind("bad-method", 0.3, statuses=frozenset({405}), method="GET", body=b""),
    Kind("models", 0.7, method="GET", path="/v1/models", body=b""),
)
# At a provider of their own, which cannot cancel and whose connections cannot be relied on.
BILLED_TO_END = ("sim/tokens-30+early-close", "sim/tokens-40+slow-20ms+bills-to-end")
SERVED = tuple(dict.fromkeys(kind.model for kind in MIX if kind.model and kind.name != "bad-model" and kind.model not in BILLED_TO_END))


@dataclass(slots=True)
class Dealer:
    """Deals kinds by their shares, and writes their requests. The same seed deals the same hand."""

    dice: random.Random
    keys: tuple[str, ...]
    _weights: tuple[float, ...] = field(default=tuple(kind.share for kind in MIX), init=False)

    def deal(self) -> Kind:
        return self.dice.choices(MIX, self._weights)[0]

    def write(self, kind: Kind) -> bytes:
        body = kind.body if kind.body is not None else _chat(kind)
        fields: Mapping[str, str] = {
            "Host": "halley.test",
            "Authorization": f"Bearer {kind.key or self.dice.choice(self.keys)}",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        data = f"{kind.method} {kind.path} HTTP/1.1\r\n{head}\r\n".encode() + body
        return data[: self.dice.randrange(1, len(data))] if kind.manner == "half" else data


def _chat(kind: Kind) -> bytes:
    asked: dict[str, object] = {"model": kind.model, "messages": [{"role": "user", "content": f"Tell me a story, please: {kind.name}."}]}
    return json.dumps(asked | ({"stream": True} if kind.stream else {})).encode()
