"""Google's Schema, a subset of OpenAPI 3.0 with types in capitals, as JSON Schema with types in small letters.

What JSON Schema has in other words is said in them (`nullable`); a key that it does not have (`propertyOrdering`) stays as it is, which
every reader of JSON Schema passes over. Names of properties are the caller's and are never touched. There is no other direction: Google
takes JSON Schema as it is (`parametersJsonSchema`, `responseJsonSchema`).
"""

from __future__ import annotations

from typing import cast

import msgspec

from halley.chat.reading import invalid
from halley.dialects.gemini.node import camel
from halley.wire.jsonbody import BROKEN

_COUNTS = {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
_ONE = {"items", "additionalProperties", "not"}
_MANY = {"anyOf", "oneOf", "allOf", "prefixItems"}
_NAMED = {"properties", "$defs", "defs", "definitions"}


def json_schema(raw: msgspec.Raw, at: str) -> msgspec.Raw:
    """Raises Refused for what is no object."""
    try:
        found: object = msgspec.json.decode(raw)
    except BROKEN:
        found = None
    if not isinstance(found, dict):
        raise invalid(at, "must be a schema object")
    return msgspec.Raw(msgspec.json.encode(_schema(cast("dict[str, object]", found))))


def _schema(found: dict[str, object]) -> dict[str, object]:
    made: dict[str, object] = {}
    nullable = False
    for name, value in found.items():
        key = name if name.startswith("$") else camel(name)
        if key == "nullable":
            nullable = value is True
        elif key == "type":
            if (small := _type(value)) is not None:
                made[key] = small
        elif key in _COUNTS and isinstance(value, str) and value.isdecimal():  # 64-bit integers are strings in this JSON
            made[key] = int(value)
        elif key in _ONE and isinstance(value, dict):
            made[key] = _schema(cast("dict[str, object]", value))
        elif key in _MANY and isinstance(value, list):
            made[key] = [_sub(each) for each in cast("list[object]", value)]
        elif key in _NAMED and isinstance(value, dict):
            made[key] = {own: _sub(each) for own, each in cast("dict[str, object]", value).items()}
        else:
            made[key] = value
    return _or_null(made) if nullable else made


def _sub(value: object) -> object:
    return _schema(cast("dict[str, object]", value)) if isinstance(value, dict) else value


def _type(value: object) -> object:
    if isinstance(value, str):
        return None if value == "TYPE_UNSPECIFIED" else value.lower()
    if isinstance(value, list):
        return [each.lower() if isinstance(each, str) else each for each in cast("list[object]", value)]
    return value


def _or_null(made: dict[str, object]) -> dict[str, object]:
    kind, choices, alternatives = made.get("type"), made.get("enum"), made.get("anyOf")
    if isinstance(kind, str) and kind != "null":
        made["type"] = [kind, "null"]
    if isinstance(choices, list) and None not in choices:
        made["enum"] = [*cast("list[object]", choices), None]
    if isinstance(alternatives, list):
        made["anyOf"] = [*cast("list[object]", alternatives), {"type": "null"}]
    return made
