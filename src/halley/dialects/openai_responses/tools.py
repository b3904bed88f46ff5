"""Tools and the choice among them, both ways. A function is flat here; a `namespace` holds tools of its own; every kind that this dialect
alone knows stays raw.

OpenAI reads a function without `strict` as strict, so it is always written. Facts: OpenAI's published schema (Tool, ToolChoiceParam), and
Codex 0.169 for `namespace` and the further fields of `web_search`, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from halley.chat.model import Choice, Extra, FreeTool, Function, Hosted, Loss, Tool, WebSearch
from halley.chat.naming import flat, named
from halley.dialects.openai_responses.fields import DIALECT, NULL, decode, unsaid

_NO_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')
_SEARCHES = "web_search"


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
    user_location: dict[str, str | None] | None = None
    filters: _Filters | None = None


class _Choice(msgspec.Struct):
    type: str
    name: str | None = None
    namespace: str | None = None
    mode: Literal["auto", "required"] = "auto"
    tools: list[msgspec.Raw] = []


class _Chosen(msgspec.Struct):
    type: str = ""
    name: str | None = None
    namespace: str | None = None


_kind = msgspec.json.Decoder(_Kind)
_function = msgspec.json.Decoder(_Function)
_namespace = msgspec.json.Decoder(_Namespace)
_search = msgspec.json.Decoder(_WebSearch)
_choice = msgspec.json.Decoder(str | _Choice)
_chosen = msgspec.json.Decoder(_Chosen)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_SAID_OF_SEARCH = {"type", *_WebSearch.__struct_fields__}
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
            if found.description and bytes(found.description) != NULL:
                extras.append(Extra(DIALECT, f"{here}.description", found.description))
            tools += read_tools(found.tools, f"{here}.tools", extras, found.name)
        elif kind == "function" or kind == "custom":
            tools.append(_read_function(raw, here, kind, namespace))
        elif kind.startswith(_SEARCHES):
            tools.append(_read_search(raw, here, extras))
        else:
            tools.append(Hosted(DIALECT, kind[:64], raw, here))
    return tools


def _read_function(raw: msgspec.Raw, at: str, kind: str, namespace: str | None) -> Function | FreeTool:
    found = decode(_function, raw, at)
    if kind == "custom":
        return FreeTool(found.name, found.description, found.format if found.format else None, namespace, at)
    schema = found.parameters if found.parameters and bytes(found.parameters) != NULL else None
    return Function(found.name, found.description, schema, found.strict, namespace, at=at)


def _read_search(raw: msgspec.Raw, at: str, extras: list[Extra]) -> WebSearch:
    found = decode(_search, raw, at)
    for key, value in decode(_members, raw, at).items():
        if key not in _SAID_OF_SEARCH and bytes(value) != NULL:
            extras.append(Extra(DIALECT, f"{at}.{key}", value))
    filters = found.filters or _Filters()
    place = {key: value for key, value in (found.user_location or {}).items() if value is not None and key != "type"}
    return WebSearch(
        size=found.search_context_size,
        allowed=tuple(filters.allowed_domains or ()),
        blocked=tuple(filters.blocked_domains or ()),
        location=place or None,
        at=at,
    )


def read_choice(raw: msgspec.Raw | None, parallel: bool | None, extras: list[Extra]) -> Choice | None:
    """A choice of tools that the provider runs is kept as an extra."""
    if raw is None or bytes(raw) == NULL:
        return None if parallel is None else Choice(parallel=parallel, at="parallel_tool_calls")
    at = "tool_choice"
    found = decode(_choice, raw, at)
    if isinstance(found, str):
        if found not in _MODES:
            raise unsaid(at, "must be auto, none, required or an object")
        return Choice(_MODES[found], (), parallel, at)
    if found.type in ("function", "custom") and found.name is not None:
        return Choice("any", (flat(found.name, found.namespace),), parallel, at)
    if found.type == "allowed_tools":
        chosen = [decode(_chosen, each, f"{at}.tools[{number}]") for number, each in enumerate(found.tools)]
        if all(each.type in ("function", "custom") and each.name is not None for each in chosen):
            return Choice(_MODES[found.mode], tuple(flat(each.name or "", each.namespace) for each in chosen), parallel, at)
    extras.append(Extra(DIALECT, at, raw))
    return None if parallel is None else Choice(parallel=parallel, at="parallel_tool_calls")


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
        made["user_location"] = {"type": "approximate", **tool.location}
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
