"""Input items to turns. Items are flat: what the model said stands as messages, reasoning and calls one after the other.

All that the model said in a row is one turn, and so are the results of tools in a row: other dialects want the calls of one answer
together. A signature that another dialect's part carried stands in a reasoning item of its own, and goes back to its part here
(see `keeping`).
Kinds of items: OpenAI's published schema (Item, EasyInputMessage), read 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from halley.chat.media import sniffed
from halley.chat.model import Extra, Image, Inline, Opaque, Part, Role, Seal, Text, ToolCall, ToolResult, Turn
from halley.chat.reading import decode, strays, unsaid
from halley.dialects.openai_responses import keeping
from halley.dialects.openai_responses.content import ResultPart, read_parts
from halley.dialects.openai_responses.fields import DIALECT

Side = Literal["assistant", "user"]


class _Kind(msgspec.Struct):
    type: str = "message"


class _Item(msgspec.Struct, kw_only=True):
    """What the answer called an item, and how far it was: of no meaning once it is given back."""

    id: msgspec.Raw = msgspec.Raw()
    status: msgspec.Raw = msgspec.Raw()


class _Message(_Item):
    role: Role
    content: str | list[msgspec.Raw]


class _Call(_Item):
    call_id: str
    name: str
    arguments: str = ""
    input: str = ""
    namespace: str | None = None


class _Result(_Item):
    call_id: str
    output: str | list[msgspec.Raw]


class Drawing(_Item):
    result: str | None = None


class _Reasoning(keeping.Reasoning, kw_only=True):
    status: msgspec.Raw = msgspec.Raw()


_kind = msgspec.json.Decoder(_Kind)
_message = msgspec.json.Decoder(_Message)
_call = msgspec.json.Decoder(_Call)
_result = msgspec.json.Decoder(_Result)
_reasoning = msgspec.json.Decoder(_Reasoning)
_drawing = msgspec.json.Decoder(Drawing)


def read_items(raws: Sequence[msgspec.Raw], at: str, extras: list[Extra]) -> list[Turn]:
    """Raises Refused. What of an item has no place in the vocabulary goes to `extras`."""
    gathered = _Gathered(extras)
    for number, raw in enumerate(raws):
        here = f"{at}[{number}]"
        kind = decode(_kind, raw, here).type
        read = _READ.get(kind)
        if read is None:
            # A result is the caller's word, all else stands where the model spoke.
            side: Side = "user" if kind.endswith("_output") else "assistant"
            gathered.add(side, here, Opaque(DIALECT, f"an item of type {kind[:64]}", raw, here))
        else:
            shape, gather = read
            gather(raw, here, gathered)
            extras += strays(DIALECT, raw, shape, here)
    return gathered.turns()


class _Gathered:
    """Turns as they grow. `_pending` is a signature whose part has not come yet."""

    __slots__ = ("_at", "_parts", "_pending", "_side", "_turns", "extras")

    def __init__(self, extras: list[Extra]) -> None:
        self.extras = extras
        self._turns: list[Turn] = []
        self._side: Side | None = None
        self._at = ""
        self._parts: list[Part] = []
        self._pending: Seal | None = None

    def add(self, side: Side, at: str, *parts: Part) -> None:
        if self._side != side:
            self._close()
            self._side, self._at = side, at
            if side == "user":
                self._pending = None
        for part in parts:
            if self._pending is not None and isinstance(part, Text | ToolCall | Image):
                part = msgspec.structs.replace(part, seal=self._pending)
                self._pending = None
            self._parts.append(part)

    def whole(self, turn: Turn) -> None:
        """A message that shares its turn with nothing."""
        self._close()
        self._pending = None
        self._turns.append(turn)

    def seal(self, kept: keeping.Kept) -> None:
        """A signature that clings to a neighbour."""
        if kept.clings == "next":
            self._pending = kept.seal
        elif self._side == "assistant":
            _seal_last(self._parts, kept.seal)
        elif self._turns and self._turns[-1].role == "assistant":  # a client has put the result of the call in between
            parts = list(self._turns[-1].parts)
            _seal_last(parts, kept.seal)
            self._turns[-1] = msgspec.structs.replace(self._turns[-1], parts=tuple(parts))

    def turns(self) -> list[Turn]:
        self._close()
        return self._turns

    def _close(self) -> None:
        if self._side is not None:
            self._turns.append(Turn(self._side, tuple(self._parts), at=self._at))
        self._side, self._parts = None, []


def _seal_last(parts: list[Part], seal: Seal) -> None:
    if parts and isinstance(parts[-1], Text | ToolCall | Image):
        parts[-1] = msgspec.structs.replace(parts[-1], seal=seal)


def _read_message(raw: msgspec.Raw, at: str, gathered: _Gathered) -> None:
    found = decode(_message, raw, at)
    parts = read_parts(found.content, f"{at}.content", gathered.extras)
    if found.role == "assistant":
        gathered.add("assistant", at, *parts)
    else:
        gathered.whole(Turn(found.role, parts, at=at))


def _read_call(raw: msgspec.Raw, at: str, gathered: _Gathered) -> None:
    found = decode(_call, raw, at)
    gathered.add("assistant", at, ToolCall(found.call_id, found.name, found.arguments, False, found.namespace, at=at))


def _read_free_call(raw: msgspec.Raw, at: str, gathered: _Gathered) -> None:
    found = decode(_call, raw, at)
    gathered.add("assistant", at, ToolCall(found.call_id, found.name, found.input, True, found.namespace, at=at))


def _read_result(raw: msgspec.Raw, at: str, gathered: _Gathered) -> None:
    found = decode(_result, raw, at)
    parts: list[ResultPart] = []
    for part in read_parts(found.output, f"{at}.output", gathered.extras):
        if not isinstance(part, ResultPart):
            raise unsaid(part.at, "cannot stand in the output of a tool")
        parts.append(part)
    gathered.add("user", at, ToolResult(found.call_id, tuple(parts), at=at))


def _read_reasoning(raw: msgspec.Raw, at: str, gathered: _Gathered) -> None:
    found = decode(_reasoning, raw, at)
    kept = None if found.encrypted_content is None else keeping.read(found.encrypted_content)
    if kept is not None and kept.clings in ("next", "last"):
        gathered.seal(kept)
    else:
        gathered.add("assistant", at, keeping.thinking(found, kept, at))


def _read_drawing(raw: msgspec.Raw, at: str, gathered: _Gathered) -> None:
    image = drawing(raw, at)
    gathered.add("assistant", at, Opaque(DIALECT, "an image that is not there", raw, at) if image is None else image)


def drawing(raw: msgspec.Raw, at: str = "") -> Image | None:
    """The image of an image_generation_call, None while it has none."""
    found = decode(_drawing, raw, at)
    return Image(Inline(sniffed(found.result), found.result), at=at) if found.result else None


_READ: dict[str, tuple[type[msgspec.Struct], Callable[[msgspec.Raw, str, _Gathered], None]]] = {
    "message": (_Message, _read_message),
    "function_call": (_Call, _read_call),
    "function_call_output": (_Result, _read_result),
    "custom_tool_call": (_Call, _read_free_call),
    "custom_tool_call_output": (_Result, _read_result),
    "reasoning": (_Reasoning, _read_reasoning),
    "image_generation_call": (Drawing, _read_drawing),
}
