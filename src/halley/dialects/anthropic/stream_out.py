"""Events to a client's stream of Anthropic Messages: whole frames, each with the `event` line by which official SDKs know it.

A part of text, thinking or a call is a block with deltas, one at a time, with rising index; what seals it comes as the signature of its own
block, or of an empty thinking block beside it (see `sealing`). Claude Code takes the last block for the answer: a text's seal that is known
only when the text has been sent waits for what follows it, and behind the last text it is lost. A frame with text is written by hand around
the one string that is quoted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from halley.chat import untold
from halley.chat.doors import Asked
from halley.chat.events import Delta, Event, Failed, Finished, Noted, PartEnded, PartStarted, Started
from halley.chat.model import Audio, Citation, Extra, Loss, Part, Refusal, Seal, Text, Thinking, ToolCall
from halley.chat.usage import Usage
from halley.dialects.anthropic.answers import carrier, own_citations, split_extras, unseen, whole_block, write_tier
from halley.dialects.anthropic.errors import error_type
from halley.dialects.anthropic.finish import ENDS, USAGE_SAID, finish_words, usage_words
from halley.dialects.anthropic.sealing import written, written_behind

_quote: Final = msgspec.json.Encoder().encode
_DELTA: Final = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":'
_STOP: Final = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_TEXT: Final = b'{"type":"text","text":""}'
_THINKING: Final = b'{"type":"thinking","thinking":"","signature":""}'
_CARRIER: Final = _quote(carrier(""))
_END: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


class Writer:
    """One stream. `losses` grows."""

    # fmt: off
    __slots__ = (
        "_asked", "_before", "_begun", "_block", "_extras", "_index", "_kind", "_late", "_part", "_refused", "_seal", "_usage",
        "losses",
    )
    # fmt: on

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self.losses: list[Loss] = []
        self._index = 0
        self._refused = False
        self._late: Seal | None = None  # of the text before
        self._usage: Usage | None = None
        self._extras: list[Extra] = []
        self._clear()

    def _clear(self) -> None:
        self._part: Part | None = None
        # The block that the first delta of the open part starts, what seals it, and the kind of its deltas; None: nothing is to be shown.
        self._block: bytes | None = None
        self._seal: Seal | None = None
        self._kind = (b"", b"")
        # It has been started, and this is a delta of it up to its string.
        self._begun = False
        self._before = b""

    def write(self, events: Sequence[Event]) -> bytes:
        if len(events) == 1 and type(event := events[0]) is Delta and self._begun:
            return b"%b%b}}\n\n" % (self._before, _quote(event.text))
        return b"".join([_EVENTS[type(event)](self, event) for event in events])

    def _delta(self, event: Delta) -> bytes:
        if self._begun:
            return b"%b%b}}\n\n" % (self._before, _quote(event.text))
        if self._block is None:
            return b""
        return self._open(self._block) + self._delta(event)

    def _start(self, event: Started) -> bytes:
        self._usage = event.usage
        message: dict[str, object] = {
            "id": event.id or f"msg_{self._asked.id}",
            "type": "message",
            "role": "assistant",
            "model": self._asked.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_words(event.usage),
        }
        return b'event: message_start\ndata: {"type":"message_start","message":%b}\n\n' % _quote(message)

    def _start_part(self, event: PartStarted) -> bytes:
        late, self._late = self._late, None
        before = b"" if late is None else self._carry(written_behind(late))
        return before + self._begin_part(event.part)

    def _begin_part(self, part: Part) -> bytes:
        self._part = part
        match part:
            case Text(text=text):
                self._ready(_TEXT, b"text_delta", b"text", part.seal)
            case Refusal(text=text):
                self._refused = True
                self._ready(_TEXT, b"text_delta", b"text")
            case Thinking(text=text) if not part.redacted or part.seal is None:
                # It may turn out to have no words, and then is redacted.
                self._ready(_THINKING, b"thinking_delta", b"thinking")
            case ToolCall(id=given, name=name, arguments=text):
                id = _quote(given or f"toolu_{self._asked.id}_{self._index}")
                block = b'{"type":"tool_use","id":%b,"name":%b,"input":{}}' % (id, _quote(name))
                self._ready(block, b"input_json_delta", b"partial_json", part.seal)
                opened = self._open(block)
                return opened + self._delta(Delta(text)) if text else opened
            case Audio(transcript=str(text)):
                return self._spoken(text)
            case _:
                whole = whole_block(part)
                if whole is None:
                    unseen(part, self.losses)
                    self._part = None
                    return b""
                return self._start_block(_quote(whole))
        return self._delta(Delta(text)) if text else b""

    def _spoken(self, transcript: str) -> bytes:
        """Sound cannot be heard here: its deltas say nothing."""
        self.losses.append(Loss("content", "what was spoken is said by its transcript"))
        self._part = None
        block = self._start_block(_TEXT)
        return b"%b%b%b}}\n\n%b" % (block, _DELTA % (self._index, b"text_delta", b"text"), _quote(transcript), self._stop_block())

    def _ready(self, block: bytes, kind: bytes, field: bytes, seal: Seal | None = None) -> None:
        self._block, self._kind, self._seal = block, (kind, field), seal

    def _open(self, block: bytes) -> bytes:
        """The start of a block, behind what seals it."""
        said = b"" if self._seal is None else self._carry(written(self._seal))
        self._before = _DELTA % (self._index, *self._kind)
        self._begun = True
        return said + self._start_block(block)

    def _start_block(self, block: bytes) -> bytes:
        return b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n' % (
            self._index,
            block,
        )

    def _stop_block(self) -> bytes:
        self._index += 1
        return _STOP % (self._index - 1)

    def _signature(self, signature: str) -> bytes:
        return b"%b%b}}\n\n" % (_DELTA % (self._index, b"signature_delta", b"signature"), _quote(signature))

    def _carry(self, signature: str) -> bytes:
        """A block that seals its neighbour."""
        return self._start_block(_CARRIER) + self._signature(signature) + self._stop_block()

    def _end_part(self, event: PartEnded) -> bytes:
        part, begun, seal = self._part, self._begun, event.seal
        waiting = self._block is not None
        self._clear()
        match part:
            case None:
                return b""
            case Thinking() if waiting:
                return self._end_thinking(part, seal or part.seal, begun)
            case Text() if not begun:  # no block may be empty, and what seals it seals what is before
                self._late = seal or part.seal
                return b""
            case Text(citations=citations):
                self._late = seal
                return self._cited(event.citations or citations) + self._stop_block()
            case _:
                said = self._stop_block() if begun or not waiting else b""
        return said if seal is None else said + self._carry(written_behind(seal))

    def _end_thinking(self, part: Thinking, seal: Seal | None, begun: bool) -> bytes:
        if begun:
            return self._signature(written(seal)) + self._stop_block()
        if seal is None:
            return b""
        whole = whole_block(Thinking("", redacted=part.redacted, seal=seal))
        return self._carry(written(seal)) if whole is None else self._start_block(_quote(whole)) + self._stop_block()

    def _cited(self, citations: tuple[Citation, ...]) -> bytes:
        before = _DELTA % (self._index, b"citations_delta", b"citation")
        return b"".join([b"%b%b}}\n\n" % (before, bytes(raw)) for raw in own_citations(citations, self.losses)])

    def _note(self, event: Noted) -> bytes:
        self._usage = event.usage or self._usage
        if event.raw is not None:
            self._extras.append(Extra(event.dialect, event.what, event.raw))
        return b""

    def _finish(self, event: Finished) -> bytes:
        if self._late is not None:
            self.losses.append(Loss("content", "the signature of the last text came when it had been sent"))
        usage = event.usage or self._usage
        if usage is None:
            self.losses.append(Loss("usage", "the provider did not say what it counted; zeros stand for it"))
        self.losses += untold.of_finish(event.finish, ENDS) + untold.of_usage(usage, USAGE_SAID)
        container, tools = split_extras(self._extras, self.losses)
        delta = finish_words(event.finish, self._refused)
        if container is not None:
            delta["container"] = container
        last = {"type": "message_delta", "delta": delta, "usage": usage_words(usage, write_tier(event.service_tier, self.losses), tools)}
        return b"event: message_delta\ndata: %b\n\n%b" % (_quote(last), _END)

    def _fail(self, event: Failed) -> bytes:
        error = {"type": "error", "error": {"type": error_type(event.status), "message": event.message}}
        return b"event: error\ndata: %b\n\n" % _quote(error)


_EVENTS: Final[dict[type[Event], Callable[[Writer, Event], bytes]]] = {  # pyright: ignore[reportAssignmentType]
    Started: Writer._start,  # pyright: ignore[reportPrivateUsage]
    PartStarted: Writer._start_part,  # pyright: ignore[reportPrivateUsage]
    Delta: Writer._delta,  # pyright: ignore[reportPrivateUsage]
    PartEnded: Writer._end_part,  # pyright: ignore[reportPrivateUsage]
    Noted: Writer._note,  # pyright: ignore[reportPrivateUsage]
    Finished: Writer._finish,  # pyright: ignore[reportPrivateUsage]
    Failed: Writer._fail,  # pyright: ignore[reportPrivateUsage]
}


def write_stream(asked: Asked) -> Writer:
    return Writer(asked)
