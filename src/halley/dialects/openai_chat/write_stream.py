"""Events as a client's stream of chat chunks, in the grammar of the package: role first, usage only if asked for, `[DONE]` last."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from halley.chat import untold
from halley.chat.doors import Asked
from halley.chat.events import LOGPROBS, Delta, Event, Failed, Finished, Noted, PartEnded, PartStarted, Started
from halley.chat.model import Audio, Image, Inline, Loss, Opaque, Part, Refusal, Seal, Text, Thinking, ToolCall
from halley.chat.naming import flat
from halley.chat.usage import Usage
from halley.dialects.openai_chat.words import ENDS, USAGE_SAID, write_annotations, write_failure, write_finish, write_usage
from halley.dialects.openai_chat.write_answer import beside, completion_id, detail, encrypted, image, uncited

_encode = msgspec.json.encode
_FIELD = {Text: b'"content":', Refusal: b'"refusal":', Thinking: b'"reasoning_content":'}


class ChatStreamWriter:
    """See `chat.doors.StreamWriter`."""

    __slots__ = (
        "_asked",
        "_calls",
        "_details",
        "_head",
        "_lead",
        "_parts",
        "_refused",
        "_said",
        "_tail",
        "_text",
        "_trail",
        "_twice",
        "_usage",
        "losses",
    )

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self.losses: list[Loss] = []
        self._head = b""
        # Every other chunk of a stream with usage says that it has none.
        self._tail = b'},"finish_reason":null}],"usage":null}\n\n' if asked.ask.wants_usage else b'},"finish_reason":null}]}\n\n'
        self._lead = self._trail = b""  # around the text of a delta of the open part
        self._parts = self._calls = self._details = 0
        self._text: Part | None = None  # the open part
        self._refused = False
        self._said = False  # any delta of it
        self._twice = b""  # what stands between, where its text is said twice
        self._usage: Usage | None = None

    def write(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if type(event) is Delta:
                self._said = True
                text = _encode(event.text)
                out += (self._lead, text, self._twice, text, self._trail) if self._twice else (self._lead, text, self._trail)
            else:
                self._other(event, out)
        return b"".join(out)

    def _other(self, event: Event, out: list[bytes]) -> None:
        match event:
            case Started():
                self._begin(event)
                out.append(self._chunk(b'"role":"assistant","content":""'))
            case PartStarted(part=part):
                self._start(part, out)
            case PartEnded():
                self._end(event, out)
            case Noted(usage=usage, what=what):
                self._usage = usage or self._usage
                if what == LOGPROBS and event.raw is not None:
                    out.append(self._likely(event.raw))
                elif what:
                    self.losses.append(Loss(what, "the caller's dialect has no place for it in a stream"))
            case Finished():
                self._finish(event, out)
            case Failed(message=message, status=status, code=code):
                out.append(b"data: %b\n\n" % _encode(write_failure(message, status, code)))
            case _:
                pass

    def _begin(self, started: Started) -> None:
        asked = self._asked
        self._usage = started.usage
        self._head = b'data: {"id":%b,"object":"chat.completion.chunk","created":%d,"model":%b,"choices":[{"index":0,"delta":{' % (
            _encode(completion_id(started.id, asked)),
            started.created or asked.created,
            _encode(asked.model),
        )

    def _chunk(self, delta: bytes) -> bytes:
        return b"%b%b%b" % (self._head, delta, self._tail)

    def _likely(self, raw: msgspec.Raw) -> bytes:
        """Log probabilities, which stand beside a delta: one without text, because what they are of has been sent."""
        likely = bytes(raw)
        if b"\n" in likely or b"\r" in likely:
            likely = msgspec.json.format(likely, indent=-1)
        return self._head + self._tail.replace(b',"finish_reason"', b',"logprobs":%b,"finish_reason"' % likely, 1)

    def _start(self, part: Part, out: list[bytes]) -> None:
        self._text, self._twice = part, b""
        match part:
            case Thinking():
                self._start_thinking(part, out)
            case Text() | Refusal():
                self._refused = self._refused or isinstance(part, Refusal)
                self._lead, self._trail = self._head + _FIELD[type(part)], self._tail
                if part.text:
                    out.append(self._chunk(_FIELD[type(part)] + _encode(part.text)))
            case ToolCall():
                self._start_call(part, out)
            case Audio(source=Inline() as sound):
                spoken = {"id": part.id or "", "data": sound.data, "transcript": part.transcript or "", "expires_at": 0}
                out.append(self._chunk(b'"audio":' + _encode(spoken)))
            case Image(source=Inline() as picture):
                out.append(self._chunk(b'"images":' + _encode([image(picture)])))
            case Opaque(what=what, at=at):
                self.losses.append(Loss(at or f"answer[{self._parts}]", f"{what} has no place in the caller's dialect"))
            case _:
                self.losses.append(Loss(f"answer[{self._parts}]", "the caller's dialect has no place for it"))

    def _start_thinking(self, part: Thinking, out: list[bytes]) -> None:
        """Told twice in every chunk, as OpenRouter does: for who shows `reasoning_content`, and for who gives details back."""
        if part.redacted:
            self._detail(detail(part, self._details), out)
            return
        kind = b"summary" if part.summary else b"text"
        self._twice = b',"reasoning_details":[{"type":"reasoning.%b","index":%d,"%b":' % (kind, self._details, kind)
        self._lead, self._trail = self._head + _FIELD[Thinking], b"}]" + self._tail
        self._details += 1
        if part.text:
            text = _encode(part.text)
            out.append(b"%b%b%b%b%b" % (self._lead, text, self._twice, text, self._trail))

    def _start_call(self, part: ToolCall, out: list[bytes]) -> None:
        index = self._calls
        self._calls += 1
        self._said = bool(part.arguments) or part.free
        kind, said = (b'"custom"', b'"input":') if part.free else (b'"function"', b'"arguments":')
        number = b'"tool_calls":[{"index":%d,' % index
        id, name, text = _encode(part.id), _encode(flat(part.name, part.namespace)), _encode(part.arguments)
        out += (self._head, number, b'"id":', id, b',"type":', kind, b",", kind, b':{"name":', name, b",", said, text, b"}")
        if part.seal is not None:
            out += (b',"extra_content":', _encode(beside(part.seal)))
        out += (b"}]", self._tail)
        self._lead = b"".join((self._head, number, kind, b":{", said))
        self._trail = b"}}]" + self._tail

    def _end(self, end: PartEnded, out: list[bytes]) -> None:
        part = self._text
        match part:
            case Thinking() if not part.redacted:
                seal = end.seal or part.seal
                if seal is not None:
                    # The index of the piece that it completes, and no text of its own.
                    late = detail(Thinking("", part.summary, id=part.id, seal=seal), self._details - 1)
                    out.append(self._chunk(b'"reasoning_details":' + _encode([late])))
            case ToolCall():
                if not self._said:
                    out.append(b'%b"{}"%b' % (self._lead, self._trail))  # clients parse what they have at the end
                if end.seal is not None:
                    late = [{"index": self._calls - 1, "extra_content": beside(end.seal)}]
                    out.append(self._chunk(b'"tool_calls":' + _encode(late)))
            case Text():
                self._end_text(part, end, out)
            case _:
                pass
        self._parts += 1
        self._text = None

    def _end_text(self, part: Text, end: PartEnded, out: list[bytes]) -> None:
        citations = part.citations + end.citations
        if citations:
            out.append(self._chunk(b'"annotations":' + _encode(write_annotations(citations))))
            self.losses += uncited(citations, self._parts)
        seal: Seal | None = end.seal or part.seal
        if seal is not None:
            self._detail(encrypted(seal, self._details), out)

    def _detail(self, found: dict[str, object], out: list[bytes]) -> None:
        self._details += 1
        out.append(self._chunk(b'"reasoning_details":' + _encode([found])))

    def _finish(self, event: Finished, out: list[bytes]) -> None:
        finish = event.finish
        if finish.reason == "refusal" and finish.detail:
            out.append(self._chunk(b'"refusal":' + _encode(finish.detail)))
        usage = event.usage or self._usage
        self.losses += untold.of_finish(finish, ENDS) + untold.of_usage(usage, USAGE_SAID)
        asks = self._asked.ask.wants_usage
        more = b',"usage":null' if asks else b""
        if event.service_tier is not None:
            more += b',"service_tier":' + _encode(event.service_tier)
        out.append(b'%b},"finish_reason":"%b"}]%b}\n\n' % (self._head, write_finish(finish, self._refused).encode(), more))
        if asks and usage is not None:
            head = self._head[: self._head.rindex(b'"choices":')]
            out.append(b'%b"choices":[],"usage":%b}\n\n' % (head, _encode(write_usage(usage))))
        out.append(b"data: [DONE]\n\n")


def write_stream(asked: Asked) -> ChatStreamWriter:
    return ChatStreamWriter(asked)
