"""Events as a stream of this dialect: named events, numbered from 0, every item added, grown and done, and one event at the end.

Order: created · in_progress · items · one of completed, incomplete, failed; no end marker. Texts and refusals that follow each other are
content of one message, because clients show each message on its own. The final response object is kept, which is what a client that asked
for no stream gets. Order and fields: OpenAI's published schema (ResponseStreamEvent) and CometAPI's page of it, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from halley.chat import untold
from halley.chat.calls import unwrapped
from halley.chat.doors import Asked
from halley.chat.events import LOGPROBS, Delta, Event, Failed, Finished, Noted, PartEnded, PartStarted, Started
from halley.chat.model import Audio, Image, Inline, Loss, Opaque, Part, Refusal, Seal, Text, Thinking, ToolCall
from halley.chat.usage import Usage
from halley.dialects.openai_responses import call_frames, envelope, keeping
from halley.dialects.openai_responses.content import write_annotations
from halley.dialects.openai_responses.fields import DIALECT
from halley.dialects.openai_responses.refusals import failed_code
from halley.wire.jsonbody import BROKEN

_encode = msgspec.json.Encoder().encode


class _Chosen(msgspec.Struct):
    content: list[msgspec.Raw] | None = None


_chosen = msgspec.json.Decoder(_Chosen)


class _Grows(NamedTuple):
    """How a kind of part grows. `field` is what its done event calls the whole, `place` the index beside the item's."""

    event: str
    field: str
    place: str


_TEXT = _Grows("response.output_text", "text", "content_index")
_REFUSAL = _Grows("response.refusal", "refusal", "content_index")
_SUMMARY = _Grows("response.reasoning_summary_text", "text", "summary_index")


