"""OpenAI Chat Completions on the wire: what a request asks for, what an answer used, how an error looks.

The stream's grammar, frame by frame (`data: {…chunk…}`, blank line between):

    role chunk · content, reasoning and tool-call chunks · finish chunk (finish_reason set) · usage chunk (choices empty, only if asked) ·
    [DONE]

A broken stream has `data: {"error": …}` instead of its end and no [DONE]. In the same dialect bytes pass as they are; only the meter reads
along. Facts: OpenAI's published schema (ChatCompletion*, CompletionUsage) and CometAPI's chat reference, read 2026-11.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

import msgspec

from halley.chat.peek import Peek
from halley.chat.usage import Usage
from halley.errors import Condition, Refused
from halley.wire import jsonbody, sse

Role = Literal["user", "assistant", "system", "tool", "developer", "function"]
# No context is as long. A larger figure is nonsense, which counts as no report: priced, it would not fit into a ledger's 64 bits.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Cap = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


MOST_IMAGES = 1500


class _Url(msgspec.Struct):
    url: str


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    image_url: _Url | None = None


class _Message(msgspec.Struct):
    role: Role
    content: str | list[_Part] | None = None
    tool_calls: list[msgspec.Raw] | None = None
    tool_call_id: str | None = None
    function_call: msgspec.Raw = msgspec.Raw()
    refusal: str | None = None
    audio: msgspec.Raw = msgspec.Raw()


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Ask(msgspec.Struct):
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    max_tokens: Cap | None = None
    max_completion_tokens: Cap | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None


_decode_ask = msgspec.json.Decoder(_Ask).decode
_CORE = frozenset(_Ask.__struct_fields__)
_JUDGED_INSIDE = {"stream_options": b"", "messages": b"image_url"}


def peek(body: bytes) -> Peek:
    """Check the documented core of a request and read what routing and billing need. Raises Refused, naming the field."""
    if not body.strip():
        raise Refused(Condition.INVALID, "The body is empty; send a JSON object with model and messages.")
    try:
        jsonbody.gate(body)
        members = jsonbody.members(body)
        jsonbody.check_one_reading(body, members, _CORE, _JUDGED_INSIDE)
    except jsonbody.Malformed as error:
        raise Refused(Condition.INVALID, str(error)) from None
    try:
        ask = _decode_ask(body)
    except msgspec.DecodeError as error:
        raise _invalid(str(error)) from None
    seen = _seen(ask, members)
    for index, message in enumerate(ask.messages):
        content = message.content
        if content is None:
            _check_empty(message, index)
        elif type(content) is list:
            _check_parts(content, index, seen.image_urls)
        if message.role == "tool" and message.tool_call_id is None:
            raise _missing(f"messages[{index}].tool_call_id", "a tool message names the call it answers")
    if len(seen.image_urls) > MOST_IMAGES:
        raise Refused(Condition.INVALID, f"messages: at most {MOST_IMAGES} images are taken in one request.", param="messages")
    return seen


def _seen(ask: _Ask, members: jsonbody.Members) -> Peek:
    low, high = ask.max_tokens, ask.max_completion_tokens
    cap = high if low is None else low if high is None else max(low, high)
    if len(members.get("stream_options", b"")) > jsonbody.SMALL:
        raise Refused(Condition.INVALID, f"stream_options: at most {jsonbody.SMALL} bytes are taken.", param="stream_options")
    wants_usage = bool(ask.stream_options is not None and ask.stream_options.include_usage)
    return Peek(ask.model, bool(ask.stream), ask.n or 1, cap, wants_usage, [], members)


def _check_empty(message: _Message, index: int) -> None:
    spoke = message.tool_calls or len(message.function_call) or message.refusal is not None or len(message.audio)
    if message.role != "assistant" or not spoke:
        raise _missing(f"messages[{index}].content", "content may be absent or null only on an assistant message with tool_calls")


def _check_parts(parts: list[_Part], index: int, urls: list[str]) -> None:
    for number, part in enumerate(parts):
        if part.image_url is not None:  # whatever the part calls itself
            urls.append(part.image_url.url)
        elif part.type == "image_url":
            raise _missing(f"messages[{index}].content[{number}].image_url", "an image_url part has an object with url")
        elif part.type == "text" and part.text is None:
            raise _missing(f"messages[{index}].content[{number}].text", "a text part has text")


def _missing(param: str, why: str) -> Refused:
    return Refused(Condition.INVALID, f"{param} is missing: {why}.", param=param)


def _invalid(text: str) -> Refused:
    """A validation error of the decoder (`Expected X, got Y - at `$.path``) in the caller's spelling."""
    reason, _, path = text.partition(" - at `$")
    reason = reason[:300]  # it quotes the value
    param = path.rstrip("`").lstrip(".").replace("[...]", "[]") or None
    if reason.startswith("Object missing required field `"):
        field = reason.split("`")[1]
        param = f"{param}.{field}" if param else field
        return Refused(Condition.INVALID, f"{param} is missing.", param=param)
    if reason.startswith("Invalid enum value"):
        reason += "; known are " + ", ".join(get_args(Role))
    return Refused(Condition.INVALID, f"{param}: {reason[0].lower()}{reason[1:]}." if param else f"{reason}.", param=param)


