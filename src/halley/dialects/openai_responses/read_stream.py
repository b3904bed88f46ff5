"""A stream of this dialect as events. Grammar: created · in_progress · items · one of completed, incomplete, failed; `error` at any time.

Items that grow at the same time come one after the other: what is said of a later one waits until the earlier is done. Event types that are
in no table are told as losses. A stream that brings its items only in the response at its end
is read from there. Event types: OpenAI's published schema (ResponseStreamEvent), read 2026-11.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import msgspec

from halley.chat.doors import Unreadable
from halley.chat.events import Delta, Event, Finished, Started
from halley.chat.model import Loss, Refusal
from halley.chat.strays import Strays, Watch
from halley.dialects.openai_responses.item_stream import DELTAS, ItemReader, StreamDelta, StreamEvent, given, look
from halley.dialects.openai_responses.left_out import LEFT_OUT, PASSED_OVER
from halley.dialects.openai_responses.read_answer import REPLY
from halley.dialects.openai_responses.replies import ErrorFound, Reply, failure, finish, usage_watched
from halley.errors import Refused
from halley.wire.jsonbody import BROKEN

_DELTA = Watch(StreamDelta, LEFT_OUT, "event")
_EVENT = Watch(StreamEvent, LEFT_OUT, "event")
_decode_delta = _DELTA.decode
_decode_any = msgspec.json.Decoder(StreamDelta).decode
_TEXT = "response.output_text.delta"
_ADDED = "response.output_item.added"


class Reader:
    """The `StreamReader` of one stream."""

    __slots__ = ("_called", "_current", "_index", "_items", "_origin", "_over", "_started", "_strays", "_waiting")

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._strays = Strays()
        self._items: dict[int, ItemReader] = {}
        # Of items later than the current one, in the order of their beginning. The first of a plain dict is found in quadratic time.
        self._waiting: OrderedDict[int, list[Event]] = OrderedDict()
        self._current: ItemReader | None = None
        self._index = -1  # of the current item
        self._called = self._started = self._over = False

    @property
    def losses(self) -> tuple[Loss, ...]:
        return self._strays.losses

    def feed(self, payload: bytes, name: bytes = b"") -> list[Event]:
        """Raises Unreadable."""
        if self._over:
            return []
        try:
            try:
                event = _decode_delta(payload)
            except msgspec.ValidationError:  # no delta, or one with something that is not known
                event = _decode_any(payload)
                if event.type in DELTAS:
                    event = _DELTA.again(payload, self._strays)
            if event.type == _TEXT and event.output_index == self._index:
                current = self._current
                if current is not None and event.delta and current.text_grows(event.content_index):
                    return [Delta(event.delta)]
            if event.type in DELTAS:
                return self._of_item(event.output_index, self._item(event.output_index).delta(event))
            read = _READ.get(event.type)
            if read is not None:
                known = self._items.get(event.output_index)
                if known is not None and known.done and event.type != _ADDED:
                    return []  # it has been said
                return self._of_item(event.output_index, read(self._item(event.output_index), _EVENT.read(payload, self._strays)))
            end = _RESPONSE.get(event.type)
            if end is not None:
                return end(self, _EVENT.read(payload, self._strays))
            self._tell(event.type)
            return []
        except (*BROKEN, Refused) as error:
            return self._odd(payload, error)

    def end(self) -> list[Event]:
        return []

    def _tell(self, kind: str) -> None:
        if kind not in PASSED_OVER:
            self._strays.tell_event(kind)

    def _reply(self, event: StreamEvent) -> Reply | None:
        return REPLY.read(event.response, self._strays) if given(event.response) else None

    def created(self, event: StreamEvent) -> list[Event]:
        return self._start(self._reply(event) or Reply())

    def completed(self, event: StreamEvent) -> list[Event]:
        reply = self._reply(event) or Reply()
        events = self._start(reply)
        for index in sorted(self._items):
            events += self._of_item(index, [] if self._items[index].done else self._items[index].cut())
        if not self._items:
            for index, raw in enumerate(reply.output or ()):
                item = self._item(index)
                events += self._of_item(index, item.item_done(StreamEvent("", item=raw)))
        else:
            for raw in reply.output or ():
                look(raw, self._origin, self._strays)
        items = self._items.values()
        last = self._items[max(self._items)] if self._items else None
        refused = Refusal("") if last is not None and last.refused else None
        self._over = True
        # A provider that forgets the status has said it with the name of the event.
        if event.type == "response.incomplete":
            reply.status = "incomplete"
        ended = finish(reply, refused, self._called or any(item.tool for item in items))
        return [*events, Finished(ended, usage_watched(reply.usage, self._strays), reply.service_tier)]

    def failed(self, event: StreamEvent) -> list[Event]:
        self._over = True
        reply = self._reply(event)
        found = reply.error if reply is not None else event.error
        if found is None and event.message is not None:
            found = ErrorFound(event.message, event.code)
        return [failure(found)]

    def _start(self, reply: Reply) -> list[Event]:
        if self._started:
            return []
        self._started = True
        return [Started(reply.id, reply.model, reply.created, usage_watched(reply.usage, self._strays))]

    def _item(self, index: int) -> ItemReader:
        """The item that grows there. Some providers give all of theirs one index: after one that is done comes another."""
        item = self._items.get(index)
        if item is None or item.done:
            self._called = self._called or (item is not None and item.tool)
            item = self._items[index] = ItemReader(self._origin, self._strays)
            if self._current is None:
                self._current, self._index = item, index
        return item

    def _of_item(self, index: int, events: list[Event]) -> list[Event]:
        """What of this may be said now, and what had to wait until now."""
        if self._current is None and events:
            self._current, self._index = self._items[index], index
        if index != self._index:
            if events:
                self._waiting.setdefault(index, []).extend(events)
            return []
        if events and not self._started:
            events = [*self._start(Reply()), *events]
        if self._current is None or not self._current.done:
            return events
        events = list(events)
        while self._current is not None and self._current.done:
            if self._waiting:
                self._index, waited = self._waiting.popitem(last=False)
                self._current = self._items[self._index]
                events += waited
            else:
                self._current, self._index = None, -1
        return events

    def _odd(self, payload: bytes, error: Exception) -> list[Event]:
        """No event of these: one that is not in the tables, or the error that some providers end a broken stream with, without a type."""
        try:
            found = _bare.decode(payload)
        except BROKEN:
            found = None
        if found is not None and found.type is not None and not any(found.type in table for table in (DELTAS, _READ, _RESPONSE)):
            self._tell(found.type)
            return []
        if found is None or found.error is None:
            raise Unreadable(f"no event of a response: {error}") from None
        self._over = True
        return [failure(found.error)]


class _Bare(msgspec.Struct):
    type: str | None = None
    error: ErrorFound | None = None


_bare = msgspec.json.Decoder(_Bare)
_READ: dict[str, Callable[[ItemReader, StreamEvent], list[Event]]] = {
    "response.output_item.added": ItemReader.added,
    "response.output_item.done": ItemReader.item_done,
    "response.content_part.added": ItemReader.part_added,
    "response.content_part.done": ItemReader.part_done,
    "response.output_text.done": ItemReader.text_done,
    "response.refusal.done": ItemReader.text_done,
    "response.output_text.annotation.added": ItemReader.annotated,
    "response.function_call_arguments.done": ItemReader.arguments_done,
    "response.custom_tool_call_input.done": ItemReader.arguments_done,
    "response.reasoning_summary_text.done": ItemReader.thinking_done,
    "response.reasoning_text.done": ItemReader.thinking_done,
}
_RESPONSE: dict[str, Callable[[Reader, StreamEvent], list[Event]]] = {
    "response.created": Reader.created,
    "response.in_progress": Reader.created,
    "response.completed": Reader.completed,
    "response.incomplete": Reader.completed,
    "response.failed": Reader.failed,
    "error": Reader.failed,
}


def read_stream(origin: str, new_id: str) -> Reader:
    del new_id  # calls have ids here
    return Reader(origin)
