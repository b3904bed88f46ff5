"""Google's Schema as JSON Schema."""

from __future__ import annotations

import json

import msgspec
import pytest

from halley.dialects.gemini.schema import json_schema
from halley.errors import Refused


def converted(schema: object) -> object:
    return json.loads(bytes(json_schema(msgspec.Raw(json.dumps(schema).encode()), "tools[0]")))


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "OBJECT"}, {"type": "object"}),
        ({"type": "TYPE_UNSPECIFIED", "description": "x"}, {"description": "x"}),
        ({"type": "STRING", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": "STRING", "nullable": False}, {"type": "string"}),
        ({"type": "STRING", "enum": ["a"], "nullable": True}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"any_of": [{"type": "NUMBER"}], "nullable": True}, {"anyOf": [{"type": "number"}, {"type": "null"}]}),
        ({"type": "ARRAY", "items": {"type": "INTEGER"}, "min_items": "2"}, {"type": "array", "items": {"type": "integer"}, "minItems": 2}),
        ({"type": ["STRING", "null"]}, {"type": ["string", "null"]}),
        (
            {"properties": {"any_of": {"type": "BOOLEAN"}, "type": {"type": "STRING"}}, "property_ordering": ["type", "any_of"]},
            {"properties": {"any_of": {"type": "boolean"}, "type": {"type": "string"}}, "propertyOrdering": ["type", "any_of"]},
        ),
        (
            {"$defs": {"A": {"type": "STRING"}}, "additionalProperties": False},
            {"$defs": {"A": {"type": "string"}}, "additionalProperties": False},
        ),
    ],
)
def test_it_says_the_same(schema: object, expected: object) -> None:
    assert converted(schema) == expected


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(Refused, match="schema object"):
        converted([])