def outbound(body: bytes, seen: Peek, model: str, cap: int | None, cap_field: str) -> bytes:
    """The body for an upstream of the same dialect: the very bytes, but for the model's name there, a usage frame that Halley itself needs,
    and an output cap when one had to be set (`cap_field` is the upstream's name for it)."""
    changes: dict[str, bytes] = {}
    if model != seen.model:
        changes["model"] = msgspec.json.encode(model)
    if seen.stream and not seen.wants_usage:
        changes["stream_options"] = _with_usage(seen.members.get("stream_options"))
    if cap is not None:
        changes[cap_field] = b"%d" % cap
    return jsonbody.set_members(body, seen.members, changes) if changes else body


def _with_usage(options: msgspec.Raw | bytes | None) -> bytes:
    if options is None or bytes(options) == b"null":
        return b'{"include_usage":true}'
    raw = bytes(options)
    return jsonbody.set_members(raw, jsonbody.members(raw), {"include_usage": b"true"})


# ---- what an answer used ------------------------------------------------------------------------------------------------------------


class _PromptDetails(msgspec.Struct):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: Count | None = None
    audio_tokens: Count | None = None
    image_tokens: Count | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: Count
    completion_tokens: Count
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


class _Reply(msgspec.Struct):
    usage: _Usage | None = None
    choices: msgspec.Raw = msgspec.Raw()


class _OddReply(msgspec.Struct):
    """A reply whose usage is not what the schema says: the answer counts, the usage does not."""

    choices: msgspec.Raw = msgspec.Raw()


_decode_reply = msgspec.json.Decoder(_Reply).decode
_decode_odd_reply = msgspec.json.Decoder(_OddReply).decode
_NO_PROMPT = _PromptDetails()
_NO_OUTPUT = _OutputDetails()
_NULL = b"null"


def _usage(found: _Usage | None) -> Usage | None:
    """Normalised usage, None when there is none: zero counts as zero."""
    if found is None:
        return None
    prompt = found.prompt_tokens_details or _NO_PROMPT
    output = found.completion_tokens_details or _NO_OUTPUT
    return Usage(
        found.prompt_tokens,
        found.completion_tokens,
        prompt.cached_tokens or 0,
        prompt.cache_write_tokens or 0,
        0,
        output.reasoning_tokens or 0,
        prompt.audio_tokens or 0,
        output.audio_tokens or 0,
        prompt.image_tokens or 0,
        output.image_tokens or 0,
    )


class Whole(msgspec.Struct, frozen=True):
    """A whole answer, read: `answered` says that it holds choices (an error object with status 200 does not)."""

    usage: Usage | None
    answered: bool


def read_whole(body: bytes) -> Whole | None:
    """Usage of a non-streamed answer, nonsense counting as absent; None when the body is not a JSON object."""
    try:
        reply = _decode_reply(body)
        usage = _usage(reply.usage)
    except msgspec.ValidationError:
        try:
            reply, usage = _decode_odd_reply(body), None
        except msgspec.ValidationError:
            return None
    except (msgspec.DecodeError, RecursionError):
        return None
    return Whole(usage, len(reply.choices) > 0 and bytes(reply.choices) != _NULL)


def content_bytes(body: bytes) -> int:
    """Bytes of generated text and arguments in a whole answer: what an own count is made from when no usage was reported."""
    return sum(len(match[1]) for match in _CONTENT.finditer(body))


_USAGE_KEY = re.compile(rb'"usage"\s*:\s*\{')
_FINISH = re.compile(rb'"finish_reason"\s*:\s*"[^"]')
_DONE_FRAME = re.compile(rb"^data: ?\[DONE\][ \t\r]*$", re.MULTILINE)
_ERROR = re.compile(rb'^data: ?\{\s*"error"\s*:', re.MULTILINE)
_EMPTY_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_CONTENT = re.compile(rb'"(?:content|reasoning_content|reasoning|arguments)"\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)"')
_TAIL = 4096
# How much of the end of one read is searched for usage, which by the grammar is followed by nothing but the end marker.
_TAIL_READ = 8192
_REST_LIMIT = 1 << 20


