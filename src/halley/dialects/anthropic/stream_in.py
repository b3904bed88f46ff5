"""A provider's stream of Anthropic Messages to events.

    message_start · { content_block_start · content_block_delta* · content_block_stop }* · message_delta · message_stop

with `ping` anywhere and `error` as the end of a stream that failed. The signature of thinking and the citations of text come as deltas and
belong to the end of their part. Events that are unknown are left out, and told: they are announced to be possible.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from halley.chat.doors import Unreadable
from halley.chat.events import Delta, Event, Failed, Finished, Noted, PartEnded, PartStarted, Started
from halley.chat.model import Citation, Finish, Loss, Seal, Text, Thinking, ToolCall
from halley.chat.strays import Strays, Watch
from halley.chat.usage import Usage
from halley.dialects.anthropic.answers import (
    TOOLS_USED,
    RedactedWords,
    TextWords,
    ThinkingWords,
    ToolUseWords,
    cited,
    opaque,
    present,
    read_tier,
    read_words,
)
from halley.dialects.anthropic.blocks_in import read_citation
from halley.dialects.anthropic.errors import STATUSES
from halley.dialects.anthropic.finish import StopDetails, read_finish, read_usage, usage_watched
from halley.dialects.anthropic.left_out import LEFT_OUT, PASSED_OVER
from halley.dialects.anthropic.sealing import NAME
from halley.wire import jsonbody
from halley.wire.jsonbody import BROKEN


class _Message(msgspec.Struct):
    id: str = ""
    model: str = ""
    usage: msgspec.Raw = msgspec.Raw()
    # Nothing is known of these yet.
    content: msgspec.Raw = msgspec.Raw()
    stop_reason: msgspec.Raw = msgspec.Raw()
    stop_sequence: msgspec.Raw = msgspec.Raw()
    stop_details: msgspec.Raw = msgspec.Raw()


class _MessageStart(msgspec.Struct):
    message: msgspec.Raw


class _BlockStart(msgspec.Struct):
    content_block: msgspec.Raw
    index: int = 0


class _Piece(msgspec.Struct, gc=False):
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: msgspec.Raw = msgspec.Raw()


class _BlockDelta(msgspec.Struct, gc=False):
    delta: _Piece
    index: int = 0


class _End(msgspec.Struct):
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    container: msgspec.Raw = msgspec.Raw()


class _MessageDelta(msgspec.Struct):
    delta: msgspec.Raw
    usage: msgspec.Raw = msgspec.Raw()


class _Error(msgspec.Struct):
    type: str = ""
    message: str = ""


class _ErrorEvent(msgspec.Struct):
    error: _Error


class _Any(msgspec.Struct):
    type: str = ""


# Of things that a whole answer has as well, the places are those that they have there.
_START: Final = Watch(_MessageStart, LEFT_OUT, "message_start")
_MESSAGE: Final = Watch(_Message, LEFT_OUT)
_BLOCK_START: Final = Watch(_BlockStart, LEFT_OUT, "content_block_start")
_DELTA: Final = Watch(_BlockDelta, LEFT_OUT, "content_block_delta")
_MESSAGE_DELTA: Final = Watch(_MessageDelta, LEFT_OUT, "message_delta")
_LAST: Final = Watch(_End, LEFT_OUT)
_ERROR: Final = Watch(_ErrorEvent, LEFT_OUT, "error")
_STOPS: Final = {name: Watch(_Any, LEFT_OUT, name) for name in ("content_block_stop", "message_stop")}
_decode_delta: Final = _DELTA.decode
_decode_any: Final = msgspec.json.Decoder(_Any).decode
_EMPTY: Final = (b"{}", b"null", b"")
_NOTHING: Final = (b"[]", b"null", b"")
_NOT_YET: Final = ("content", "stop_reason", "stop_sequence", "stop_details")


class Reader:
    """One stream. `origin` is stamped on signatures; `new_id` makes ids of calls that have none."""

    # fmt: off
    __slots__ = (
        "_arguments", "_blocks", "_citations", "_earlier", "_finish", "_held", "_index", "_new_id", "_open", "_origin", "_over", "_said",
        "_seal", "_started", "_strays", "_tier", "_usage",
    )
    # fmt: on

    def __init__(self, origin: str, new_id: str) -> None:
        self._origin = origin
        self._new_id = new_id
        self._strays = Strays()
        self._blocks = 0
        self._index = -1  # of the block that is open, or was last
        self._earlier: set[int] = set()
        self._open = False
        self._over = self._started = False
        self._usage: Usage | None = None
        self._tier: str | None = None
        self._finish: Finish | None = None
        self._clear()

    def _clear(self) -> None:
        self._seal: list[str] = []
        self._citations: list[Citation] = []
        # A block that only this dialect has waits for its end, since it comes whole; `_said` is what came of its input.
        self._held: msgspec.Raw | None = None
        self._said: list[str] = []
        # Some providers give the arguments of a call at its start and no deltas.
        self._arguments = b""

    @property
    def losses(self) -> tuple[Loss, ...]:
        return self._strays.losses

    def feed(self, payload: bytes, name: bytes = b"") -> list[Event]:
        """Raises Unreadable."""
        try:
            if name == b"content_block_delta":
                return self._delta(payload)
            return self._other(payload, name)
        except (*BROKEN, jsonbody.Malformed) as error:
            raise Unreadable(f"no event of a message: {error}"[:300]) from None

    def end(self) -> list[Event]:
        """A stream that said why it ends has said all, whether or not its last event came."""
        if self._over or self._open or self._finish is None:
            return []
        return self._begun(self._stop(b""))

    def _other(self, payload: bytes, name: bytes) -> list[Event]:
        if self._over:
            return []
        found = name.decode("latin-1") or _decode_any(payload).type
        if found == "content_block_delta":
            return self._delta(payload)
        read = _EVENTS.get(found)
        if read is None:
            if found not in PASSED_OVER:
                self._strays.tell_event(found)
            return []
        if found in _STOPS:
            _STOPS[found].read(payload, self._strays)
        return self._begun(read(self, payload))

    def _begun(self, events: list[Event]) -> list[Event]:
        """Some providers forget to say that a message begins."""
        if events and not self._started:
            self._started = True
            if not isinstance(events[0], Started | Failed):
                return [Started("", ""), *events]
        return events

    def _delta(self, payload: bytes) -> list[Event]:
        try:
            found = _decode_delta(payload)
        except msgspec.ValidationError:
            found = _DELTA.again(payload, self._strays)
        if found.index != self._index and found.index in self._earlier and not self._over:
            # It would become a part of another block, of another call's arguments perhaps.
            raise Unreadable(f"more of block {found.index} after block {self._index} has begun")
        piece = found.delta
        text = piece.text or piece.thinking or piece.partial_json
        if text:
            if not self._open:
                if self._over:
                    return []
                raise Unreadable("more of a block that has not begun")
            if self._held is not None:
                self._said.append(text)
                return []
            self._arguments = b""
            return [Delta(text)]
        if piece.signature is not None:
            self._seal.append(piece.signature)
        elif len(piece.citation):
            self._citations.append(read_citation(piece.citation, self._strays))
        return []

    def _start(self, payload: bytes) -> list[Event]:
        message = _MESSAGE.read(_START.read(payload, self._strays).message, self._strays)
        for name in _NOT_YET:
            if bytes(getattr(message, name)) not in _NOTHING:
                self._strays.tell(name, "an answer that begins has not said it yet")
        usage = usage_watched(message.usage, self._strays)
        if usage is not None:
            self._usage = read_usage(usage)
            self._tier = read_tier(usage.service_tier)
        return [] if self._started else [Started(message.id, message.model, usage=self._usage)]

    def _block_start(self, payload: bytes) -> list[Event]:
        events = self._block_stop(payload) if self._open else []
        self._open = True
        found = _BLOCK_START.read(payload, self._strays)
        self._earlier.add(self._index)
        self._index = found.index
        raw = found.content_block
        block = read_words(raw, self._strays)
        if block is None:
            self._held = raw.copy()
            return events
        self._blocks += 1
        text = ""
        match block:
            case TextWords(text=text):
                events.append(PartStarted(Text("")))
                self._citations = list(cited(block, self._strays))
            case ThinkingWords(thinking=text):
                events.append(PartStarted(Thinking("")))
                self._seal = [block.signature]
            case RedactedWords(data=data):
                events.append(PartStarted(Thinking("", redacted=True, seal=Seal(self._origin, data) if data else None)))
            case ToolUseWords():
                events.append(PartStarted(ToolCall(block.id or f"toolu_{self._new_id}_{self._blocks}", block.name, "")))
                given = bytes(block.input)
                self._arguments = b"" if given in _EMPTY else given
        if text:
            events.append(Delta(text))
        return events

    def _block_stop(self, payload: bytes) -> list[Event]:
        if not self._open:
            return []
        self._open = False
        events: list[Event] = []
        if self._held is not None:
            raw = _with_input(self._held, "".join(self._said))
            events = [PartStarted(opaque(raw)), PartEnded()]
        else:
            if self._arguments:
                events.append(Delta(self._arguments.decode()))
            seal = "".join(self._seal)
            events.append(PartEnded(Seal(self._origin, seal) if seal else None, tuple(self._citations)))
        self._clear()
        return events

    def _message_delta(self, payload: bytes) -> list[Event]:
        found = _MESSAGE_DELTA.read(payload, self._strays)
        events = self._block_stop(payload)
        usage = usage_watched(found.usage, self._strays)
        if usage is not None:
            self._usage = read_usage(usage, self._usage)
            self._tier = read_tier(usage.service_tier) or self._tier
            events.append(Noted(usage=self._usage))
            if present(usage.server_tool_use):
                events.append(Noted(dialect=NAME, what=TOOLS_USED, raw=usage.server_tool_use.copy()))
        end = _LAST.read(found.delta, self._strays)
        if present(end.container):
            events.append(Noted(dialect=NAME, what="container", raw=end.container.copy()))
        if end.stop_reason is not None:
            self._finish = read_finish(end.stop_reason, end.stop_sequence, end.stop_details)
        return events

    def _stop(self, payload: bytes) -> list[Event]:
        self._over = True
        return [*self._block_stop(payload), Finished(self._finish or read_finish(None, None, None), self._usage, self._tier)]

    def _error(self, payload: bytes) -> list[Event]:
        self._over = True
        self._open = False
        error = _ERROR.read(payload, self._strays).error
        return [Failed(error.message or "The provider ended the stream with an error.", STATUSES.get(error.type, 0), error.type)]


_EVENTS: Final[dict[str, Callable[[Reader, bytes], list[Event]]]] = {
    "message_start": Reader._start,  # pyright: ignore[reportPrivateUsage]
    "content_block_start": Reader._block_start,  # pyright: ignore[reportPrivateUsage]
    "content_block_stop": Reader._block_stop,  # pyright: ignore[reportPrivateUsage]
    "message_delta": Reader._message_delta,  # pyright: ignore[reportPrivateUsage]
    "message_stop": Reader._stop,  # pyright: ignore[reportPrivateUsage]
    "error": Reader._error,  # pyright: ignore[reportPrivateUsage]
}


def _with_input(block: msgspec.Raw, said: str) -> msgspec.Raw:
    """A block of a server's tool with the input that was streamed. Raises msgspec.DecodeError."""
    if not said:
        return block
    msgspec.json.decode(said)
    raw = bytes(block)
    return msgspec.Raw(jsonbody.set_members(raw, jsonbody.members(raw), {"input": said.encode()}))


def read_stream(origin: str, new_id: str) -> Reader:
    return Reader(origin, new_id)
