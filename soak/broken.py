"""Chat streams that break, made from dice: a good stream event by event, a fault at one of its events, and what a client may see of it.

Values only. `wire` is what an upstream writes, `seen` the frames that a client must get as they are, and whether an error must follow them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import NamedTuple

EVENTS = ("head", "role", "content", "reasoning", "tool", "finish", "usage", "done")
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\nconnection: close\r\n\r\n"
DONE = b"data: [DONE]\n\n"
_WORDS = (
    "plain",
    "G\u00fc\u00dfe",
    "\u4e16\u754c",
    "\U0001f30d\U0001f680",
    "data: [DONE]",
    "[DONE]",
    '"finish_reason":"stop"',
    '{"error":{}}',
    "a\n\nb",
    "\\u0000",
)


class Broken(NamedTuple):
    """`stalls`: the upstream keeps the connection open and says no more. `before`: nothing of the answer can have left, so another attempt
    is right."""

    name: str
    wire: bytes
    seen: tuple[bytes, ...]
    error: bool
    stalls: bool

    @property
    def before(self) -> bool:
        return not self.seen


def _frame(delta: dict[str, object], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return (
        b"data: " + json.dumps({"id": "x", "object": "chat.completion.chunk", "choices": [choice]}, ensure_ascii=False).encode() + b"\n\n"
    )


def _good(dice: random.Random) -> list[tuple[str, bytes]]:
    events = [("role", _frame({"role": "assistant", "content": ""}))]
    for number in range(dice.randrange(1, 12)):
        kind = dice.choice(("content", "content", "content", "reasoning", "tool"))
        text = f"{number}:{dice.choice(_WORDS)} "
        if kind == "tool":
            events.append((kind, _frame({"tool_calls": [{"index": 0, "function": {"arguments": text}}]})))
        else:
            events.append((kind, _frame({"content" if kind == "content" else "reasoning_content": text})))
    events.append(("finish", _frame({}, "stop")))
    usage = {"prompt_tokens": 3, "completion_tokens": 7, "total_tokens": 10}
    events.append(("usage", b"data: " + json.dumps({"id": "x", "choices": [], "usage": usage}).encode() + b"\n\n"))
    events.append(("done", DONE))
    return events


_LAST_WORDS: dict[str, bytes] = {
    "error-event": b'data: {"error": {"message": "overloaded", "type": "server_error", "code": null, "param": null}}\n\n',
    "named-error-event": b'event: error\ndata: {"error": {"message": "overloaded", "type": "server_error"}}\n\n',
}
_ODD_LINES: dict[str, bytes] = {
    "bad-json": b'data: {"choices":[{"index":0,"del\n\n',
    "bad-utf8": b'data: {"choices":[{"index":0,"delta":{"content":"\xe4\xb8 \xff\xf0\x9f"}}]}\n\n',
    "no-json": b"data: hello\n\n",
    "no-object": b"data: 5\n\n",
    "html": b"<html>\n<body>oops</body>\n\n",
    "comment": b": still here\n\n",
    "unknown-event": b"event: ping\ndata: {}\n\n",
    "odd-usage": b'data: {"choices": [], "usage": {"prompt_tokens": "many"}}\n\n',
}
_ENDS = ("cut", "cut-inside", "stall", "stall-inside", "ended", "bad-chunk", "cut-head", "no-blank-line")


def make(dice: random.Random, event: str | None = None) -> Broken:
    """One stream, broken at an event of this kind (default: any)."""
    event = event or dice.choice(EVENTS)
    events = _good(dice)
    where = next((place for place, (kind, _) in enumerate(events) if kind == event), 0)
    fault = dice.choice((*_ENDS, *_ENDS, *_LAST_WORDS, *_ODD_LINES))
    chunked = fault == "bad-chunk" or dice.random() < 0.6
    frame: Callable[[bytes], bytes] = (lambda data: b"%x\r\n%b\r\n" % (len(data), data)) if chunked else (lambda data: data)
    head = CHUNKED if chunked else UNTIL_CLOSE
    if event == "head" and fault not in _ODD_LINES:
        cut = dice.randrange(len(head)) if fault in ("cut-head", "cut-inside", "stall-inside") else len(head)
        return Broken(f"{fault} at head", head[:cut], (), True, "stall" in fault)
    before = [data for _, data in events[:where]]
    # The usage frame is Halley's own wish; the client has not asked for it.
    shown = tuple(data for kind, data in events[:where] if kind != "usage")
    sent = head + b"".join(frame(data) for data in before)
    name = f"{fault} before {event}"
    whole = where > [kind for kind, _ in events].index("finish")
    if fault in _ODD_LINES:
        rest = [data for _, data in events[where:]]
        kept = tuple(data for kind, data in events[where:] if kind != "usage")
        odd = _ODD_LINES[fault]
        wire = sent + frame(odd) + b"".join(frame(data) for data in rest) + (b"0\r\n\r\n" if chunked else b"")
        return Broken(name, wire, (*shown, odd, *kept), False, False)
    if fault in _LAST_WORDS:
        last = _LAST_WORDS[fault]
        tail = frame(last) + (frame(DONE) if dice.random() < 0.5 else b"") + (b"0\r\n\r\n" if chunked else b"")
        return Broken(name, sent + tail, (*shown, last), False, False)
    if fault == "no-blank-line":
        kind, data = events[where]
        shown, whole = (*shown, *((data,) if kind != "usage" else ())), whole or kind == "finish"
        sent += frame(data[:-2]) + (b"0\r\n\r\n" if chunked else b"")
    if fault in ("cut-inside", "stall-inside", "cut-head"):
        data = events[where][1]
        sent += (b"%x\r\n" % len(data) if chunked else b"") + data[: dice.randrange(1, len(data) - 2)]
    if fault == "bad-chunk":
        sent += b"zz\r\n"
    if fault == "ended" and chunked:
        sent += b"0\r\n\r\n"
    return Broken(name, sent, shown, not whole, "stall" in fault)
