"""JSON Schemas that Anthropic holds a model to: those of answers, and of tools that are strict.

It compiles such a schema to a grammar, and refuses what no grammar says: objects must be closed, and bounds of numbers, texts and lists are
no words of it (the page about structured outputs, read 2026-11: "property 'minimum' is not supported"). They are said to the model in the
description beside them instead, as Anthropic's own SDKs do (`transform_schema`), and that nothing holds the model to them is a loss. Any
other tool is offered with its schema as it came.
"""

from __future__ import annotations

from typing import Final, cast

import msgspec

from halley.chat.model import Format, Loss

# Members of a schema that hold schemas by names of the caller's, and those that hold values.
_SCHEMAS_BY_NAME: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_VALUES: Final = frozenset({"enum", "const", "default", "examples", "example", "required", "propertyOrdering"})
_BOUNDS: Final = frozenset({
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems", "uniqueItems",
    "contains", "minContains", "maxContains", "minProperties", "maxProperties",
})  # fmt: skip
_FORMATS: Final = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_LEAST_ITEMS: Final = (0, 1)
_OPEN: Final = "objects in a schema must be closed; additionalProperties is false"
_decode: Final = msgspec.json.Decoder().decode

Schema = dict[str, object]


def held(wanted: Format, schema: msgspec.Raw, losses: list[Loss]) -> object:
    """The schema of an answer, as it came if it can be. Its name is a label and no instruction; its description is one."""
    if wanted.description is not None:
        losses.append(Loss("format", "the schema's description has no place"))
    return _held("format", schema, losses)


def held_tool(at: str, schema: msgspec.Raw, losses: list[Loss]) -> object:
    """The schema of a strict tool's input."""
    return _held(at, schema, losses)


def _held(at: str, schema: msgspec.Raw, losses: list[Loss]) -> object:
    said = _Said()
    found: object = _decode(schema)
    made = said.schema(found)
    if said.opened:
        losses.append(Loss(at, _OPEN))
    if said.told:
        losses.append(Loss(at, f"the model is told {', '.join(sorted(said.told))} in words, and not held to it"))
    return schema if made == found else made


class _Said:
    """One schema on its way. `told` are the words that moved into descriptions, `opened`: some object was open."""

    def __init__(self) -> None:
        self.told: set[str] = set()
        self.opened = False

    def schema(self, found: object) -> object:
        if isinstance(found, list):
            return [self.schema(each) for each in cast("list[object]", found)]
        if not isinstance(found, dict):
            return found
        said: Schema = {}
        bounds: Schema = {}
        for key, value in cast("Schema", found).items():
            if _is_bound(key, value):
                bounds[key] = value
            elif key in _SCHEMAS_BY_NAME and isinstance(value, dict):
                said[key] = {name: self.schema(each) for name, each in cast("Schema", value).items()}
            elif key == "oneOf" and "anyOf" not in found:
                said["anyOf"] = self.schema(value)
            else:
                said[key] = value if key in _VALUES else self.schema(value)
        if bounds:
            self.told |= bounds.keys()
            said["description"] = _described(said.get("description"), bounds)
        if (_is_object(said) or "properties" in said) and said.get("additionalProperties") is not False:
            self.opened = True
            said["additionalProperties"] = False
        return said


def _is_bound(key: str, value: object) -> bool:
    match key:
        case "format":
            return not isinstance(value, str) or value not in _FORMATS
        case "minItems":
            return value not in _LEAST_ITEMS
        case _:
            return key in _BOUNDS


def _is_object(schema: Schema) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def _described(description: object, bounds: Schema) -> str:
    words = ", ".join(f"{key}: {msgspec.json.encode(value).decode()}" for key, value in bounds.items())
    return f"{description}\n\n{{{words}}}" if isinstance(description, str) and description else f"{{{words}}}"
