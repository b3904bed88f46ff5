"""A reply of any shape is judged: in each event and document each value is replaced by one of each kind, and nothing raises."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from halley.contract.checks import Wrong
from halley.contract.diagnosis import Setting, failure, names
from halley.contract.evidence import Evidence
from halley.contract.profiles import CONTRACTS
from halley.contract.shapes import fingerprint
from tests.contract.gateways import HEALTHY

KINDS: tuple[Any, ...] = (None, True, -1, 1.5, "", "x", [], [[]], {}, {"a": {}})


def replaced(value: Any) -> Iterator[Any]:
    """The value with one of the values in it, or itself, replaced by one of each kind, or left out."""
    yield from KINDS
    for place in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        rest = copy.copy(value)
        del rest[place]
        yield rest
        for other in replaced(value[place]):
            changed = copy.copy(value)
            changed[place] = other
            yield changed


def bodies(raw: bytes) -> Iterator[bytes]:
    body = raw.partition(b"\r\n\r\n")[2]
    if not body.startswith((b"data:", b"event:")):
        yield from (json.dumps(each).encode() for each in replaced(json.loads(body)))
        return
    frames = body.split(b"\n\n")
    for at, frame in enumerate(frames):
        head, found, text = frame.partition(b"data: ")
        if found and text.startswith(b"{"):
            for each in replaced(json.loads(text)):
                yield b"\n\n".join([*frames[:at], head + found + json.dumps(each).encode(), *frames[at + 1 :]])


def judged(name: str, body: bytes) -> Wrong | None:
    contract = CONTRACTS[name]
    kind = "text/event-stream" if contract.stream else "application/json"
    evidence = Evidence("x", "http://x.test/v1", "", status=200, fields={"content-type": kind}, body=body)
    fingerprint(contract, evidence)
    names(evidence)
    return failure(contract, contract.happy, evidence, Setting("m", None, "first"))


@pytest.mark.parametrize("name", [name for name in CONTRACTS if name in HEALTHY and name != "speech"])
def test_no_shape_of_a_reply_stops_the_tester(name: str) -> None:
    found = [judged(name, body) for body in bodies(HEALTHY[name])]
    assert len(found) > 20 and any(found)


@pytest.mark.parametrize("status", [400, 404, 429, 500])
def test_no_shape_of_a_refusal_stops_the_tester(status: int) -> None:
    contract = CONTRACTS["chat"]
    for body in bodies(HEALTHY["refusal"]):
        evidence = Evidence("x", "http://x.test", "", status=status, fields={}, body=body)
        for case in (contract.happy, *contract.errors):
            failure(contract, case, evidence, Setting("m", frozenset("m"), fields=frozenset({"model"})))
