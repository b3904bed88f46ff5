"""One output item of a stream as events: it is added, grows by deltas and is done. Of a message each content part is a part of its own.

What a provider leaves out (the added, the deltas) is taken from what comes later: the done event, or the item when it is done. Of other
items of the stream, of its beginning and its end, nothing is known here.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from halley.chat.events import LOGPROBS, Delta, Event, Noted, PartEnded, PartStarted
from halley.chat.model import Audio, Citation, Image, Opaque, Part, Refusal, Seal, Text, Thinking, ToolCall
from halley.chat.strays import Strays
from halley.dialects.openai_responses import keeping
from halley.dialects.openai_responses.content import citation_watched
from halley.dialects.openai_responses.fields import DIALECT
from halley.dialects.openai_responses.read_answer import CONTENT, SAID, Said, called, chosen, cited, item_parts
from halley.dialects.openai_responses.replies import ErrorFound
from halley.errors import Refused
from halley.wire.jsonbody import BROKEN


class _Item(msgspec.Struct):
    type: str = ""
    id: str | None = None
    encrypted_content: str | None = None


class StreamDelta(msgspec.Struct, gc=False):
    """An event of `DELTAS`."""

    type: str
    delta: str = ""
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0


class StreamEvent(msgspec.Struct):
    """Any event but a delta."""

    type: str
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    text: str = ""
    refusal: str = ""
    arguments: str = ""
    input: str = ""
    logprobs: list[msgspec.Raw] | None = None
    annotation: msgspec.Raw = msgspec.Raw()
    part: msgspec.Raw = msgspec.Raw()
    item: msgspec.Raw = msgspec.Raw()
    response: msgspec.Raw = msgspec.Raw()
    message: str | None = None
    code: str | int | None = None
    error: ErrorFound | None = None


_decode_item = msgspec.json.Decoder(_Item).decode
_CALLS = {"function_call": False, "custom_tool_call": True}
_GROWING = {"message", "reasoning", *_CALLS}


class ItemReader:
    """One output item as events. `kind` is empty until the item has been added."""

    __slots__ = (
        "_citations",
        "_index",
        "_item_id",
        "_origin",
        "_parts",
        "_said",
        "_strays",
        "_thought",
        "done",
        "kind",
        "open",
        "refused",
        "tool",
    )

    def __init__(self, origin: str, strays: Strays) -> None:
        self._origin = origin
        self._strays = strays
        self._item_id: str | None = None
        self._index = -1  # of the open content part
        self._thought: tuple[str, int] | None = None  # the last piece of thinking
        self._said = False  # whether the open part has had a delta
        self._parts = 0
        self._citations: list[Citation] = []
        self.kind = ""
        self.open: type[Part] | None = None
        self.tool = self.refused = self.done = False

    def added(self, event: StreamEvent) -> list[Event]:
        item = _decode_item(event.item)
        self.kind, self._item_id = item.type, item.id
        if self.kind not in _CALLS:
            look(event.item, self._origin, self._strays)
            return []
        self.tool = True
        call = called(event.item, _CALLS[self.kind], self._strays)
        return self._start(msgspec.structs.replace(call, arguments=""))

    def delta(self, event: StreamDelta) -> list[Event]:
        kind = DELTAS[event.type]
        if kind is Thinking:
            events = self._piece(event.type, event.summary_index, event.content_index)
        elif kind is ToolCall:
            if self.open is not ToolCall:
                return []  # of a call that was never added: it comes whole when it is done
            events = []
        else:
            events = self._content(Refusal if kind is Refusal else Text, event.content_index)
        if event.delta:
            self._said = True
            events.append(Delta(event.delta))
        return events

    def text_grows(self, index: int) -> bool:
        """Whether this content part is the open one, and a text; it has had a delta then."""
        if self.open is Text and self._index == index:
            self._said = True
            return True
        return False

    def part_added(self, event: StreamEvent) -> list[Event]:
        part = self._part(event)
        return self._content(CONTENT[part.type], event.content_index) if part.type in CONTENT else []

    def part_done(self, event: StreamEvent) -> list[Event]:
        part = self._part(event)
        if part.type not in CONTENT:
            return []
        events = self._whole_content(part, event.content_index)
        found = cited(part, self._strays)
        if found:
            self._citations = list(found)
        return [*events, *self._end()]

    def text_done(self, event: StreamEvent) -> list[Event]:
        kind = "refusal" if event.type == "response.refusal.done" else "output_text"
        events = self._whole_content(Said(kind, event.text, event.refusal), event.content_index)
        if event.logprobs:
            events.append(Noted(dialect=DIALECT, what=LOGPROBS, raw=chosen(event.logprobs)))
        return events

    def arguments_done(self, event: StreamEvent) -> list[Event]:
        if self.open is not ToolCall or self._said:
            return []
        return self._rest(event.arguments or event.input)

    def thinking_done(self, event: StreamEvent) -> list[Event]:
        if self._thought == _piece_of(event.type, event.summary_index, event.content_index):
            return []
        events = self._piece(event.type, event.summary_index, event.content_index)
        return [*events, *self._rest(event.text)]

    def annotated(self, event: StreamEvent) -> list[Event]:
        self._citations.append(citation_watched(event.annotation, self._strays))
        return []

    def item_done(self, event: StreamEvent) -> list[Event]:
        """What was not streamed comes now."""
        self.done = True
        item = _decode_item(event.item)
        kind = item.type or self.kind
        if self._parts == 0 or kind not in _GROWING:
            events = self._end()
            return [*events, *(each for part in item_parts(event.item, self._origin, self._strays) for each in self._whole(part))]
        look(event.item, self._origin, self._strays)
        if self.open is ToolCall and not self._said:
            return [*self._rest(called(event.item, _CALLS.get(kind, False), self._strays).arguments), *self._end()]
        return self._end(keeping.sealed(self._origin, item.id or self._item_id, item.encrypted_content))

    def cut(self) -> list[Event]:
        """The response ends without a word about this item."""
        self.done = True
        return self._end()

    def _whole(self, part: Part) -> list[Event]:
        if isinstance(part, ToolCall):
            self.tool = True
        if isinstance(part, Image | Opaque | Audio):
            return [PartStarted(part), PartEnded()]
        bare, text, seal, cited = _taken_apart(part)
        events = self._start(bare)
        self._citations = list(cited)
        return [*events, *self._rest(text), *self._end(seal)]

    def _part(self, event: StreamEvent) -> Said:
        return SAID.read(event.part, self._strays) if given(event.part) else Said("")

    def _whole_content(self, said: Said, index: int) -> list[Event]:
        events = self._content(CONTENT[said.type], index)
        return events if self._said else [*events, *self._rest(said.refusal or said.text)]

    def _content(self, kind: type[Text] | type[Refusal], index: int) -> list[Event]:
        """The open part is this one."""
        if self.open is kind and self._index == index:
            return []
        events = self._start(kind(""))
        self._index = index
        return events

    def _piece(self, type: str, summary_index: int, content_index: int) -> list[Event]:
        """Thinking goes on, maybe with its next piece."""
        piece = _piece_of(type, summary_index, content_index)
        if piece == self._thought and self.open is Thinking:
            return []
        self._thought = piece
        if self.open is not Thinking:
            return self._start(Thinking("", summary=piece[0] == "summary", id=self._item_id))
        return [Delta("\n\n")]

    def _start(self, part: Part) -> list[Event]:
        ended = self._end()
        self.open = type(part)
        self.refused = self.open is Refusal
        self._said = False
        self._parts += 1
        return [*ended, PartStarted(part)]

    def _rest(self, text: str) -> list[Event]:
        if not text:
            return []
        self._said = True
        return [Delta(text)]

    def _end(self, seal: Seal | None = None) -> list[Event]:
        if self.open is None:
            return []
        self.open = None
        found, self._citations = tuple(self._citations), []
        return [PartEnded(seal, found)]


def look(item: msgspec.Raw, origin: str, strays: Strays) -> None:
    """What of an item nobody here knows is told, though it has been streamed or is not there yet."""
    with suppress(*BROKEN, Refused):
        item_parts(item, origin, strays)


def given(raw: msgspec.Raw) -> bool:
    return len(raw) > 0 and bytes(raw) != b"null"


def _piece_of(type: str, summary_index: int, content_index: int) -> tuple[str, int]:
    return ("summary", summary_index) if "summary" in type else ("content", content_index)


def _taken_apart(part: Part) -> tuple[Part, str, Seal | None, tuple[Citation, ...]]:
    """A whole part as it begins, its text, and what comes at its end."""
    replace = msgspec.structs.replace
    match part:
        case Text(text=text):
            return replace(part, text="", citations=()), text, None, part.citations
        case Thinking(text=text):
            return replace(part, text="", seal=None), text, part.seal, ()
        case Refusal(text=text):
            return replace(part, text=""), text, None, ()
        case ToolCall(arguments=arguments):
            return replace(part, arguments=""), arguments, None, ()
        case _:
            return part, "", None, ()


DELTAS: dict[str, type[Part]] = {
    "response.output_text.delta": Text,
    "response.refusal.delta": Refusal,
    "response.reasoning_summary_text.delta": Thinking,
    "response.reasoning_text.delta": Thinking,
    "response.function_call_arguments.delta": ToolCall,
    "response.custom_tool_call_input.delta": ToolCall,
}
