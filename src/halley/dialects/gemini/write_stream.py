"""Events as a client's stream: whole responses, each with what is new, in server-sent events or as the elements of one JSON array.

The array is what `streamGenerateContent` answers without `alt=sse`. A frame is `data: ` with one space and nothing else: clients of this
dialect take a comment or an event's name for broken JSON (google-genai does). A function call is held until its arguments are whole,
because it is one part on the wire. The last frame alone has the finish reason; usage is on every frame from which on it is known.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from halley.chat import untold
from halley.chat.doors import Asked
from halley.chat.events import LOGPROBS, Delta, Event, Failed, Finished, Noted, PartEnded, PartStarted, Started
from halley.chat.fold import joined
from halley.chat.model import Audio, Citation, Extra, Inline, Loss, Part, Refusal, Seal, Text, Thinking, ToolCall
from halley.chat.usage import Usage
from halley.dialects.gemini.answer import ENDS, USAGE_SAID, Json, write_finish, write_usage
from halley.dialects.gemini.errors import UNFINISHED, error_object
from halley.dialects.gemini.sources import write_citations
from halley.dialects.gemini.write_answer import call, kept, likely, part_of, sealed, thought, untold_tier

_encode = msgspec.json.encode
_PARTS = b'{"candidates":[{"content":{"parts":['
_PIECE = _PARTS + b'{"text":'
_DATA, _END = b"data: ", b"\n\n"
_THOUGHT = b',"thought":true'


class StreamWriter:
    """Server-sent events."""

    # fmt: off
    __slots__ = (
        "_arguments", "_asked", "_cited", "_extras", "_id", "_likely", "_losses", "_open", "_said", "_spoke", "_tail", "_usage",
    )
    # fmt: on

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._losses: list[Loss] = []
        self._id = asked.id
        self._usage: Usage | None = None
        self._open: Part | None = None
        self._arguments: list[str] = []
        self._said: list[str] = []
        self._cited: list[tuple[str, Sequence[Citation]]] = []
        self._extras: list[Extra] = []
        self._likely: list[msgspec.Raw] = []
        self._spoke = False
        self._tail = b""
        self._about()

    @property
    def losses(self) -> Sequence[Loss]:
        return self._losses

    def write(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if type(event) is Delta:
                if type(self._open) is Text:
                    self._said.append(event.text)
                    out += (_DATA, _PIECE, _encode(event.text), self._tail, _END)
                else:
                    self._more(event.text, out)
            else:
                self._event(event, out)
        return b"".join(out)

    def _about(self) -> None:
        """What stands behind the candidate in every frame."""
        about: Json = {} if self._usage is None else {"usageMetadata": write_usage(self._usage)}
        about |= {"modelVersion": self._asked.model, "responseId": self._id}
        self._tail = b'}],"role":"model"},"index":0}],' + _encode(about)[1:]

    def _event(self, event: Event, out: list[bytes]) -> None:
        match event:
            case Started():
                self._id = event.id or self._id
                self._usage = event.usage
                self._about()
            case PartStarted():
                self._start(event.part, out)
            case PartEnded():
                self._end(event.seal, event.citations, out)
            case Noted():
                self._note(event)
            case Finished():
                self._finish(event, out)
            case Failed():
                self._frame(error_object(event.status or 500, event.message, event.code), out)
                out.append(UNFINISHED)
            case Delta():
                self._more(event.text, out)

    def _frame(self, response: Json, out: list[bytes]) -> None:
        out += (_DATA, _line(_encode(response)), _END)

    def _part(self, part: Json | None, out: list[bytes]) -> None:
        if part is not None:
            out += (_DATA, _PARTS, _line(_encode(part))[:-1], self._tail, _END)

    def _start(self, part: Part, out: list[bytes]) -> None:
        self._open = part
        self._spoke = True
        self._said = []
        self._arguments = []
        match part:
            case Text() | Refusal():
                self._open = Text("", seal=part.seal if isinstance(part, Text) else None)
                if part.text:
                    self._said.append(part.text)
                    self._part({"text": part.text}, out)
            case Thinking():
                if part.text:
                    self._part({"text": part.text, "thought": True}, out)
            case ToolCall():
                if part.arguments:
                    self._arguments.append(part.arguments)
            case Audio(source=Inline(data="")):
                pass
            case _:
                self._part(part_of(part, self._losses), out)

    def _more(self, text: str, out: list[bytes]) -> None:
        match self._open:
            case Thinking():
                out += (_DATA, _PIECE, _encode(text), _THOUGHT, self._tail, _END)
            case ToolCall():
                self._arguments.append(text)
            case Audio(source=Inline(mime=mime)):
                self._part({"inlineData": {"mimeType": mime, "data": text}}, out)
            case _:
                self._losses.append(Loss("", "more of a part that had come whole"))

    def _end(self, seal: Seal | None, citations: tuple[Citation, ...], out: list[bytes]) -> None:
        """A seal that is known only now comes in a piece without text, as Google sends it."""
        part, self._open = self._open, None
        match part:
            case Text():
                citations = part.citations + citations
                if citations:
                    self._cited.append(("".join(self._said), citations))
                if given := seal or part.seal:
                    self._part(sealed({"text": ""}, given), out)
            case Thinking():
                if given := seal or part.seal:
                    self._part(thought("", part, given), out)
            case ToolCall():
                self._part(call(part, "".join(self._arguments), seal or part.seal, self._losses), out)
            case _:
                pass

    def _note(self, noted: Noted) -> None:
        if noted.usage is not None:
            self._usage = noted.usage
            self._about()
        if noted.raw is None:
            return
        if noted.what == LOGPROBS:
            self._likely.append(noted.raw)
        else:
            self._extras.append(Extra(noted.dialect, noted.what, noted.raw))

    def _finish(self, event: Finished, out: list[bytes]) -> None:
        finish = event.finish
        own, body = kept(self._extras, self._losses)
        response: Json = {}
        # A prompt that was blocked has no candidate, so what the feedback says is all there is.
        if self._spoke or "promptFeedback" not in body:
            candidate: Json = {"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": write_finish(finish)}
            if finish.detail is not None:
                candidate["finishMessage"] = finish.detail
            candidate["index"] = 0
            if "groundingMetadata" not in own and (sources := write_citations(self._cited)) is not None:
                candidate["groundingMetadata"] = sources
            if self._likely:
                candidate |= likely(joined(self._likely), self._losses)
            response["candidates"] = [candidate | own]
        response |= body
        usage = event.usage or self._usage
        self._losses += untold.of_finish(finish, ENDS) + untold.of_usage(usage, USAGE_SAID)
        untold_tier(event.service_tier, self._losses)
        if usage is not None:
            response["usageMetadata"] = write_usage(usage)
        response |= {"modelVersion": self._asked.model, "responseId": self._id}
        self._frame(response, out)


def _line(data: bytes) -> bytes:
    """JSON on one line: what a model wrote as arguments, or another provider as an extra, may have white space in it that ends a frame."""
    return msgspec.json.format(data, indent=-1) if b"\n" in data or b"\r" in data else data


def write_stream(asked: Asked) -> StreamWriter:
    """Server-sent events (`alt=sse`)."""
    return StreamWriter(asked)
