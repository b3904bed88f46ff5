"""Tools of a chat request, the choice among them, and the legacy pair `functions` and `function_call`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from halley.chat.model import Cache, Choice, FreeTool, Function, Hosted, Tool, WebSearch
from halley.chat.reading import decode, given, unsaid
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
    approximate: dict[str, str] | None = None


class _Search(msgspec.Struct):
    search_context_size: Literal["low", "medium", "high"] | None = None
    user_location: _Place | None = None


class _Allowed(msgspec.Struct):
    mode: Literal["auto", "required"]
    tools: list[_Choice]


class _Choice(msgspec.Struct):
    type: str
    function: Called | None = None
    custom: Called | None = None
    allowed_tools: _Allowed | None = None


_tool = msgspec.json.Decoder(_Tool)
_function = msgspec.json.Decoder(_Function)
_search = msgspec.json.Decoder(_Search)
_choice = msgspec.json.Decoder(str | _Choice)


def read_tools(tools: Sequence[msgspec.Raw], functions: Sequence[msgspec.Raw], search: msgspec.Raw | None) -> list[Tool]:
    found = [_read_tool(raw, f"tools[{index}]") for index, raw in enumerate(tools)]
    for index, raw in enumerate(functions):
        at = f"functions[{index}]"
        found.append(_as_function(decode(_function, raw, at), None, at))
    if search is not None:
        wanted = decode(_search, search, "web_search_options")
        place = None if wanted.user_location is None else wanted.user_location.approximate
        found.append(WebSearch(wanted.search_context_size, location=place, at="web_search_options"))
    return found


def _read_tool(raw: msgspec.Raw, at: str) -> Tool:
    tool = decode(_tool, raw, at)
    if tool.type == "function" and tool.function is not None:
        return _as_function(tool.function, None if tool.cache_control is None else Cache(tool.cache_control.ttl), at)
    if tool.type == "custom" and tool.custom is not None:
        return FreeTool(tool.custom.name, tool.custom.description, given(tool.custom.format), at=at)
    return Hosted(NAME, f"a tool of type {tool.type[:64]}", raw.copy(), at)


def _as_function(function: _Function, cache: Cache | None, at: str) -> Function:
    return Function(function.name, function.description, given(function.parameters), function.strict, cache=cache, at=at)


def read_choice(raw: msgspec.Raw | None, legacy: str | Called | None, parallel: bool | None) -> Choice | None:
    if raw is None and legacy is not None:
        if isinstance(legacy, Called):
            return Choice("any", (legacy.name,), parallel, at="function_call")
        return Choice("none" if legacy == "none" else "auto", parallel=parallel, at="function_call")
    if raw is None:
        return None if parallel is None else Choice(parallel=parallel, at="parallel_tool_calls")
    at = "tool_choice"
    match decode(_choice, raw, at):
        case "auto" | "none" as mode:
            return Choice(mode, parallel=parallel, at=at)
        case "required":
            return Choice("any", parallel=parallel, at=at)
        case str():
            raise unsaid(at, "it is none, auto, required, or an object that names a tool")
        case _Choice(allowed_tools=_Allowed() as allowed):
            names = tuple(name for each in allowed.tools if (name := _name(each)))
            return Choice("any" if allowed.mode == "required" else "auto", names, parallel, at=at)
        case chosen:
            name = _name(chosen)
            if name is None:
                raise unsaid(at, "it names no function and no custom tool")
            return Choice("any", (name,), parallel, at=at)


def _name(chosen: _Choice) -> str | None:
    called = chosen.function or chosen.custom
    return None if called is None else called.name
