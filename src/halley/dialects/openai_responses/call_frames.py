"""Calls of a stream as frames: an item added, its input as it grows, the input done, the item done.

An agent's stream is calls for the most part, and a provider whose calls come whole pays for all four frames at once: what they say is put
together as text around one encoding of the input, not as objects.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from halley.chat.doors import Asked
from halley.chat.model import FreeTool, ToolCall
from halley.chat.naming import named
from halley.dialects.openai_responses.write_items import short

_encode = msgspec.json.Encoder().encode


class _Kind:
    """`grows` is the beginning of every delta, up to its number; `field` is where an item has its whole input."""

    __slots__ = ("done", "field", "grows", "head", "item")

    def __init__(self, item: str, prefix: str, event: str, field: str) -> None:
        self.item = f'","type":"{item}","status":"'
        self.head = prefix
        self.grows = f'event: {event}.delta\ndata: {{"type":"{event}.delta","sequence_number":'.encode()
        self.done = f'event: {event}.done\ndata: {{"type":"{event}.done","sequence_number":'
        self.field = f'"{field}":'


_FUNCTION = _Kind("function_call", "fc", "response.function_call_arguments", "arguments")
_CUSTOM = _Kind("custom_tool_call", "ctc", "response.custom_tool_call_input", "input")
_ADDED = 'event: response.output_item.added\ndata: {"type":"response.output_item.added","sequence_number":'
_DONE = 'event: response.output_item.done\ndata: {"type":"response.output_item.done","sequence_number":'


class _Tool:
    """A tool as the client knows it. `wrapped`: its input is still in a JSON object, because the provider has no free tools. JSON: `name`
    stands before the input in an item, `end` behind it, `called` behind the input that is done."""

    __slots__ = ("called", "end", "free", "kind", "name", "wrapped")

    def __init__(self, name: str, namespace: str | None, *, free: bool, wrapped: bool) -> None:
        self.free = free
        self.wrapped = wrapped
        self.kind = kind = _CUSTOM if free else _FUNCTION
        named = f',"name":{_encode(name).decode()}'
        self.name = f"{named},{kind.field}"
        self.end = "}" if namespace is None else f',"namespace":{_encode(namespace).decode()}}}'
        self.called = "}\n\n" if free else f"{named}}}\n\n"


class Call:
    """One call. `front` and `back` stand around the number of a delta, before its text."""

    __slots__ = ("_behind", "_id", "_index", "_place", "back", "front", "tool")

    def __init__(self, tool: _Tool, call_id: str, id: str, index: int) -> None:
        self.tool = tool
        self._id = id
        self._index = index
        self._place = place = f',"item_id":"{id}","output_index":{index},'
        self._behind = f'","call_id":{call_id}{tool.name}'
        self.front = tool.kind.grows
        self.back = f'{place}"delta":'.encode()

    def added(self, number: int) -> bytes:
        tool = self.tool
        item = f'{{"id":"{self._id}{tool.kind.item}in_progress{self._behind}""{tool.end}'
        return f'{_ADDED}{number},"output_index":{self._index},"item":{item}}}\n\n'.encode()

    def ended(self, number: int, arguments: str) -> tuple[bytes, msgspec.Raw]:
        """The last two frames, and the item."""
        tool = self.tool
        kind = tool.kind
        whole = _encode(arguments).decode()
        item = f'{{"id":"{self._id}{kind.item}completed{self._behind}{whole}{tool.end}'
        frames = (
            f"{kind.done}{number}{self._place}{kind.field}{whole}{tool.called}"
            f'{_DONE}{number + 1},"output_index":{self._index},"item":{item}}}\n\n'
        )
        return frames.encode(), msgspec.Raw(item.encode())


class Calls:
    """Calls by the tools of the ask: a flat name goes back to its namespace, and a call of a free tool to its own language."""

    __slots__ = ("_known", "_made", "_number", "_tools")

    def __init__(self, asked: Asked) -> None:
        self._tools = named(asked.ask.tools)
        # Not every model says the namespace too: a bare name is enough where it is the only one.
        bare = Counter(tool.name for tool in self._tools.values())
        self._tools = {tool.name: tool for tool in self._tools.values() if bare[tool.name] == 1} | self._tools
        self._number = asked.id
        self._made = 0
        self._known: dict[tuple[str, str | None, bool], _Tool] = {}

    def begun(self, call: ToolCall, index: int) -> Call:
        """`index` is the item's place in the output."""
        id = call.id
        if not id:
            self._made += 1
            id = f"call_{self._number}_{self._made}"
        key = call.name, call.namespace, call.free
        tool = self._known.get(key)
        if tool is None:
            tool = self._known[key] = self._know(*key)
        return Call(tool, _encode(short(id)).decode(), f"{tool.kind.head}_{self._number}_{index}", index)

    def _know(self, name: str, namespace: str | None, free: bool) -> _Tool:
        wrapped = False
        tool = self._tools.get(name) if namespace is None else None
        if tool is not None:
            name, namespace = tool.name, tool.namespace
            wrapped = isinstance(tool, FreeTool) and not free
        return _Tool(name, namespace, free=free or wrapped, wrapped=wrapped)
