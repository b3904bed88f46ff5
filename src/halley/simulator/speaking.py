"""An answer on its way: the frames of a dialect or its one document, with what the script does to them on the way out.

It knows dialects as records only. What is written counts as generated, and the attempt of the bill grows with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec

from halley.simulator import chat, completions, gemini, messages, responses
from halley.simulator.bill import Attempt
from halley.simulator.body import Body, Cut
from halley.simulator.heard import Heard
from halley.simulator.http import Connection
from halley.simulator.plan import Frame, Reply, Usage, reported
from halley.simulator.schema import Json
from halley.simulator.script import Script

JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
_COMMENT = b": a comment"
_GARBAGE = b"this is no frame \xff\xfe{"


class Dialect(NamedTuple):
    """`failed` is told how many frames came before it; `oddity` is an event that no client knows, `ping` what is sent when idle."""

    name: str
    document: Callable[[Reply, Heard, Script], Json]
    frames: Callable[[Reply, Heard, Script], Iterator[Frame]]
    failure: Callable[[int, str, str | None, str | None], bytes]
    failed: Callable[[int], Frame]
    oddity: Frame | None
    ping: Frame | None
    asks_for_usage: bool
    """A stream holds its usage only where the request asked for it."""
    fields: dict[str, str]
    """Header fields that every answer of this dialect has."""
    stream_kind: str = ""
    """The content-type of its streams where they are no server-sent events; `render` writes a frame of them."""
    render: Callable[[Frame], bytes] | None = None


CHAT = Dialect(
    "chat",
    chat.document,
    chat.frames,
    chat.failure,
    chat.failed,
    Frame(b'{"object":"future.thing","choices":[]}'),
    None,
    asks_for_usage=True,
    fields={},
)
COMPLETIONS = CHAT._replace(name="completions", document=completions.document, frames=completions.frames)
# Its own generator makes the unknown events, because they are numbered like every other.
RESPONSES = Dialect(
    "responses", responses.document, responses.frames, responses.failure, responses.failed, None, None, asks_for_usage=False, fields={}
)
MESSAGES = Dialect(
    "messages",
    messages.document,
    messages.frames,
    messages.failure,
    messages.failed,
    Frame(b'{"type":"future_thing"}', 0, "future_thing"),
    Frame(b'{"type":"ping"}', 0, "ping"),
    asks_for_usage=False,
    fields={"request-id": "req_of_the_simulator"},
)
GEMINI = Dialect(
    "gemini",
    gemini.document,
    gemini.frames,
    gemini.failure,
    gemini.failed,
    Frame(b'{"futureThing":{}}'),
    None,
    asks_for_usage=False,
    fields={},
)


class Answer(NamedTuple):
    """One answer to give. `array` streams as one JSON array, which only Gemini does."""

    dialect: Dialect
    heard: Heard
    reply: Reply
    script: Script
    array: bool = False

    @property
    def tells_usage(self) -> bool:
        asked = not self.dialect.asks_for_usage or self.heard.wishes.include_usage
        return (asked and self.script.usage != "none") or self.script.usage in ("each-chunk", "early")


async def stream(body: Body, connection: Connection, attempt: Attempt, answer: Answer) -> str:
    """Returns the outcome. Raises Cut and Gone."""
    script, dialect, array = answer.script, answer.dialect, answer.array
    kind = {"content-type": dialect.stream_kind} if dialect.stream_kind else {}
    await body.start(200, (JSON if array else SSE) | kind | dialect.fields, None)
    newline = b"\r\n" if script.crlf else b"\n"
    between = () if array else _between(dialect, script)
    pieces, output = 0, answer.reply.usage.completion - script.audio_completion_tokens
    for sent, frame in enumerate(dialect.frames(answer.reply, answer.heard, script)):
        said = frame
        if frame.tokens:
            if pieces == script.stall_after:
                await connection.rest(None)
            if pieces == script.cut_after:
                connection.close()
                raise Cut
            if pieces == script.error_frame_after:
                await body.write(_rendered(dialect, dialect.failed(sent), newline, array, sent) + (b"]" if array else b""))
                body.end()
                return "failed"
            if pieces == script.garbage_after:
                await body.write(_GARBAGE + newline * 2)
            if script.chunk_delay_ms and not script.halves:
                await connection.rest(script.chunk_delay_ms / 1000)
            for extra in between:
                await body.write(extra + newline * 2 if isinstance(extra, bytes) else _rendered(dialect, extra, newline, array, sent))
            if script.bad_json and not pieces:
                said = frame._replace(data=frame.data[: len(frame.data) // 2])
            pieces += 1
        elif script.closing_delay_ms and pieces and attempt.completion_tokens >= output:
            await connection.rest(script.closing_delay_ms / 1000)
        # Counted before the write: a frame that a cut breaks in two was generated all the same.
        attempt.completion_tokens += frame.tokens
        written = _rendered(dialect, said, newline, array, sent)
        if script.halves and frame.tokens:
            await body.write(written[: len(written) // 2])
            await connection.rest(script.chunk_delay_ms / 1000)
            written = written[len(written) // 2 :]
        await body.write(written)
    if script.closing_delay_ms:
        await connection.rest(script.closing_delay_ms / 1000)
    if array:
        await body.write(b"]")
    attempt.completion_tokens = answer.reply.usage.completion
    if answer.tells_usage:
        attempt.reported = reported(answer.reply.usage, script).counts()
    body.end()
    return "complete"


async def whole(
    body: Body, connection: Connection, attempt: Attempt, script: Script, dialect: Dialect, usage: Usage, told: Usage, document: Json
) -> str:
    """Returns the outcome. `told` is what the document says of `usage`.

    With a delay per piece the answer grows before it is sent, and a hang-up pays for what had grown.
    """
    if script.chunk_delay_ms or script.stall_after is not None:
        while attempt.completion_tokens < usage.completion:
            await connection.rest(None if attempt.completion_tokens == script.stall_after else script.chunk_delay_ms / 1000)
            attempt.completion_tokens += 1
    attempt.completion_tokens = usage.completion
    if script.error_frame_after is not None:
        data = dialect.failure(500, "The model failed.", None, None)
    else:
        data = msgspec.json.encode(document)
        data = data[: len(data) // 2] if script.bad_json else data
        if script.usage != "none":
            attempt.reported = told.counts()
    await body.start(200, JSON | dialect.fields, len(data))
    await body.write(data)
    body.end()
    return "failed" if script.error_frame_after is not None else "complete"


def _between(dialect: Dialect, script: Script) -> tuple[bytes | Frame, ...]:
    """What stands before each piece."""
    extras: list[bytes | Frame] = []
    if script.comments:
        extras.append(_COMMENT)
    if script.pings:
        extras.append(dialect.ping or _COMMENT)
    if script.unknown_events and dialect.oddity is not None:
        extras.append(dialect.oddity)
    return tuple(extras)


def _rendered(dialect: Dialect, frame: Frame, newline: bytes, array: bool, sent: int) -> bytes:
    if dialect.render is not None:
        return dialect.render(frame)
    if array:
        return (b",\r\n" if sent else b"[") + frame.data
    if frame.event:
        return b"event: %b%bdata: %b%b%b" % (frame.event.encode(), newline, frame.data, newline, newline)
    return b"data: %b%b%b" % (frame.data, newline, newline)
