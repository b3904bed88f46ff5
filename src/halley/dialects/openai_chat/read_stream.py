"""A provider's stream of chat chunks as events: the first choice, one part open at a time.

A tool call is over when another begins, unless its arguments are not yet whole: then the pieces are interleaved, and those of the later
call are held back. The finish reason is told with the usage, at the end marker or at the end of the connection, whichever comes first.
"""

from __future__ import annotations

import heapq

import msgspec

from halley.chat.doors import Unreadable
from halley.chat.events import LOGPROBS, Delta, Event, Failed, Finished, Noted, PartEnded, PartStarted, Started
from halley.chat.extent import Extent
from halley.chat.media import spoken
from halley.chat.model import Audio, Citation, Image, Loss, Refusal, Seal, Text, Thinking, ToolCall
from halley.chat.strays import Strays, Watch
from halley.chat.usage import Usage
from halley.dialects.openai_chat import media
from halley.dialects.openai_chat.left_out import LEFT_OUT
from halley.dialects.openai_chat.media import NAME
from halley.dialects.openai_chat.read_answer import ONE, Call, Called, ErrorShape, Picture, Piece, Spoken, likely, seal_beside, thought
from halley.dialects.openai_chat.read_messages import Detail
from halley.dialects.openai_chat.reply import UsageShape, normal
from halley.dialects.openai_chat.words import Annotation, read_annotations, read_finish
from halley.wire.jsonbody import BROKEN

_DONE = b"[DONE]"
_NULL = b"null"
_END, _EMPTY = PartEnded(), Text("")


class _Delta(msgspec.Struct):
    content: str | list[Piece] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Detail] | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Called | None = None
    audio: Spoken | None = None
    annotations: list[Annotation] | None = None
    images: list[Picture] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    index: int = 0
    finish_reason: str | None = None
    logprobs: msgspec.Raw = msgspec.Raw()


