"""Turns as input items, for a provider that speaks this dialect.

What the model said becomes messages, calls and reasoning in its order; a seal is given back to its maker alone, and without one a provider
that keeps nothing cannot take reasoning back. Ids of calls are at most 64 characters here, and calls without one get theirs.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from collections.abc import Sequence

import msgspec

from halley.chat import seals
from halley.chat.model import Audio, Image, Inline, Loss, Opaque, Part, Refusal, Text, Thinking, ToolCall, ToolResult, Turn
from halley.chat.reading import unsaid
from halley.dialects.openai_responses import keeping
from halley.dialects.openai_responses.content import write_input, write_output
from halley.dialects.openai_responses.fields import DIALECT

LONGEST_CALL_ID = 64


def short(id: str) -> str:
    """An id of a call that this dialect takes: the same for the same id."""
    return id if len(id) <= LONGEST_CALL_ID else f"call_{hashlib.sha256(id.encode()).hexdigest()[:40]}"


def lose_mark(part: Part, losses: list[Loss]) -> None:
    """What is cached for minutes is cached without being asked."""
    cache = getattr(part, "cache", None)
    if cache is not None and cache.ttl == "1h":
        losses.append(Loss(f"{part.at}.cache_control", "a prompt is not marked to be cached for an hour in the Responses dialect"))


def write_turns(turns: Sequence[Turn], target: str, losses: list[Loss]) -> list[object]:
    """Raises Refused at what this dialect cannot say."""
    writing = _Writing(target, losses)
    for turn in turns:
        writing.turn(turn)
    return writing.items


class _Writing:
    __slots__ = ("_answered", "_free", "_made", "_message", "_target", "_unanswered", "items", "losses")

    def __init__(self, target: str, losses: list[Loss]) -> None:
        self.items: list[object] = []
        self.losses = losses
        self._target = target
        self._message: list[object] | None = None  # content of the message that is still growing
        self._free: set[str] = set()
        self._made = 0
        self._unanswered: defaultdict[str | None, deque[str]] = defaultdict(deque)  # ids that were made, by the tool's name
        self._answered: set[str] = set()

    def turn(self, turn: Turn) -> None:
        if turn.name is not None:
            self.losses.append(Loss(f"{turn.at}.name", "who speaks has no name in the Responses dialect"))
        self._message = None
        for part in turn.parts:
            lose_mark(part, self.losses)
            match part:
                case ToolResult():
                    self._item(self._result(part))
                case ToolCall():
                    self._item(self._call(part))
                case Thinking():
                    self._thinking(part)
                case _ if turn.role == "assistant":
                    self._said(part)
                case _:
                    self._content(turn.role, write_input(part, self.losses))

    def _item(self, item: object) -> None:
        self.items.append(item)
        self._message = None

    def _content(self, role: str, content: object) -> None:
        if self._message is None:
            self._message = []
            self.items.append({"type": "message", "role": role, "content": self._message})
        self._message.append(content)

    def _said(self, part: Part) -> None:
        """What the model said that is neither thought nor call."""
        match part:
            case Text() | Refusal():
                if isinstance(part, Text) and part.seal is not None:
                    self.losses.append(Loss(part.at, "a signature of another provider is left out"))
                self._content("assistant", write_output(part, self.losses))
            case Image(source=Inline(data=data)):
                self._made += 1
                self._item({"type": "image_generation_call", "id": f"ig_{self._made}", "status": "completed", "result": data})
            case Audio(transcript=str(transcript)):
                self.losses.append(Loss(part.at, "what was spoken is given back as its transcript"))
                self._content("assistant", write_output(Text(transcript), self.losses))
            case Opaque(dialect=dialect, raw=raw) if dialect == DIALECT:
                self._item(raw)
            case Opaque(what=what):
                raise unsaid(part.at, f"{what} cannot be said in the Responses dialect")
            case _:
                kind = type(part).__name__.lower()
                raise unsaid(part.at, f"a part of kind {kind} cannot stand in what the model said in the Responses dialect")

    def _thinking(self, part: Thinking) -> None:
        if part.seal is None or not seals.opens(part.seal, self._target):
            why = "is not signed" if part.seal is None else "was signed by another provider"
            self.losses.append(Loss(part.at, f"earlier reasoning that {why} is left out"))
            return
        # A client of another dialect does not know that it was shown a summary. What the provider reads is the encrypted content.
        summary = [{"type": "summary_text", "text": part.text}] if part.text else []
        id, content = keeping.unsealed(part.seal)
        item: dict[str, object] = {"type": "reasoning", "summary": summary, "encrypted_content": content}
        if id := id or part.id:
            item["id"] = id
        self._item(item)

    def _call(self, part: ToolCall) -> object:
        if part.seal is not None:
            self.losses.append(Loss(part.at, "a signature of another provider is left out"))
        id = short(part.id)
        if not id:
            self._made += 1
            id = f"call_{self._made}"
            self._unanswered[part.name].append(id)
            self._unanswered[None].append(id)
        item: dict[str, object] = {"type": "function_call", "call_id": id, "name": part.name, "arguments": part.arguments or "{}"}
        if part.free:
            self._free.add(id)
            item = {"type": "custom_tool_call", "call_id": id, "name": part.name, "input": part.arguments}
        if part.namespace is not None:
            item["namespace"] = part.namespace
        return item

    def _result(self, part: ToolResult) -> object:
        if part.failed:
            self.losses.append(Loss(part.at, "that the tool failed is said in its text"))
        id = short(part.id) or self._earliest(part.name)
        if not id:
            raise unsaid(part.at, "answers no call")
        output: object
        match part.parts if not part.failed else _failed(part.parts):
            case (Text(text=text),):
                output = text
            case parts:
                output = [write_input(each, self.losses) for each in parts]
        kind = "custom_tool_call_output" if id in self._free else "function_call_output"
        return {"type": kind, "call_id": id, "output": output}

    def _earliest(self, name: str | None) -> str:
        """The earliest call that had no id, of this tool, and has no result yet."""
        waiting = self._unanswered[name]
        while waiting:
            id = waiting.popleft()
            if id not in self._answered:
                self._answered.add(id)
                return id
        return ""


def _failed(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """What a tool said that failed: here only its words can tell."""
    match parts:
        case (Text() as first, *rest):
            return msgspec.structs.replace(first, text=f"Error: {first.text}"), *rest
        case _:
            return Text("Error"), *parts
