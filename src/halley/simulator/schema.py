"""One instance of a JSON schema, the same for the same schema: what the simulator answers where a client asks for structured output.

Beside it, the instance that a text itself holds.
"""

from __future__ import annotations

import json
import re
from typing import cast

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

_DEPTH = 12
_QUOTED = re.compile(r"'([^']+)'")
_FORMATS = {
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "email": "ada@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
    "hostname": "example.com",
}


def first_lax(schema: Json, path: tuple[str | int, ...] = ()) -> tuple[str | int, ...] | None:
    """The first object of a schema that OpenAI's `strict` refuses: it must list every property as required and allow no other."""
    if isinstance(schema, list):
        return next((found for index, part in enumerate(schema) if (found := first_lax(part, (*path, index))) is not None), None)
    if not isinstance(schema, dict):
        return None
    named = schema.get("properties")
    if schema.get("type") == "object" or isinstance(named, dict):
        required = schema.get("required")
        listed = {each for each in required if isinstance(each, str)} if isinstance(required, list) else set[str]()
        if schema.get("additionalProperties") is not False or listed != set(named if isinstance(named, dict) else ()):
            return path
    inner: list[tuple[tuple[str | int, ...], Json]] = [((word,), schema.get(word)) for word in ("items", "anyOf")]
    for word in ("properties", "$defs"):
        held = schema.get(word)
        inner += [((word, name), part) for name, part in held.items()] if isinstance(held, dict) else []
    return next((found for step, part in inner if (found := first_lax(part, (*path, *step))) is not None), None)


def instance(schema: Json, *, root: Json = None, depth: int = 0) -> Json:
    """A value that the schema accepts, for the parts of JSON Schema that the chat APIs document (no `pattern`)."""
    root = schema if root is None else root
    if not isinstance(schema, dict) or depth > _DEPTH:
        return None
    if "const" in schema:
        return schema["const"]
    if isinstance(choices := schema.get("enum"), list) and choices:
        return choices[0]
    if isinstance(reference := schema.get("$ref"), str):
        return instance(_resolve(reference, root), root=root, depth=depth + 1)
    for word in ("anyOf", "oneOf"):
        if isinstance(options := schema.get(word), list) and options:
            # A recursive schema ends at its last option, by custom the null or the leaf.
            return instance(options[-1 if depth > _DEPTH // 2 else 0], root=root, depth=depth + 1)
    if isinstance(every := schema.get("allOf"), list) and every:
        parts = [part for part in every if isinstance(part, dict)]
        merged: dict[str, Json] = {key: value for key, value in schema.items() if key != "allOf"}
        for part in parts:
            merged |= part
        return instance(merged, root=root, depth=depth + 1)
    return _of_kind(_kind(schema), schema, root, depth)


def last_object(text: str) -> Json:
    """The last JSON object that stands in the text, and an empty one where none does. One inside another is a part of it."""
    found: dict[str, Json] = {}
    decoder = json.JSONDecoder()
    at = text.find("{")
    while at >= 0:
        try:
            found, at = decoder.raw_decode(text, at)
        except ValueError:
            at += 1
        at = text.find("{", at)
    return found


def as_called(text: str, name: str, fitting: Json) -> Json:
    """An object with what the text gives a call: the values of one that is written out, `NAME(3, "x")`, or what stands in quotes, in their
    order. `fitting` has the names, and what was not said."""
    if not isinstance(fitting, dict):
        return fitting
    _, found, rest = text.rpartition(f"{name}(")
    try:
        said: Json = json.loads(f"[{rest.partition(')')[0]}]") if found else list(_QUOTED.findall(text))
    except ValueError:
        return fitting
    return fitting | dict(zip(fitting, cast("list[Json]", said), strict=False))


def _kind(schema: dict[str, Json]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if isinstance(kind, str):
        # Gemini writes its kinds in capitals.
        return kind.lower()
    return "object" if "properties" in schema else "string"


def _of_kind(kind: str, schema: dict[str, Json], root: Json, depth: int) -> Json:
    match kind:
        case "object":
            properties = schema.get("properties")
            named = properties if isinstance(properties, dict) else {}
            required = schema.get("required")
            wanted = required if isinstance(required, list) and depth > _DEPTH // 2 else list(named)
            return {name: instance(named.get(name), root=root, depth=depth + 1) for name in wanted if isinstance(name, str)}
        case "array":
            least = schema.get("minItems")
            count = least if isinstance(least, int) else (0 if depth > _DEPTH // 2 else 1)
            return [instance(schema.get("items"), root=root, depth=depth + 1) for _ in range(count)]
        case "integer":
            return int(_number(schema))
        case "number":
            return _number(schema)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return _text(schema)


def _number(schema: dict[str, Json]) -> float | int:
    def limit(word: str) -> float | int | None:
        value = schema.get(word)
        return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    step = limit("multipleOf") or 1
    lowest = limit("minimum")
    above = limit("exclusiveMinimum")
    if lowest is None and above is not None:
        lowest = above + step
    highest = limit("maximum")
    below = limit("exclusiveMaximum")
    if highest is None and below is not None:
        highest = below - step
    value = 1 if step == 1 else step
    if lowest is not None and value < lowest:
        value = -(-lowest // step) * step
    if highest is not None and value > highest:
        value = highest // step * step
        # A range narrower than one step: its lower end is still inside it.
        value = lowest if lowest is not None and value < lowest else value
    return value


def _text(schema: dict[str, Json]) -> str:
    text = _FORMATS.get(str(schema.get("format")), "sample")
    least, most = schema.get("minLength"), schema.get("maxLength")
    if isinstance(least, int):
        text = text.ljust(least, "x")
    return text[:most] if isinstance(most, int) else text


def _resolve(reference: str, root: Json) -> Json:
    found = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if step and isinstance(found, dict):
            found = cast(Json, found.get(step.replace("~1", "/").replace("~0", "~")))
    return found
