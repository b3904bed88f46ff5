"""`tools` and `toolConfig` of a request."""

from __future__ import annotations

from typing import Literal

import msgspec

from halley.chat.model import Choice, Extra, Function, Hosted, Tool, WebSearch
from halley.chat.reading import invalid
from halley.dialects.gemini.node import Node
from halley.dialects.gemini.schema import json_schema
from halley.dialects.gemini.seals import NAME

# VALIDATED lets the model choose as AUTO does, and holds it to the schemas; the word itself is kept beside the choice.
_MODES: dict[str, Literal["auto", "any", "none"] | None] = {
    "MODE_UNSPECIFIED": None,
    "AUTO": "auto",
    "VALIDATED": "auto",
    "ANY": "any",
    "NONE": "none",
}
_SEARCHES = ("googleSearch", "googleSearchRetrieval")


def read_tools(found: list[Node], extras: list[Extra]) -> tuple[Tool, ...]:
    """One object may hold several tools."""
    tools: list[Tool] = []
    for each in found:
        tools += [_function(declared, extras) for declared in each.nodes("functionDeclarations")]
        for search in _SEARCHES:
            if search in each:
                tools.append(_search(each, search, extras))
        for name, path, value in each.rest():
            # As it came, whichever the spelling: `{"codeExecution": {…}}`.
            tools.append(Hosted(NAME, name, msgspec.Raw(msgspec.json.encode({name: value})), path))
    return tuple(tools)


def _search(each: Node, name: str, extras: list[Extra]) -> WebSearch:
    path = each.path(name)
    node = each.node(name)
    if node is None:
        return WebSearch(at=path)
    blocked = node.texts("excludeDomains")
    extras += [Extra(NAME, inner, value) for _, inner, value in node.rest()]
    return WebSearch(blocked=blocked, at=path)


def _function(node: Node, extras: list[Extra]) -> Function:
    name, description = node.text("name"), node.text("description")
    if not name:
        raise invalid(node.path("name"), "is missing")
    schema = node.take("parametersJsonSchema")
    if schema is None:
        path = node.path("parameters")
        given = node.take("parameters")
        schema = None if given is None else json_schema(given, path)
    extras += [Extra(NAME, path, value) for _, path, value in node.rest()]
    return Function(name, description, schema, at=node.at)


def read_choice(config: Node, extras: list[Extra]) -> Choice | None:
    calling = config.node("functionCallingConfig")
    choice = None
    if calling is not None:
        path = calling.path("mode")
        word = calling.text("mode") or "MODE_UNSPECIFIED"
        if word.upper() not in _MODES:
            raise invalid(path, "must be AUTO, ANY, NONE or VALIDATED")
        choice = Choice(_MODES[word.upper()], calling.texts("allowedFunctionNames"), at=calling.at)
        if word.upper() == "VALIDATED":
            extras.append(Extra(NAME, path, msgspec.Raw(b'"VALIDATED"')))
        extras += [Extra(NAME, inner, value) for _, inner, value in calling.rest()]
    extras += [Extra(NAME, path, value) for _, path, value in config.rest()]
    return choice
