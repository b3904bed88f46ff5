"""Reading along a stream without holding it up: what was used, whether it is whole, how much was delivered.

A `Meter` works on read chunks, not on frames: keys and frame ends are found by scans in C, and only a frame with usage is parsed (per-frame
decoding costs about eight times as much). A dialect's meter is a subclass that names its marks and reads its usage. In no dialect do bytes
change here, but for the one frame that holds nothing but usage that Halley alone asked for.
"""

from __future__ import annotations

import re
from typing import ClassVar

import msgspec

from halley.chat.usage import Usage
from halley.wire import sse
from halley.wire.jsonbody import BROKEN

_COMMENT = re.compile(rb"^:[^\r\n]*(?:\r\n|\n|\r)(?:\r?\n|\r)?", re.MULTILINE)
_COMMENT_LINE = re.compile(rb"\n:")  # a third of the time of `in`, which looks for the colon
_TAIL = 4096
_LONG_TAIL = 4 * _TAIL
# How much of the end of one read is searched for usage, which by every grammar is followed by nothing but the end.
_TAIL_READ = 8192
_REST_LIMIT = 1 << 20
# How many frames at a stream's end show what stands around content there.
_LAST_FRAMES = 8


class _AnyObject(msgspec.Struct):
    """Whether a payload is all there."""


_decode_any = msgspec.json.Decoder(_AnyObject).decode


