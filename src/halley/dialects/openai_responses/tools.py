"""Tools and the choice among them, both ways. A function is flat here; a `namespace` holds tools of its own; every kind that this dialect
alone knows stays raw.

OpenAI reads a function without `strict` as strict, so it is always written. Facts: OpenAI's published schema (Tool, ToolChoiceParam), and
Codex 0.169 for `namespace` and the further fields of `web_search`, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from halley.chat.model import Choice, Extra, FreeTool, Function, Hosted, Location, Loss, Tool, WebSearch
from halley.chat.naming import flat, named
from halley.chat.reading import decode, given, invalid, strays, unsaid
from halley.dialects.openai_responses.fields import DIALECT

_NO_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')
_SEARCHES = "web_search"
_CALLED = ("function", "custom")  # by the caller


class _Kind(msgspec.Struct):
    type: str


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None
    format: msgspec.Raw = msgspec.Raw()


class _Namespace(msgspec.Struct):
    name: str
    tools: list[msgspec.Raw]
    description: msgspec.Raw = msgspec.Raw()


class _Filters(msgspec.Struct):
    allowed_domains: list[str] | None = None
    blocked_domains: list[str] | None = None


class _WebSearch(msgspec.Struct):
    search_context_size: Literal["low", "medium", "high"] | None = None
    user_location: Location | None = None
    filters: _Filters | None = None


class _Chosen(msgspec.Struct):
    type: str = ""
    name: str | None = None
    namespace: str | None = None


class _Choice(msgspec.Struct):
    type: str
    name: str | None = None
    namespace: str | None = None
    mode: Literal["auto", "required"] = "auto"
    tools: list[_Chosen] = []


_kind = msgspec.json.Decoder(_Kind)
_function = msgspec.json.Decoder(_Function)
_namespace = msgspec.json.Decoder(_Namespace)
_search = msgspec.json.Decoder(_WebSearch)
_choice = msgspec.json.Decoder(str | _Choice)
_MODES: dict[str, Literal["auto", "any", "none"]] = {"auto": "auto", "none": "none", "required": "any"}
_WORDS = {word: mode for mode, word in _MODES.items()}


# ---- read -------------------------------------------------------------------------------------------------------------------------------


def read_tools(raws: Sequence[msgspec.Raw], at: str, extras: list[Extra], namespace: str | None = None) -> list[Tool]:
    """Raises Refused. What of a tool has no place in the vocabulary goes to `extras`."""
    tools: list[Tool] = []
    for number, raw in enumerate(raws):
        here = f"{at}[{number}]"
        kind = decode(_kind, raw, here).type
        if kind == "namespace" and namespace is None:
            found = decode(_namespace, raw, here)
            if (description := given(found.description)) is not None:
                extras.append(Extra(DIALECT, f"{here}.description", description))
            extras += strays(DIALECT, raw, _Namespace, here)
            tools += read_tools(found.tools, f"{here}.tools", extras, found.name)
        elif kind == "function" or kind == "custom":
            tools.append(_read_function(raw, here, kind, namespace))
            extras += strays(DIALECT, raw, _Function, here)
        elif kind.startswith(_SEARCHES):
            tools.append(_read_search(raw, here))
            extras += strays(DIALECT, raw, _WebSearch, here)
        else:
            tools.append(Hosted(DIALECT, kind[:64], raw, here))
    return tools


def _read_function(raw: msgspec.Raw, at: str, kind: str, namespace: str | None) -> Function | FreeTool:
    found = decode(_function, raw, at)
    if kind == "custom":
        return FreeTool(found.name, found.description, given(found.format), namespace, at)
    return Function(found.name, found.description, given(found.parameters), found.strict, namespace, at=at)


def _read_search(raw: msgspec.Raw, at: str) -> WebSearch:
    found = decode(_search, raw, at)
    filters = found.filters or _Filters()
    return WebSearch(
        size=found.search_context_size,
        allowed=tuple(filters.allowed_domains or ()),
        blocked=tuple(filters.blocked_domains or ()),
        location=found.user_location,
        at=at,
    )


def read_choice(raw: msgspec.Raw | None, parallel: bool | None, extras: list[Extra]) -> Choice | None:
    """A choice of tools that the provider runs is kept as an extra."""
    if raw is None or given(raw) is None:
        return None if parallel is None else Choice(parallel=parallel, at="parallel_tool_calls")
    at = "tool_choice"
    found = decode(_choice, raw, at)
    if isinstance(found, str):
        if found not in _MODES:
            raise invalid(at, "must be auto, none, required or an object")
        return Choice(_MODES[found], (), parallel, at)
    chosen = found.tools if found.type == "allowed_tools" else [_Chosen(found.type, found.name, found.namespace)]
    names = tuple(flat(each.name, each.namespace) for each in chosen if each.type in _CALLED and each.name is not None)
    if len(names) < len(chosen):
        extras.append(Extra(DIALECT, at, raw))
        return None if parallel is None else Choice(parallel=parallel, at="parallel_tool_calls")
    extras += strays(DIALECT, raw, _Choice, at)
    return Choice("any" if found.type in _CALLED else _MODES[found.mode], names, parallel, at)


# ---- write ------------------------------------------------------------------------------------------------------------------------------


def write_tools(tools: Sequence[Tool], extras: Sequence[Extra], losses: list[Loss], *, strict: bool | None) -> list[object]:
    """`strict` is what is written for a function that does not say. Tools of one namespace stand together where its first one stood.
    Raises Refused at a tool that only another dialect knows."""
    said = {extra.at: extra.raw for extra in extras if extra.dialect == DIALECT}
    made: list[object] = []
    spaces: dict[str, list[object]] = {}
    for tool in tools:
        written = _write_tool(tool, losses, strict)
        space = tool.namespace if isinstance(tool, Function | FreeTool) else None
        if space is None:
            made.append(written)
        elif space in spaces:
            spaces[space].append(written)
        else:
            spaces[space] = [written]
            description = said.get(f"{tool.at.rpartition('.tools[')[0]}.description", space)
            made.append({"type": "namespace", "name": space, "description": description, "tools": spaces[space]})
    return made


def _write_tool(tool: Tool, losses: list[Loss], strict: bool | None) -> object:
    match tool:
        case Function():
            made: dict[str, object] = {"type": "function", "name": tool.name}
            if tool.description is not None:
                made["description"] = tool.description
            made["parameters"] = _NO_PARAMETERS if tool.schema is None else tool.schema
            made["strict"] = strict if tool.strict is None else tool.strict
            return made
        case FreeTool():
            made = {"type": "custom", "name": tool.name}
            if tool.description is not None:
                made["description"] = tool.description
            if tool.grammar is not None:
                made["format"] = tool.grammar
            return made
        case WebSearch():
            return _write_search(tool, losses)
        case Hosted(dialect=dialect, raw=raw) if dialect == DIALECT:
            return raw
        case Hosted(what=what):
            raise unsaid(tool.at, f"the tool {what} is not known in the Responses dialect")


def _write_search(tool: WebSearch, losses: list[Loss]) -> object:
    made: dict[str, object] = {"type": _SEARCHES}
    if tool.size is not None:
        made["search_context_size"] = tool.size
    if tool.location is not None:
        made["user_location"] = {"type": "approximate", **tool.location.words()}
    if tool.allowed:
        made["filters"] = {"allowed_domains": tool.allowed}
    if tool.blocked:
        losses.append(Loss(f"{tool.at}.blocked_domains", "a search cannot leave domains out in the Responses dialect"))
    if tool.most_uses is not None:
        losses.append(Loss(f"{tool.at}.max_uses", "searches are not counted in the Responses dialect"))
    return made


def write_choice(choice: Choice, tools: Sequence[Tool]) -> object:
    """The `tool_choice` of a choice that has a mode or names."""
    table = named(tools)
    if not choice.names:
        return _WORDS[choice.mode or "auto"]
    if choice.mode == "none":
        return "none"
    chosen: list[dict[str, str]] = []
    for name in choice.names:
        tool = table.get(name)
        entry = {"type": "custom" if isinstance(tool, FreeTool) else "function", "name": name if tool is None else tool.name}
        if tool is not None and tool.namespace is not None:
            entry["namespace"] = tool.namespace
        chosen.append(entry)
    if choice.mode == "any" and len(chosen) == 1:
        return chosen[0]
    return {"type": "allowed_tools", "mode": _WORDS[choice.mode or "auto"], "tools": chosen}
