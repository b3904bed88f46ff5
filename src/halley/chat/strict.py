"""OpenAI's rule for schemas that it holds a model to (`strict`): every object is closed, and every property of it is required ("required is
required to be supplied and to be an array including every key in properties").

Other dialects hold a model to schemas with optional properties, so that their callers need not know it.
"""

from __future__ import annotations

from typing import cast

import msgspec
from msgspec.structs import replace

from halley.chat.model import Ask, Function, Loss, Tool

_decode = msgspec.json.Decoder().decode
_WHY = "it is not held to its schema here: that would have to close every object and require every property"
_BY_NAME = ("properties", "$defs", "definitions")
_NESTED = ("items", "prefixItems", "anyOf", "oneOf", "allOf")


def loosened(ask: Ask, losses: list[Loss]) -> Ask:
    """The ask without `strict` where its schema would be refused for it."""
    tools = tuple(_tool(tool, losses) for tool in ask.tools)
    shape = ask.format
    if shape is not None and shape.strict and shape.schema is not None and not fits(shape.schema):
        losses.append(Loss("format", _WHY))
        shape = replace(shape, strict=False)
    return replace(ask, tools=tools, format=shape) if tools != ask.tools or shape is not ask.format else ask


def _tool(tool: Tool, losses: list[Loss]) -> Tool:
    if not isinstance(tool, Function) or not tool.strict or tool.schema is None or fits(tool.schema):
        return tool
    losses.append(Loss(f"{tool.at}.strict", _WHY))
    return replace(tool, strict=False)


def fits(schema: msgspec.Raw) -> bool:
    """Whether a model can be held to it."""
    return _fits(_decode(schema))


def _fits(found: object) -> bool:
    if isinstance(found, list):
        return all(map(_fits, cast("list[object]", found)))
    if not isinstance(found, dict):
        return True
    schema = cast("dict[str, object]", found)
    properties = schema.get("properties")
    kind = schema.get("type")
    if isinstance(properties, dict) or kind == "object" or (isinstance(kind, list) and "object" in kind):
        required = schema.get("required")
        named = {each for each in cast("list[object]", required) if isinstance(each, str)} if isinstance(required, list) else set[str]()
        held = cast("dict[str, object]", properties) if isinstance(properties, dict) else {}
        if schema.get("additionalProperties") is not False or not held.keys() <= named:
            return False
    inner = [each for name in _BY_NAME if isinstance(group := schema.get(name), dict) for each in cast("dict[str, object]", group).values()]
    return all(map(_fits, inner)) and all(_fits(schema[name]) for name in _NESTED if name in schema)