class Meter:
    """Counts bytes and frames, and keeps the last usage seen. An unfinished frame waits for its end.

    `usage` is the final report, `partial` the last one that came while the answer was still growing. `done`: the end marker's frame has
    been read, nothing of meaning follows. `bytes` and `frames` are one read behind: a stream that ends with its usage is not counted to
    the end. Comments, which keep a connection open and say nothing, are in neither; `counted` has both up to now.

    Marks of a dialect: `usage_word` stands before every report, `usage_begun` are its usual spellings up to the brace and `usage_key` all
    of them; `finish` matches what says why the answer ended; `done_word` is cheap to look for, and `done_frame` matches the whole line of
    the end; `error_word` and `error` the same for an error frame; `content` matches generated text, its first group, which is not empty;
    `lines` is how many line ends a frame has, the blank line's included.
    """

    usage_word: ClassVar[bytes] = b'"usage"'
    usage_begun: ClassVar[tuple[bytes, bytes]] = (b'"usage":{', b'"usage": {')
    usage_key: ClassVar[re.Pattern[bytes]] = re.compile(rb'"usage"\s*:\s*\{')
    finish: ClassVar[re.Pattern[bytes]]
    done_word: ClassVar[bytes]
    done_frame: ClassVar[re.Pattern[bytes]]
    error_word: ClassVar[bytes] = b'"error"'
    error: ClassVar[re.Pattern[bytes]]
    content: ClassVar[re.Pattern[bytes]]
    lines: ClassVar[int] = 2

    # fmt: off
    __slots__ = (
        "_aside_bytes", "_aside_frames", "_before", "_foreign", "_last", "_mark", "_overhead", "_recent", "_recent_size", "_splitter",
        "_strip", "bytes", "done", "frames", "partial", "usage",
    )
    # fmt: on

    def __init__(self, *, strip: bool) -> None:
        self._splitter = sse.Splitter()
        self._strip = strip
        # The last reads, at least `_TAIL` bytes of the stream; of whole frames, those of the last read are not counted yet.
        self._recent: list[bytes] = []
        self._recent_size = 0
        self._last = b""
        # What stands around the content of each frame of the kind that comes now, and bytes and frames that hold none; `_mark` stands in
        # every frame of that kind and `_foreign`, if it is not empty, in none; `_before` are the bytes of content of other kinds.
        self._overhead = self._aside_bytes = self._aside_frames = self._before = 0
        self._mark = self._foreign = b""
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
        if not splitter.waiting and data.endswith(b"\n\n"):
            complete = data
        else:
            complete = splitter.complete(data)
            if splitter.waiting > _REST_LIMIT:
                complete += splitter.drop()
            if not complete:
                return b""
        last = self._last
        if last:
            if last.count(b"\n") == self.lines and last[:1] != b":":  # one frame; as `counted`, without the call
                self.bytes += len(last)
                self.frames += 1
            else:
                self.bytes, self.frames = self.counted
        self._last = complete
        size = len(complete)
        # A line of its own: the same letters may stand in an answer's text. An upstream may go on talking after it, in the same read.
        marker = complete.rfind(self.done_word)
        if marker >= 0:
            line = max(complete.rfind(b"\n", 0, marker), 0)
            self.done = (self.done_frame.search(complete, line) or self.done_frame.search(complete, 0, line)) is not None
            if self.done and self.failed:
                complete = self.without_end(complete)
        if not self._overhead:
            self._measure(complete)
        elif complete.find(self._mark) < 0 or (self._foreign and complete.find(self._foreign) >= 0):
            self._turn(complete)
        late = size - _TAIL_READ if size > _TAIL_READ else 0
        place = complete.rfind(self.usage_word, late)
        if place >= 0:
            # Most providers write null into every frame but the last, like this; a search for all spellings costs ten times as much.
            null = complete.startswith(b"null", complete.find(b":", place) + 1)
            compact, spaced = self.usage_begun
            if not null or complete.find(compact, late, place) >= 0 or complete.find(spaced, late, place) >= 0:
                return self._with_usage(complete, late)
        return complete

    def _with_usage(self, complete: bytes, late: int) -> bytes:
        """Read the usage in the last frames, from the first that has some; return what stays of `complete`."""
        places = [place for begun in self.usage_begun if (place := complete.find(begun, late)) >= 0]
        if not places:
            match = self.usage_key.search(complete, late)
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
            frame = _without_comments(frame)
            if not frame:
                continue
            content = self.content.search(frame)
            if content is not None:
                self._overhead = len(frame) - len(content[1])
                self._mark, self._foreign = self.kind_of(frame, content)
                return
            self._aside_bytes += len(frame)
            self._aside_frames += 1

    def _turn(self, complete: bytes) -> None:
        """Content of another kind may begin, such as text after thoughts, or a call: it has other JSON around it, and is measured anew."""
        if self.content.search(complete) is None:
            return
        self._before += self._content_in(self.bytes, self.frames)
        self._aside_bytes, self._aside_frames = self.bytes, self.frames
        self._measure(complete)

    def _content_in(self, size: int, frames: int) -> int:
        """Bytes of content of the kind that comes now, in so many bytes and frames from the stream's start."""
        return max(size - self._aside_bytes - (frames - self._aside_frames) * self._overhead_now, 0)

    @property
    def _overhead_now(self) -> int:
        """What stands around the content of the last frames: numbers in it, such as a sum of tokens, have more digits than in the first.
        What a single frame has on top, such as sources, does not count."""
        found: list[int] = []
        for frame in [*sse.frames(self._said)][1:][-_LAST_FRAMES:]:
            content = self.content.search(frame)
            if content is not None and self.kind_of(frame, content) == (self._mark, self._foreign):
                found.append(len(frame) - len(content[1]))
        return max(self._overhead, min(found)) if len(found) > 1 else self._overhead

    def _read_usage(self, late: bytes) -> bytes | None:
        """Returns what stays of the last frames that were read, None when that is all of them."""
        kept: list[bytes] = []
        stripped = False
        ended: bool | None = None
        for frame in sse.frames(late):
            usage = self.usage_of(frame) if self.usage_key.search(frame) is not None else None
            alone = usage is not None and self.is_alone(frame)
            if not alone and not ended and self.finish.search(frame) is not None:
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
        here = max(len(read) - self._splitter.waiting - late, 0)
        return self.finish.search(read, max(here - _TAIL, 0), here) is not None

    @property
    def _cut_short(self) -> bool:
        """Whether the frame that has begun is not all there; also of one that has not begun."""
        payload = sse.payload(self._splitter.rest).strip()
        if payload == self.done_word:
            return False
        try:
            _decode_any(payload)
        except BROKEN:
            return True
        return False

    @property
    def _tail(self) -> bytes:
        """The last `_TAIL` bytes of the stream."""
        return b"".join(self._recent)[-_TAIL:]

    @property
    def _said(self) -> bytes:
        """The same without a frame that was cut short: nobody is shown it, so it says nothing."""
        rest = self._splitter.waiting
        return self._tail[:-rest] if rest and self._cut_short else self._tail

    # -- what a dialect knows -------------------------------------------------------------------------------------------------

    def kind_of(self, frame: bytes, content: re.Match[bytes]) -> tuple[bytes, bytes]:
        """What stands in every frame with this kind of content and in none of another kind, and what stands only in others, if anything."""
        return frame[content.start() : content.start(1)], b""

    def usage_of(self, frame: bytes) -> Usage | None:
        """The usage in a frame that has some, normalised; None if it makes no sense."""
        raise NotImplementedError

    def is_alone(self, frame: bytes) -> bool:
        """Whether a frame with usage holds nothing else, so that it may be taken out."""
        return False

    def without_end(self, complete: bytes) -> bytes:
        """Frames whose end marker comes after an error, without it: an error is no end that a client may take for a proper one."""
        return complete

    # -- what has been seen -----------------------------------------------------------------------------------------------------

    @property
    def delivered_bytes(self) -> int:
        """Bytes of content in whole frames, without the JSON around it (as much as frames of its kind showed) and the stream's end."""
        if not self._overhead:
            return 0
        tail = self._said
        end = self.finish.search(tail)
        trailer = tail[tail.rfind(b"data:", 0, end.start()) :] if end is not None else b""
        size, count = self.counted
        return self._before + self._content_in(size - len(trailer), count - (trailer.count(b"\n\n") or trailer.count(b"\n\r\n")))

    @property
    def finished(self) -> bool:
        """The answer is whole: the end marker or a finish reason came, and no error frame among the last ones."""
        tail = self._said
        # The marker may come without its blank line, at the end of the connection.
        ended = self.done or self.finish.search(tail) is not None or self.done_frame.search(tail) is not None
        return ended and not (self.error_word in tail and self.failed)

    @property
    def failed(self) -> bool:
        """The upstream ended its own stream with an error frame; the client has it in the provider's words."""
        said = self._said
        return self.error_word in said and self.error.search(said) is not None

    @property
    def counted(self) -> tuple[int, int]:
        """Bytes and frames up to now, the last read included. Counting single bytes is more than twice as fast as counting pairs."""
        last = _without_comments(self._last)
        if not last:
            return self.bytes, self.frames
        return self.bytes + len(last), self.frames + ((last.count(b"\n") or last.count(b"\r")) // self.lines or 1)


def _without_comments(complete: bytes) -> bytes:
    return complete if complete[:1] != b":" and _COMMENT_LINE.search(complete) is None else _COMMENT.sub(b"", complete)
