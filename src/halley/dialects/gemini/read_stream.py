"""A provider's stream as events. Every frame is a whole response whose parts are more of the answer; the connection's end is its end.

Text and thoughts come in pieces that each look like a part: pieces of one kind in a row are one part, which ends at a signature, at a part
of another kind, or at the end. Google sends the signature of a streamed text with its last piece, which may be empty; of the same text
in one piece it stands on the whole, so on the whole it is put here. Function calls come whole.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from halley.chat.doors import Unreadable
from halley.chat.events import LOGPROBS, Delta, Event, Failed, Finished, Noted, PartEnded, PartStarted, Started
from halley.chat.model import Audio, Extra, Finish, Inline, Loss, Part, Seal, Text, Thinking, ToolCall
from halley.chat.strays import Strays
from halley.chat.usage import Usage
from halley.dialects.gemini.answer import (
    ANSWER,
    KEPT,
    Call,
    Candidate,
    Response,
    WirePart,
    decode,
    given,
    raw_candidates,
    raw_parts,
    read_block,
    read_finish,
    read_usage,
    usage_watched,
)
from halley.dialects.gemini.read_answer import arguments, failure, first, opaque, part_of
from halley.dialects.gemini.seals import NAME
from halley.dialects.gemini.sources import read_citations, read_logprobs
from halley.wire.jsonbody import BROKEN

_decode = ANSWER.decode
_TEXT = Text("")
_THINKING = Thinking("")
_ENDED = PartEnded()
# Said again in every frame, of all that was said so far.
_LAST_COUNTS = ("safetyRatings", "avgLogprobs")


class StreamReader:
    """Usage is read where it is needed, at the beginning and at the end, not in each of the frames that all have it."""

    # fmt: off
    __slots__ = (
        "_audio", "_blocked", "_calls", "_carry", "_failed", "_finish", "_grounding", "_late", "_new_id", "_open", "_origin", "_said",
        "_started", "_strays", "_usage",
    )
    # fmt: on

    def __init__(self, origin: str, new_id: str) -> None:
        self._origin = origin
        self._new_id = new_id
        self._strays = Strays()
        self._started = self._failed = False
        self._open: Text | Thinking | Audio | None = None
        self._said: list[str] = []
        self._audio = ""
        self._carry = b""
        self._calls = 0
        self._usage = msgspec.Raw()
        self._grounding = msgspec.Raw()
        self._late: dict[str, msgspec.Raw] = {}
        self._finish: Finish | None = None
        self._blocked: Finish | None = None

    @property
    def losses(self) -> tuple[Loss, ...]:
        return self._strays.losses

    def feed(self, payload: bytes, name: bytes = b"") -> list[Event]:
        """Raises Unreadable."""
        try:
            found = _decode(payload)
        except BROKEN:
            try:
                found = ANSWER.again(payload, self._strays)
            except BROKEN as error:
                return [self._error_alone(payload, error)]
        usage = found.usageMetadata
        if usage:
            self._usage = usage
        candidates = found.candidates
        if self._started and candidates is not None and len(candidates) == 1:
            # What nearly every frame is: one more piece of the open text, or one call.
            candidate = candidates[0]
            content = candidate.content
            if content is not None and candidate.finishReason is None and not candidate.index and _bare(candidate):
                parts = content.parts
                if parts is not None and len(parts) == 1:
                    part = parts[0]
                    if candidate.safetyRatings:
                        self._late["safetyRatings"] = candidate.safetyRatings
                    open, text = self._open, part.text
                    if text:
                        if open is not None and part.thoughtSignature is None and (part.thought or False) == (open is _THINKING):
                            if open is _TEXT:
                                self._said.append(text)
                                return [Delta(text)]
                            if open is _THINKING:
                                return [Delta(text)]
                    elif part.functionCall is not None and not found.error and not found.promptFeedback:
                        return self._call(part, part.functionCall)
        try:
            return self._frame(found, payload)
        except BROKEN as error:
            raise Unreadable(f"no frame of streamGenerateContent: {error}") from None

    def _error_alone(self, payload: bytes, error: Exception) -> Failed:
        """An error may come as the list in which a route that does not stream would send it."""
        if payload[:1] == b"[":
            try:
                return self._fail(decode(payload.strip()[1:-1]))
            except BROKEN:
                pass
        raise Unreadable(f"no frame of streamGenerateContent: {error}") from None

    def _fail(self, found: Response) -> Failed:
        self._failed = True
        return Failed(*failure(found.error))

    def _frame(self, found: Response, payload: bytes) -> list[Event]:
        events: list[Event] = []
        if found.error and given(found.error):
            return [self._fail(found)]
        if not self._started:
            self._started = True
            events.append(Started(found.responseId or "", found.modelVersion or "", usage=read_usage(found.usageMetadata)))
        if found.promptFeedback and given(found.promptFeedback):
            self._blocked = read_block(found.promptFeedback)
            events.append(Noted(dialect=NAME, what="promptFeedback", raw=found.promptFeedback))
        if not found.candidates:
            return events
        others: list[Extra] = []
        candidate = found.candidates[0]
        raw = msgspec.Raw()
        if len(found.candidates) > 1 or candidate.index:
            candidate, raw = first(found, payload, others)
            events += [Noted(dialect=NAME, what=extra.at, raw=extra.raw) for extra in others]
        if candidate is not None:
            self._candidate(candidate, raw, payload, events)
        return events

    def _candidate(self, candidate: Candidate, raw: msgspec.Raw, payload: bytes, events: list[Event]) -> None:
        if candidate.groundingMetadata and given(candidate.groundingMetadata):
            self._grounding = candidate.groundingMetadata
        parts = candidate.content.parts if candidate.content is not None else None
        raws: list[msgspec.Raw] = []
        for index, found in enumerate(parts or ()):
            if found.functionCall is not None:
                events += self._call(found, found.functionCall)
                continue
            part = part_of(found, self._origin, "")
            if part is None:
                raws = raws or raw_parts(raw or raw_candidates(payload)[0])
                part = opaque(raws[index])
            self._part(part, events)
        if candidate.safetyRatings or not _bare(candidate):
            self._note(candidate, events)
        if candidate.finishReason is not None:
            self._finish = read_finish(candidate.finishReason, candidate.finishMessage, self._calls > 0)

    def _note(self, candidate: Candidate, events: list[Event]) -> None:
        for name in KEPT:
            raw: msgspec.Raw = getattr(candidate, name)
            if not given(raw):
                continue
            if name in _LAST_COUNTS:
                self._late[name] = raw
            else:
                events.append(Noted(dialect=NAME, what=name, raw=raw))
        logprobs = read_logprobs(candidate.logprobsResult, self._strays)
        if logprobs is not None:
            events.append(Noted(dialect=NAME, what=LOGPROBS, raw=logprobs))

    def _call(self, found: WirePart, call: Call) -> list[Event]:
        self._calls += 1
        # Claude Code puts every call behind what else the model said: a seal that came behind its call would be another part's there.
        seal = None if found.thoughtSignature is None else Seal(self._origin, found.thoughtSignature)
        begun = ToolCall(call.id or f"call_{self._new_id}_{self._calls}", call.name, "", seal=seal)
        whole: list[Event] = [PartStarted(begun), Delta(arguments(call)), _ENDED]
        if self._open is None:
            return whole
        events: list[Event] = []
        self._close(events)
        return events + whole

    def _part(self, part: Part, events: list[Event]) -> None:
        match part:
            case Text(text=text, seal=seal) | Thinking(text=text, seal=seal):
                self._piece(_THINKING if isinstance(part, Thinking) else _TEXT, text, seal, events)
            case Audio(source=Inline(mime=mime, data=data)):
                self._sound(mime, data, events)
            case _:
                self._close(events)
                events += (PartStarted(part), PartEnded())

    def _piece(self, kind: Text | Thinking, text: str, seal: Seal | None, events: list[Event]) -> None:
        if not text and seal is None:
            return
        if self._open is not kind:
            self._close(events)
            self._open = kind
            events.append(PartStarted(kind))
        if text:
            if kind is _TEXT:
                self._said.append(text)
            events.append(Delta(text))
        if seal is not None:
            self._close(events, seal)

    def _sound(self, mime: str, data: str, events: list[Event]) -> None:
        """Base64 of pieces of sound is not the base64 of the whole, unless each piece is of whole threes of bytes: the rest waits."""
        if not isinstance(self._open, Audio) or self._audio != mime:
            self._close(events)
            self._open = Audio(Inline(mime, ""))
            self._audio = mime
            events.append(PartStarted(self._open))
        try:
            heard = self._carry + base64.b64decode(data)
        except binascii.Error:
            raise Unreadable("audio that is no base64") from None
        whole = len(heard) - len(heard) % 3
        self._carry = heard[whole:]
        if whole:
            events.append(Delta(base64.b64encode(heard[:whole]).decode()))

    def _close(self, events: list[Event], seal: Seal | None = None) -> None:
        part: Part | None = self._open
        if part is None:
            return
        if self._carry:
            events.append(Delta(base64.b64encode(self._carry).decode()))
            self._carry = b""
        cited = read_citations(self._grounding, "".join(self._said)) if part is _TEXT else ()
        events.append(PartEnded(seal, cited))
        self._open = None
        self._said = []

    def end(self) -> list[Event]:
        """A stream without a finish reason was cut."""
        events: list[Event] = []
        usage: Usage | None = usage_watched(self._usage, self._strays)
        finish = self._finish or self._blocked
        if self._failed or not self._started:
            return events
        if finish is None:
            return [Noted(usage=usage)] if usage is not None else events
        self._close(events)
        events += [Noted(dialect=NAME, what=name, raw=raw) for name, raw in self._late.items()]
        events.append(Finished(finish, usage))
        return events


def _bare(candidate: Candidate) -> bool:
    """Whether a candidate is its content alone, or with ratings, which some models give in every frame."""
    return not (
        candidate.groundingMetadata
        or candidate.logprobsResult
        or candidate.citationMetadata
        or candidate.urlContextMetadata
        or candidate.avgLogprobs
    )


def read_stream(origin: str, new_id: str) -> StreamReader:
    return StreamReader(origin, new_id)
