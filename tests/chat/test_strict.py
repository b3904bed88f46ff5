"""OpenAI's rule for strict schemas, and what is asked of it that does not keep it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from halley.chat.model import Ask, Format, Function, Loss, WebSearch
from halley.chat.strict import fits, loosened

CLOSED: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
OPEN: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def raw(schema: object) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(schema).encode())


@pytest.mark.parametrize(
    ("schema", "fit"),
    [
        (CLOSED, True),
        (OPEN, False),
        (CLOSED | {"required": []}, False),
        ({"type": ["object", "null"], "additionalProperties": False}, True),
        ({"type": ["object", "null"]}, False),
        ({"type": "array", "items": CLOSED}, True),
        ({"type": "array", "items": OPEN}, False),
        ({"anyOf": [CLOSED, {"type": "null"}]}, True),
        ({"anyOf": [CLOSED, OPEN]}, False),
        (CLOSED | {"$defs": {"b": OPEN}}, False),
        (CLOSED | {"properties": {"a": OPEN}}, False),
        (CLOSED | {"properties": {"a": {"enum": [{"type": "object"}]}}}, True),
        ({"$ref": "#/$defs/a"}, True),
        (True, True),
    ],
)
def test_every_object_is_closed_and_every_property_required(schema: object, fit: bool) -> None:
    assert fits(raw(schema)) is fit


def test_what_would_be_refused_is_not_strict_and_told() -> None:
    tools = (Function("f", schema=raw(OPEN), strict=True, at="tools[0]"), Function("g", schema=raw(CLOSED), strict=True), WebSearch())
    losses: list[Loss] = []
    ask = loosened(Ask(model="m", turns=(), tools=tools, format=Format("schema", raw(OPEN), strict=True)), losses)
    assert [tool.strict for tool in ask.tools if isinstance(tool, Function)] == [False, True]
    assert ask.format is not None and ask.format.strict is False
    assert [loss.path for loss in losses] == ["tools[0].strict", "format"]


def test_the_rest_stays_as_it_is() -> None:
    losses: list[Loss] = []
    ask = Ask(model="m", turns=(), tools=(Function("f", schema=raw(OPEN)),), format=Format("schema", raw(OPEN)))
    assert loosened(ask, losses) is ask and not losses