class _Chunk(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    created: float | None = None  # some providers write it with a fraction
    choices: list[_Choice] | None = None
    usage: UsageShape | None = None
    service_tier: str | None = None
    error: ErrorShape | str | None = None


_watch = Watch(_Chunk, LEFT_OUT)
_chunk = _watch.decode


class ChatStreamReader:
    """See `chat.doors.StreamReader`."""

    __slots__ = (
        "_begun",
        "_call",
        "_called",
        "_citations",
        "_extent",
        "_finish",
        "_held",
        "_id",
        "_new_id",
        "_open",
        "_order",
        "_origin",
        "_over",
        "_refused",
        "_said",
        "_seal",
        "_sound",
        "_started",
        "_strays",
        "_tier",
        "_unsigned",
        "_usage",
    )

    def __init__(self, origin: str, new_id: str) -> None:
        self._origin = origin
        self._new_id = new_id
        self._strays = Strays()
        self._unsigned = Seal(origin, "")
        self._started = self._over = self._refused = False
        self._begun = self._called = False  # any part, a call of a tool
        self._open = ""  # the kind of the part that is open
        self._call = -1  # the index of the tool call that is open
        self._id = ""  # its id
        self._said: list[str] = []  # its arguments, as far as nobody has looked whether they are whole
        self._extent = Extent()  # of all before
        self._held: dict[int, tuple[ToolCall, list[str]]] = {}
        self._order: list[int] = []  # the indices of these, a heap
        self._seal: Seal | None = None
        self._citations: list[Citation] = []
        self._sound: tuple[list[str], list[str], str | None] | None = None  # data, transcript, id
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._tier: str | None = None

    @property
    def losses(self) -> tuple[Loss, ...]:
        return self._strays.losses

    def feed(self, payload: bytes, name: bytes = b"") -> list[Event]:
        """Raises Unreadable."""
        if payload == _DONE:
            return self._done()
        try:
            chunk = _chunk(payload)
        except BROKEN:
            chunk = self._again(payload)
        if chunk.error is not None:
            return self._failed(chunk.error)
        events: list[Event] = []
        if not self._started:
            self._started = True
            events.append(Started(chunk.id or "", chunk.model or "", None if chunk.created is None else int(chunk.created)))
        if chunk.usage is not None:
            self._usage = normal(chunk.usage)
        if chunk.service_tier is not None:
            self._tier = chunk.service_tier
        for choice in chunk.choices or ():
            if choice.index:
                self._strays.tell("choices[1]", ONE)  # asks for more than one answer do not cross
                continue
            delta = choice.delta
            if delta is not None:
                content = delta.content
                if content and delta.tool_calls is None and self._open == "text" and type(content) is str:
                    events.append(Delta(content))
                else:
                    self._read(delta, events)
                if delta.annotations is not None:
                    self._citations += read_annotations(delta.annotations)
            if len(choice.logprobs) > len(_NULL):
                events.append(Noted(dialect=NAME, what=LOGPROBS, raw=likely(choice.logprobs, self._strays)))
            if choice.finish_reason is not None:
                self._finish = choice.finish_reason
        return events

    def _again(self, payload: bytes) -> _Chunk:
        try:
            return _watch.again(payload, self._strays)
        except BROKEN as error:
            raise Unreadable(str(error)) from None

    def _done(self) -> list[Event]:
        """The dialect's own end. Some hosts come to it without a reason."""
        if self._finish is None and not self._over:
            if not self._begun and self._sound is None:
                self._over = True
                return [Failed("The provider's answer is empty.", 502)]
            self._finish = "stop"
        return self.end()

    def end(self) -> list[Event]:
        if self._over or self._finish is None:
            return []
        self._over = True
        events: list[Event] = []
        self._clear(events)
        if self._sound is not None:
            data, words, id = self._sound
            events += (PartStarted(Audio(spoken("".join(data)), "".join(words), id)), _END)
        events.append(Finished(read_finish(self._finish, self._refused, self._called), self._usage, self._tier))
        return events

    def _failed(self, error: ErrorShape | str) -> list[Event]:
        self._over = True
        if isinstance(error, str):
            return [Failed(error)]
        status = error.status or (error.code if isinstance(error.code, int) else 0)
        return [Failed(error.message or "The provider broke off its answer.", status, str(error.code or error.type or ""))]

    def _read(self, delta: _Delta, events: list[Event]) -> None:
        if delta.reasoning_details is not None:
            for detail in delta.reasoning_details:
                self._think(detail, events)
        elif thinking := delta.reasoning_content or delta.reasoning:
            self._more("thinking", Thinking("", seal=self._unsigned), thinking, events)
        for said in (delta.content,) if isinstance(delta.content, str) else delta.content or ():
            if isinstance(said, str):
                text = said
            else:
                text = said.text
                if thinking := said.thought():
                    self._more("thinking", Thinking(""), thinking, events)
            if text:
                self._more("text", _EMPTY, text, events)
        if delta.refusal:
            self._refused = True
            self._more("refusal", Refusal(""), delta.refusal, events)
        if delta.tool_calls is not None:
            for call in delta.tool_calls:
                self._piece(call, events)
        if delta.function_call is not None:
            self._piece(Call(function=delta.function_call), events)
        if delta.audio is not None:
            sound = self._sound = self._sound or ([], [], delta.audio.id)
            sound[0].append(delta.audio.data or "")
            sound[1].append(delta.audio.transcript or "")
        for picture in delta.images or ():
            self._clear(events)
            self._begun = True
            events += (PartStarted(Image(media.source(picture.image_url.url, "image/png"))), _END)

    def _more(self, kind: str, part: Text | Thinking | Refusal, text: str, events: list[Event]) -> None:
        if self._open != kind:
            self._clear(events)
            self._open, self._begun = kind, True
            events.append(PartStarted(part))
        events.append(Delta(text))

    def _think(self, detail: Detail, events: list[Event]) -> None:
        found = thought(detail, self._origin)
        if found.text:
            if self._open == "thinking" and self._seal is not None:
                self._clear(events)  # what was sealed is whole; this is another thought
            self._more("thinking", Thinking("", summary=found.summary, id=found.id), found.text, events)
            self._seal = found.seal or self._seal
        elif found.seal is not None and self._open == "thinking" and detail.type != "reasoning.encrypted":
            self._seal = found.seal  # the signature comes after the text
        elif found.seal is not None:
            self._clear(events)
            self._begun = True
            events += (PartStarted(found), _END)

    # -- tool calls ---------------------------------------------------------------------------------------------------------------

    def _piece(self, call: Call, events: list[Event]) -> None:
        index = call.index or 0
        called = call.custom or call.function
        text = "" if called is None else (called.input if call.custom is not None else called.said()) or ""
        if index == self._call and not self._another(call):
            if call.extra_content is not None:
                self._seal = seal_beside(call, self._origin) or self._seal
            if text:
                self._said.append(text)
                events.append(Delta(text))
            if self._held and self._whole():
                self._close(events)
                self._release(events)
            return
        held = self._held.get(index)
        if held is not None:
            self._held[index] = self._added(call, called, *held, text)
            self._release(events)
            return
        id = call.id or f"call_{self._new_id}_{index}"
        part = ToolCall(
            id, (called.name if called is not None else None) or "", "", free=call.custom is not None, seal=seal_beside(call, self._origin)
        )
        # Some hosts say the name in the call's second piece.
        if not part.name or (self._call >= 0 and self._call != index and not self._whole()):
            self._held[index] = (part, [text])
            heapq.heappush(self._order, index)
            return
        self._close(events)
        self._begin(index, part, events)
        if text:
            self._said.append(text)
            events.append(Delta(text))

    def _added(self, call: Call, called: Called | None, part: ToolCall, pieces: list[str], text: str) -> tuple[ToolCall, list[str]]:
        """A call that is held back, with one more piece."""
        pieces.append(text)
        if (seal := seal_beside(call, self._origin)) is not None:
            part = msgspec.structs.replace(part, seal=seal)
        if not part.name and called is not None and called.name:
            part = msgspec.structs.replace(part, id=call.id or part.id, name=called.name)
        return part, pieces

    def _begin(self, index: int, part: ToolCall, events: list[Event]) -> None:
        self._open, self._call, self._id, self._said, self._extent = "tool", index, part.id, [], Extent()
        self._begun = self._called = True
        events.append(PartStarted(part))

    def _another(self, call: Call) -> bool:
        """Some hosts give every call the same index, and its own id and name."""
        called = call.custom or call.function
        return bool(call.id and call.id != self._id and called is not None and called.name)

    def _whole(self) -> bool:
        """Whether the arguments of the open call are all there. None at all may still come."""
        for piece in self._said:
            self._extent.feed(piece)
        self._said = []
        return self._extent.whole

    def _release(self, events: list[Event], *, ended: bool = False) -> None:
        """The calls that were held back, up to one without a name, or one that is not yet whole: it stays open. When the answer has ended,
        all of them."""
        while self._order:
            index = self._order[0]
            part, pieces = self._held[index]
            if not ended and (not part.name or (self._call >= 0 and not self._whole())):
                return
            heapq.heappop(self._order)
            del self._held[index]
            self._close(events)
            self._begin(index, part, events)
            self._said = pieces
            events += [Delta(piece) for piece in pieces if piece]

    def _clear(self, events: list[Event]) -> None:
        """Nothing is open or held back any more."""
        self._close(events)
        self._release(events, ended=True)
        self._close(events)

    def _close(self, events: list[Event]) -> None:
        if not self._open:
            return
        events.append(PartEnded(self._seal, tuple(self._citations)) if self._seal is not None or self._citations else _END)
        self._open, self._call, self._seal, self._citations = "", -1, None, []


def read_stream(origin: str, new_id: str) -> ChatStreamReader:
    return ChatStreamReader(origin, new_id)
