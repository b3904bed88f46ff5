"""An OpenAI Chat Completions answer: what it used, whether it is whole, and the meter that reads along a stream.

Whole answers and streams pass to the client as they are; this module only looks. The grammar of the stream stands in `openai_chat`.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from halley.chat.usage import Usage
from halley.wire import sse

# No context is as long. A larger figure is nonsense, which counts as no report: priced, it would not fit into a ledger's 64 bits.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


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
        except (msgspec.DecodeError, RecursionError):  # what the first reading did not get to may be no JSON at all
            return None
    except (msgspec.DecodeError, RecursionError):
        return None
    return Whole(usage, len(reply.choices) > 0 and bytes(reply.choices) != _NULL)


def content_bytes(body: bytes) -> int:
    """Bytes of generated text and arguments in a whole answer: what an own count is made from when no usage was reported."""
    return sum(len(match[1]) for match in _CONTENT.finditer(body))


_USAGE_BEGUN = (b'"usage":{', b'"usage": {')
_USAGE_KEY = re.compile(rb'"usage"\s*:\s*\{')
_FINISH = re.compile(rb'"finish_reason"\s*:\s*"[^"]')
_DONE_FRAME = re.compile(rb"^data: ?\[DONE\][ \t\r]*$", re.MULTILINE)
_ERROR = re.compile(rb'^data: ?\{\s*"error"\s*:', re.MULTILINE)
_EMPTY_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_CONTENT = re.compile(rb'"(?:content|reasoning_content|reasoning|arguments)"\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)"')
_TAIL = 4096
_LONG_TAIL = 4 * _TAIL
# How much of the end of one read is searched for usage, which by the grammar is followed by nothing but the end marker.
_TAIL_READ = 8192
_REST_LIMIT = 1 << 20


class Meter:
    """Reads along a stream without holding it up: counts bytes and frames, and keeps the last usage seen.

    It works on read chunks: keys and frame ends are found by scans in C, and only a frame with usage is parsed. The one frame that holds
    nothing but usage is taken out if `strip` says that Halley alone asked for it. An unfinished frame waits for its end.

    `usage` is the final report, `partial` the last one that came while the answer was still growing. `done`: the end marker's frame has
    been read, nothing of meaning follows. `frames` is one read behind: a stream that ends with its usage is not counted to the end.
    """

    # fmt: off
    __slots__ = (
        "_last", "_lead_bytes", "_lead_frames", "_overhead", "_recent", "_recent_size", "_splitter", "_strip", "bytes", "done",
        "frames", "partial", "usage",
    )
    # fmt: on

    def __init__(self, *, strip: bool) -> None:
        self._splitter = sse.Splitter()
        self._strip = strip
        # The last reads, at least `_TAIL` bytes of the stream; of whole frames, those of the last read are not counted yet.
        self._recent: list[bytes] = []
        self._recent_size = 0
        self._last = b""
        self._overhead = self._lead_bytes = self._lead_frames = 0
        self.bytes = 0
        self.frames = 0
        self.done = False
        self.usage: Usage | None = None
        self.partial: Usage | None = None

    def feed(self, data: bytes) -> bytes:
        """Take what was read; return what the client gets now: whole frames only, so that an error event can follow at any time."""
        size = len(data)
        if size >= _TAIL:
            self._recent = [data]
            self._recent_size = size
        else:
            self._recent.append(data)
            self._recent_size += size
            if self._recent_size > _LONG_TAIL:
                self._recent = [self._tail]
                self._recent_size = _TAIL
        splitter = self._splitter
        if not splitter.rest and data.endswith(b"\n\n"):
            complete = data
        else:
            complete = splitter.complete(data)
            if len(splitter.rest) > _REST_LIMIT:
                complete += splitter.rest
                splitter.rest = b""
            if not complete:
                return b""
        if self._last:
            self.frames += _count(self._last)
        self._last = complete
        size = len(complete)
        self.bytes += size
        # A line of its own: the same letters may stand in an answer's text. An upstream may go on talking after it, in the same read.
        marker = complete.rfind(b"[DONE]")
        if marker >= 0:
            line = max(complete.rfind(b"\n", 0, marker), 0)
            self.done = (_DONE_FRAME.search(complete, line) or _DONE_FRAME.search(complete, 0, line)) is not None
            if self.done and self.failed:  # an error is no end that a client may take for a proper one
                complete = _DONE_FRAME.split(complete, 1)[0]
        if not self._overhead:
            self._measure(complete)
        late = size - _TAIL_READ if size > _TAIL_READ else 0
        place = complete.rfind(b'"usage"', late)
        if place >= 0:
            # Most providers write null into every frame but the last, like this; a search for all spellings costs ten times as much.
            null = complete.startswith(b":null", place + 7)
            compact, spaced = _USAGE_BEGUN
            if not null or complete.find(compact, late, place) >= 0 or complete.find(spaced, late, place) >= 0:
                return self._with_usage(complete, late)
        return complete

    def _with_usage(self, complete: bytes, late: int) -> bytes:
        """Read the usage in the last frames, from the first that has some; return what stays of `complete`."""
        places = [place for begun in _USAGE_BEGUN if (place := complete.find(begun, late)) >= 0]
        if not places:
            match = _USAGE_KEY.search(complete, late)
            if match is None:
                return complete
            places = [match.start()]
        start = sse.frame_start(complete, min(places))
        kept = self._read_usage(complete[start:])
        return complete if kept is None else complete[:start] + kept

    def rest(self) -> bytes:
        """The frame that the stream ended in without its blank line, read and given as if it had one; empty if it was cut short."""
        if self._cut_short:
            return b""
        self.bytes -= 2
        return self.feed(b"\n\n")

    def _measure(self, complete: bytes) -> None:
        """Find the first frame with content: what stands around it in every such frame, and how much came before it."""
        for frame in sse.frames(complete):
            content = _CONTENT.search(frame)
            if content is not None and content[1]:
                self._overhead = len(frame) - len(content[1])
                return
            self._lead_bytes += len(frame)
            self._lead_frames += 1

    def _read_usage(self, late: bytes) -> bytes | None:
        """Returns what stays of the last frames that were read, None when that is all of them."""
        kept: list[bytes] = []
        stripped = False
        ended: bool | None = None
        for frame in sse.frames(late):
            usage = self._usage_in(frame)
            alone = usage is not None and _EMPTY_CHOICES.search(frame) is not None
            if not alone and not ended and _FINISH.search(frame) is not None:
                ended = True
            if usage is not None:
                if not alone and ended is None:
                    ended = self._ended_before(len(late))
                if alone or ended:
                    self.usage = usage
                else:
                    self.partial = usage
                if alone and self._strip:
                    stripped = True
                    continue
            kept.append(frame)
        return b"".join(kept) if stripped else None

    def _ended_before(self, late: int) -> bool:
        """Whether a finish reason came before the last `late` bytes of whole frames."""
        read = b"".join(self._recent)
        here = max(len(read) - len(self._splitter.rest) - late, 0)
        return _FINISH.search(read, max(here - _TAIL, 0), here) is not None

    @property
    def _cut_short(self) -> bool:
        """Whether the frame that has begun is not all there; also of one that has not begun."""
        payload = sse.payload(self._splitter.rest)
        return payload.strip() != b"[DONE]" and read_whole(payload) is None

    @property
    def _tail(self) -> bytes:
        """The last `_TAIL` bytes of the stream."""
        return b"".join(self._recent)[-_TAIL:]

    @property
    def _said(self) -> bytes:
        """The same without a frame that was cut short: nobody is shown it, so it says nothing."""
        rest = len(self._splitter.rest)
        return self._tail[:-rest] if rest and self._cut_short else self._tail

    def _usage_in(self, frame: bytes) -> Usage | None:
        if _USAGE_KEY.search(frame) is None:
            return None
        try:
            return _usage(_decode_reply(sse.payload(frame)).usage)
        except msgspec.DecodeError:
            return None

    @property
    def delivered_bytes(self) -> int:
        """Bytes of content in whole frames, without the JSON around it (as much as the first content frame showed) and the stream's end."""
        if not self._overhead:
            return 0
        tail = self._said
        end = _FINISH.search(tail)
        trailer = tail[tail.rfind(b"data:", 0, end.start()) :] if end is not None else b""
        frames = self.frames + _count(self._last) - self._lead_frames - (trailer.count(b"\n\n") or trailer.count(b"\n\r\n"))
        return max(self.bytes - self._lead_bytes - len(trailer) - frames * self._overhead, 0)

    @property
    def finished(self) -> bool:
        """The answer is whole: the end marker or a finish reason came, and no error frame among the last ones."""
        tail = self._said
        # The marker may come without its blank line, at the end of the connection.
        ended = self.done or _FINISH.search(tail) is not None or _DONE_FRAME.search(tail) is not None
        return ended and not (b'"error"' in tail and self.failed)

    @property
    def failed(self) -> bool:
        """The upstream ended its own stream with an error frame; the client has it in the provider's words."""
        said = self._said
        return b'"error"' in said and _ERROR.search(said) is not None


def _count(complete: bytes) -> int:
    """A frame of this dialect is one line and a blank one. Counting single bytes is more than twice as fast as counting pairs."""
    return ((complete.count(b"\n") or complete.count(b"\r")) >> 1 or 1) if complete else 0