class Meter:
    """Reads along a stream without holding it up: counts bytes and frames, and keeps the last usage seen.

    It works on read chunks: keys and frame ends are found by scans in C, and only a frame with usage is parsed. The one frame that holds
    nothing but the usage Halley itself asked for is taken out. An unfinished frame waits for its end.

    `usage` is the final report, `partial` the last one that came while the answer was still growing. `done`: the end marker's frame has
    been read, nothing of meaning follows.
    """

    # fmt: off
    __slots__ = (
        "_lead_bytes", "_lead_frames", "_overhead", "_splitter", "_strip", "_tail", "bytes", "done", "frames", "partial", "usage",
    )
    # fmt: on

    def __init__(self, seen: Peek) -> None:
        self._splitter = sse.Splitter()
        self._strip = not seen.wants_usage
        self._tail = b""
        self._overhead = self._lead_bytes = self._lead_frames = 0
        self.bytes = 0
        self.frames = 0
        self.done = False
        self.usage: Usage | None = None
        self.partial: Usage | None = None

    def feed(self, data: bytes) -> bytes:
        """Take what was read; return what the client gets now: whole frames only, so that an error event can follow at any time."""
        before = self._tail
        self._tail = data[-_TAIL:] if len(data) >= _TAIL else (self._tail + data)[-_TAIL:]
        splitter = self._splitter
        complete = splitter.complete(data)
        if len(splitter.rest) > _REST_LIMIT:
            complete += splitter.rest
            splitter.rest = b""
        if complete:
            self.bytes += len(complete)
            # A frame of this dialect is one line and a blank one. Counting single bytes is more than twice as fast as counting pairs.
            self.frames += (complete.count(b"\n") or complete.count(b"\r")) >> 1 or 1
            # A line of its own: the same letters may stand in an answer's text. An upstream may go on talking after it, in the same read.
            late = len(complete) - _TAIL_READ if len(complete) > _TAIL_READ else 0
            marker = complete.rfind(b"[DONE]")
            if marker >= 0:
                line = max(complete.rfind(b"\n", 0, marker), 0)
                self.done = (_DONE_FRAME.search(complete, line) or _DONE_FRAME.search(complete, 0, line)) is not None
            if not self._overhead:
                self._measure(complete)
            match = _USAGE_KEY.search(complete, late)
            if match is not None:
                start = sse.frame_start(complete, match.start())
                ended = _FINISH.search(before) is not None or _FINISH.search(complete, max(start - _TAIL, 0), start) is not None
                complete = complete[:start] + self._read_usage(complete[start:], ended)
        return complete

    def rest(self) -> bytes:
        """The frame that the stream ended in without a blank line."""
        return self._splitter.rest

    def _measure(self, complete: bytes) -> None:
        """Find the first frame with content: what stands around it in every such frame, and how much came before it."""
        for frame in sse.frames(complete):
            content = _CONTENT.search(frame)
            if content is not None and content[1]:
                self._overhead = len(frame) - len(content[1])
                return
            self._lead_bytes += len(frame)
            self._lead_frames += 1

    def _read_usage(self, complete: bytes, ended: bool) -> bytes:
        kept: list[bytes] = []
        for frame in sse.frames(complete):
            ended = ended or _FINISH.search(frame) is not None
            if _USAGE_KEY.search(frame) is not None:
                try:
                    usage = _usage(_decode_reply(sse.payload(frame)).usage)
                except msgspec.DecodeError:
                    usage = None
                if usage is not None:
                    alone = _EMPTY_CHOICES.search(frame) is not None
                    if alone or ended:
                        self.usage = usage
                    else:
                        self.partial = usage
                    if alone and self._strip:
                        continue
            kept.append(frame)
        return b"".join(kept)

    @property
    def delivered_bytes(self) -> int:
        """Bytes of content in whole frames, without the JSON around it (as much as the first content frame showed) and the stream's end."""
        if not self._overhead:
            return 0
        end = _FINISH.search(self._tail)
        trailer = self._tail[self._tail.rfind(b"data:", 0, end.start()) :] if end is not None else b""
        frames = self.frames - self._lead_frames - (trailer.count(b"\n\n") or trailer.count(b"\n\r\n"))
        return max(self.bytes - self._lead_bytes - len(trailer) - frames * self._overhead, 0)

    @property
    def finished(self) -> bool:
        """The answer is whole: the end marker or a finish reason came, and no error frame among the last ones."""
        tail = self._tail
        # The marker may come without its blank line, at the end of the connection.
        ended = self.done or _FINISH.search(tail) is not None or _DONE_FRAME.search(tail) is not None
        return ended and (b'"error"' not in tail or _ERROR.search(tail) is None)

    @property
    def failed(self) -> bool:
        """The upstream ended its own stream with an error frame; the client has it in the provider's words."""
        return _ERROR.search(self._tail) is not None


# ---- errors -----------------------------------------------------------------------------------------------------------------------------


def write_error(refusal: Refused, request_id: str) -> tuple[int, bytes, bytes]:
    """Status, extra header fields, body. Shape: `{"error": {message, type, param, code}}`."""
    del request_id  # travels in the x-request-id header alone
    wire = refusal.condition.value
    error = {"message": refusal.message, "type": wire.openai_type, "param": refusal.param, "code": wire.openai_code}
    return wire.status, b"", msgspec.json.encode({"error": error})


def write_error_event(refusal: Refused, request_id: str) -> bytes:
    """The error as the last frame of a stream; official SDKs raise on a data object with `error`."""
    return sse.render(write_error(refusal, request_id)[2])


def is_error(body: bytes) -> bool:
    """Whether a non-2xx body is an error that a client of this dialect can read: an object with `error`, `message` or `detail`."""
    try:
        found = jsonbody.members(body)
    except jsonbody.Malformed:
        return False
    return "error" in found or "message" in found or "detail" in found