class Writer:
    """The `StreamWriter` of one stream. `final` is the last response object."""

    # fmt: off
    __slots__ = (
        "_asked", "_back", "_call", "_calls", "_content", "_envelope", "_front", "_item_id", "_logprobs", "_message_id", "_open", "_output",
        "_refused", "_said", "_sequence", "_started", "_usage", "final", "losses",
    )
    # fmt: on

    def __init__(self, asked: Asked) -> None:
        self.losses: list[Loss] = []
        self.final: dict[str, object] = {}
        self._asked = asked
        self._envelope = envelope.Envelope(asked)
        self._calls = call_frames.Calls(asked)
        self._sequence = 0
        self._started = self._refused = False
        self._output: list[object] = []
        self._usage: Usage | None = None
        self._logprobs: list[msgspec.Raw] = []
        self._content: list[object] = []  # of the open message
        self._message_id = ""  # empty: no message is open
        self._item_id = ""
        self._open: Part | None = None
        self._call: call_frames.Call | None = None
        self._said: list[str] = []
        self._front = self._back = b""  # of a delta, around its number; empty: deltas are not passed on

    def write(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if type(event) is Delta:
                text = event.text
                self._said.append(text)
                if self._front:
                    out += (self._front, b"%d" % self._sequence, self._back, _encode(text), b"}\n\n")
                    self._sequence += 1
                elif type(self._open) is Thinking:
                    out.append(self._first_thought(text))
            else:
                out.append(_WRITE[type(event)](self, event))
        return b"".join(out)

    # ---- beginning and end

    def started(self, event: Started) -> bytes:
        self._usage = event.usage
        if self._started:
            return b""
        self._started = True
        reply = self._envelope.reply("in_progress")
        return self._frame("response.created", {"response": reply}) + self._frame("response.in_progress", {"response": reply})

    def noted(self, event: Noted) -> bytes:
        self._usage = event.usage or self._usage
        if event.raw is not None:
            try:
                if event.what != LOGPROBS:
                    raise msgspec.ValidationError
                self._logprobs += _chosen.decode(event.raw).content or ()
            except BROKEN:
                self.losses.append(Loss(event.what, "has no place in an answer of the Responses dialect"))
        return b""

    def finished(self, event: Finished) -> bytes:
        out = self.started(Started("", "", usage=self._usage))
        finish = event.finish
        if finish.reason == "refusal" and finish.detail and not self._refused:
            out += self.write((PartStarted(Refusal("")), Delta(finish.detail), PartEnded()))
        out += self._close_message()
        if self._logprobs:
            self.losses.append(Loss("logprobs", "log probabilities came after the text that they belong to"))
        status, incomplete = envelope.ending(event.finish, self._refused)
        error = None
        if status == "failed":
            error = {"code": "server_error", "message": event.finish.detail or "The model called a tool in a way that cannot be read."}
        self.losses += untold.of_finish(finish, envelope.ENDS)
        used = envelope.usage_said(event.usage or self._usage, self.losses)
        return out + self._last(status, used, error, incomplete, event.service_tier)

    def failed(self, event: Failed) -> bytes:
        """What fails is a response, which has to be there first: OpenAI's SDK (2.x) takes no other event before its creation."""
        error = {"code": failed_code(event.status, event.code), "message": event.message}
        begun = b"" if self._started else self.started(Started("", ""))
        return begun + self._last("failed", None, error, None)

    def _last(
        self,
        status: str,
        usage: dict[str, object] | None,
        error: dict[str, str] | None,
        incomplete: str | None,
        tier: str | None = None,
    ) -> bytes:
        self.final = self._envelope.reply(status, self._output, usage, error, incomplete, tier)
        return self._frame(f"response.{status}", {"response": self.final})

    # ---- parts

    def part_started(self, event: PartStarted) -> bytes:
        out = b"" if self._started else self.started(Started("", ""))
        part = event.part
        self._open = part
        self._said = []
        self._front = b""
        match part:
            case ToolCall():
                if self._message_id or part.seal is not None:
                    out += self._close_message() + self._sealed(part.seal, "next")
                return out + self._start_call(part)
            case Text():
                return (
                    out
                    + self._sealed(part.seal, "next")
                    + self._start_content(_TEXT, {"type": "output_text", "text": "", "annotations": []})
                )
            case Refusal():
                self._refused = True
                return out + self._start_content(_REFUSAL, {"type": "refusal", "refusal": ""})
            case Thinking():
                out += self._close_message()
                return out + self._added("rs", lambda id: envelope.reasoning(id, [], None, "thinking"))
            case _:
                return out + self._whole(part)

    def part_ended(self, event: PartEnded) -> bytes:
        part, self._open, self._front = self._open, None, b""
        said = "".join(self._said)
        match part:
            case ToolCall():
                out = self._end_call(part.arguments + said)
                return out if event.seal is None else out + self._sealed(event.seal, "last")
            case Text():
                found = write_annotations((*part.citations, *event.citations), part.text + said, self.losses, "")
                return self._end_text(part.text + said, found) + self._sealed(event.seal, "last")
            case Refusal():
                return self._end_content(_REFUSAL, part.text + said, {"type": "refusal", "refusal": part.text + said})
            case Thinking():
                return self._end_thinking(part, part.text + said, event.seal or part.seal)
            case _:
                return b""

    def _start_content(self, grows: _Grows, part: object) -> bytes:
        out = b""
        if not self._message_id:
            out = self._added("msg", lambda id: envelope.message(id, [], "in_progress"))
            self._message_id = self._item_id
            self._content = []
        self._item_id = self._message_id
        out += self._frame("response.content_part.added", {**self._place(grows), "part": part})
        self._grow(grows)
        return out

    def _end_text(self, text: str, found: list[object]) -> bytes:
        place = self._place(_TEXT)
        logprobs, self._logprobs = self._logprobs, []
        out = [
            self._frame("response.output_text.annotation.added", {**place, "annotation_index": number, "annotation": each})
            for number, each in enumerate(found)
        ]
        out.append(self._frame("response.output_text.done", {**place, "text": text, "logprobs": logprobs}))
        out.append(self._end_part({"type": "output_text", "text": text, "annotations": found, "logprobs": logprobs}))
        return b"".join(out)

    def _end_content(self, grows: _Grows, text: str, part: object) -> bytes:
        return self._frame(f"{grows.event}.done", {**self._place(grows), grows.field: text}) + self._end_part(part)

    def _end_part(self, part: object) -> bytes:
        out = self._frame("response.content_part.done", {**self._place(_TEXT), "part": part})
        self._content.append(part)
        return out

    def _close_message(self) -> bytes:
        if not self._message_id:
            return b""
        id, self._message_id = self._message_id, ""
        return self._done(envelope.message(id, self._content, "completed"))

    def _first_thought(self, text: str) -> bytes:
        """Redacted thinking has no piece of a summary, so that the piece begins with its first word."""
        part = {"type": "summary_text", "text": ""}
        out = self._frame("response.reasoning_summary_part.added", {**self._place(_SUMMARY), "part": part})
        self._grow(_SUMMARY)
        return out + self._delta(self._front, self._back, text)

    def _end_thinking(self, part: Thinking, text: str, seal: Seal | None) -> bytes:
        out = b""
        summary: list[dict[str, str]] = []
        if text:
            summary = [{"type": "summary_text", "text": text}]
            if not self._said:  # it came whole
                out += self._frame("response.reasoning_summary_part.added", {**self._place(_SUMMARY), "part": {**summary[0], "text": ""}})
            out += self._frame("response.reasoning_summary_text.done", {**self._place(_SUMMARY), "text": text})
            out += self._frame("response.reasoning_summary_part.done", {**self._place(_SUMMARY), "part": summary[0]})
        return out + self._done(envelope.reasoning(self._item_id, summary, seal, keeping.clinging(part)))

    def _start_call(self, part: ToolCall) -> bytes:
        self._call = call = self._calls.begun(part, len(self._output))
        number = self._sequence
        self._sequence = number + 1
        if not call.tool.wrapped:
            self._front, self._back = call.front, call.back
        return call.added(number)

    def _end_call(self, arguments: str) -> bytes:
        call = self._call
        assert call is not None
        out = b""
        if call.tool.wrapped:
            arguments = unwrapped(arguments)
        elif not arguments and not call.tool.free:  # clients parse what they get
            arguments = "{}"
        if arguments and (call.tool.wrapped or not any(self._said)):
            out = self._delta(call.front, call.back, arguments)
        frames, item = call.ended(self._sequence, arguments)
        self._sequence += 2
        self._output.append(item)
        return out + frames

    def _sealed(self, seal: Seal | None, clings: keeping.Clings) -> bytes:
        """A signature of a neighbour, in an item of its own."""
        if seal is None:
            return b""
        out = self._close_message()
        out += self._added("rs", lambda id: envelope.reasoning(id, [], None, clings))
        return out + self._done(envelope.reasoning(self._item_id, [], seal, clings))

    def _whole(self, part: Part) -> bytes:
        """A part that comes in one piece."""
        item: object
        match part:
            case Opaque(dialect=dialect, raw=raw) if dialect == DIALECT:
                item = raw
            case Image(source=Inline(data=data)):
                item = {
                    "id": f"ig_{self._asked.id}_{len(self._output)}",
                    "type": "image_generation_call",
                    "status": "completed",
                    "result": data,
                }
            case Audio(transcript=str(transcript)):
                self.losses.append(Loss("audio", "an answer of the Responses dialect is not spoken; its transcript is given"))
                return b"".join(_WRITE[type(each)](self, each) for each in (PartStarted(Text(transcript)), PartEnded()))
            case _:
                what = part.what if isinstance(part, Opaque) else type(part).__name__.lower()
                self.losses.append(Loss(part.at or what, f"{what} has no place in an answer of the Responses dialect"))
                return b""
        out = self._close_message() + self._frame("response.output_item.added", {"output_index": len(self._output), "item": item})
        seal = part.seal if isinstance(part, Image) else None
        return out + self._done(item) + self._sealed(seal, "last")

    # ---- frames

    def _added(self, prefix: str, item: Callable[[str], object]) -> bytes:
        index = len(self._output)
        self._item_id = f"{prefix}_{self._asked.id}_{index}"
        return self._frame("response.output_item.added", {"output_index": index, "item": item(self._item_id)})

    def _done(self, item: object) -> bytes:
        out = self._frame("response.output_item.done", {"output_index": len(self._output), "item": item})
        self._output.append(item)
        return out

    def _delta(self, front: bytes, back: bytes, text: str) -> bytes:
        number = self._sequence
        self._sequence = number + 1
        return b"".join((front, b"%d" % number, back, _encode(text), b"}\n\n"))

    def _place(self, grows: _Grows) -> dict[str, object]:
        number = len(self._content) if grows.place == "content_index" else 0
        return {"item_id": self._item_id, "output_index": len(self._output), grows.place: number}

    def _grow(self, grows: _Grows) -> None:
        """What stands around every delta of the part that begins."""
        type = f"{grows.event}.delta"
        logprobs = ',"logprobs":[]' if grows is _TEXT else ""
        self._front = f'event: {type}\ndata: {{"type":"{type}","sequence_number":'.encode()
        self._back = b"," + _encode(self._place(grows))[1:-1] + f'{logprobs},"delta":'.encode()

    def _frame(self, type: str, fields: dict[str, object]) -> bytes:
        number = self._sequence
        self._sequence += 1
        data = _encode({"type": type, "sequence_number": number, **fields})
        if b"\n" in data or b"\r" in data:  # between the values of something raw, such as a schema that the caller wrote in lines
            data = data.replace(b"\n", b"").replace(b"\r", b"")
        return b"event: %b\ndata: %b\n\n" % (type.encode(), data)


_WRITE: dict[type[Event], Callable[[Writer, Any], bytes]] = {
    Started: Writer.started,
    Noted: Writer.noted,
    PartStarted: Writer.part_started,
    PartEnded: Writer.part_ended,
    Finished: Writer.finished,
    Failed: Writer.failed,
}


def write_stream(asked: Asked) -> Writer:
    return Writer(asked)
