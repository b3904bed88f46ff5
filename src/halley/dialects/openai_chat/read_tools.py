"""Tools of a chat request, the choice among them, and the legacy pair `functions` and `function_call`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from halley.chat.model import Cache, Choice, Extra, FreeTool, Function, Hosted, Location, Tool, WebSearch
from halley.chat.reading import decode, given, invalid, strays
from halley.dialects.openai_chat.media import NAME


class Called(msgspec.Struct):
    name: str


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None


class _Custom(msgspec.Struct):
    name: str
    description: str | None = None
    format: msgspec.Raw = msgspec.Raw()


class _Cache(msgspec.Struct):
    ttl: Literal["5m", "1h"] | None = None


class _Tool(msgspec.Struct):
    type: str
    function: _Function | None = None
    custom: _Custom | None = None
    cache_control: _Cache | None = None


class _Place(msgspec.Struct):
    approximate: Location | None = None


class Search(msgspec.Struct):
    search_context_size: Literal["low", "medium", "high"] | None = None
    user_location: _Place | None = None


class _Allowed(msgspec.Struct):
    mode: Literal["auto", "required"]
    tools: list[Chosen]


class Chosen(msgspec.Struct):
    type: str
    function: Called | None = None
    custom: Called | None = None
    allowed_tools: _Allowed | None = None


_tool = msgspec.json.Decoder(_Tool)
_function = msgspec.json.Decoder(_Function)


def read_tools(tools: Sequence[msgspec.Raw], functions: Sequence[msgspec.Raw], search: Search | None, extras: list[Extra]) -> list[Tool]:
    """Raises Refused. What of a tool has no place in the vocabulary goes to `extras`."""
    found = [_read_tool(raw, f"tools[{index}]", extras) for index, raw in enumerate(tools)]
    for index, raw in enumerate(functions):
        at = f"functions[{index}]"
        found.append(_as_function(decode(_function, raw, at), None, at))
        extras += strays(NAME, raw, _Function, at)
    if search is not None:
        place = None if search.user_location is None else search.user_location.approximate
        found.append(WebSearch(search.search_context_size, location=place, at="web_search_options"))
    return found


def _read_tool(raw: msgspec.Raw, at: str, extras: list[Extra]) -> Tool:
    tool = decode(_tool, raw, at)
    cache = None if tool.cache_control is None else Cache(tool.cache_control.ttl)
    made: Tool
    if tool.type == "function" and tool.function is not None:
        made = _as_function(tool.function, cache, at)
    elif tool.type == "custom" and tool.custom is not None:
        made = FreeTool(tool.custom.name, tool.custom.description, given(tool.custom.format), at=at)
    else:
        return Hosted(NAME, f"a tool of type {tool.type[:64]}", raw.copy(), at)
    extras += strays(NAME, raw, _Tool, at)
    return made


def _as_function(function: _Function, cache: Cache | None, at: str) -> Function:
    return Function(function.name, function.description, given(function.parameters), function.strict, cache=cache, at=at)


def read_choice(chosen: str | Chosen | None, legacy: str | Called | None, parallel: bool | None) -> Choice | None:
    """Raises Refused."""
    if chosen is None and legacy is not None:
        if isinstance(legacy, Called):
            return Choice("any", (legacy.name,), parallel, at="function_call")
        return Choice("none" if legacy == "none" else "auto", parallel=parallel, at="function_call")
    at = "tool_choice"
    match chosen:
        case None:
            return None if parallel is None else Choice(parallel=parallel, at="parallel_tool_calls")
        case "auto" | "none":
            return Choice(chosen, parallel=parallel, at=at)
        case "required":
            return Choice("any", parallel=parallel, at=at)
        case str():
            raise invalid(at, "it is none, auto, required, or an object that names a tool")
        case Chosen(allowed_tools=_Allowed() as allowed):
            names = tuple(name for each in allowed.tools if (name := _name(each)))
            return Choice("any" if allowed.mode == "required" else "auto", names, parallel, at=at)
        case _:
            name = _name(chosen)
            if name is None:
                raise invalid(at, "it names no function and no custom tool")
            return Choice("any", (name,), parallel, at=at)


def _name(chosen: Chosen) -> str | None:
    called = chosen.function or chosen.custom
    return None if called is None else called.name
