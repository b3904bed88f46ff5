"""The grammar of an event stream in each of the four dialects: what must come, in which order, and what may come only once.

It reads server-sent events on its own, since a reader shared with the gateway would share its mistakes. Comments, unknown events, odd
chunking, any line end and a missing last blank line are nobody's fault. Pure; wording and counts are never looked at.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from halley.contract.checks import IDENTITY, Check, Wrong, ask, candidate_text, is_text, parsed
from halley.contract.evidence import UNREAD, Evidence, items, member, members

_LINE = re.compile(r"\r\n|\n|\r")


class Event(NamedTuple):
    """`value` is the data as JSON, UNREAD where it is none."""

    name: str
    text: str
    value: object


def events(body: bytes) -> list[Event]:
    """All events that have data. `body` may be the beginning of a stream: what has no blank line behind it counts too."""
    found: list[Event] = []
    name, lines = "", list[str]()
    for line in [*_LINE.split(body.decode("utf-8", "replace").removeprefix("\ufeff")), ""]:
        if not line:
            if lines:
                text = "\n".join(lines)
                found.append(Event(name, text, parsed(text)))
            name, lines = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            lines.append(value)
        elif field == "event":
            name = value
    return found


def _is_framed(evidence: Evidence) -> bool:
    return evidence.media_type == "text/event-stream"


FRAMED: tuple[Check, ...] = (
    ask("unexpected-status", lambda e: e.status == 200),
    ask("html-page", lambda e: not e.is_html()),
    IDENTITY,
    ask("empty-body", lambda e: e.body.strip() != b""),
    ask("stream-missing", lambda e: _is_framed(e) or not (e.is_json_type() or e.value() is not UNREAD)),
    ask("stream-type", _is_framed),
)


def _failed(event: Event) -> Wrong | None:
    if event.value is UNREAD:
        return Wrong("stream-frame")
    return Wrong("stream-error") if members(event.value).get("error") or event.name == "error" else None


def chat(evidence: Evidence) -> Wrong | None:
    """Chunks, one finish reason, the usage that was asked for, `[DONE]`, and nothing behind it."""
    said = counted = ended = False
    finishes = 0
    for event in events(evidence.body):
        if ended:
            return Wrong("stream-order", "data after [DONE]")
        if event.text.strip() == "[DONE]":
            ended = True
            continue
        if wrong := _failed(event):
            return wrong
        counted = counted or bool(members(member(event.value, "usage")))
        for choice in items(member(event.value, "choices")):
            delta = members(member(choice, "delta"))
            if is_text(delta.get("content")):
                if finishes:
                    return Wrong("stream-order", "content after the finish reason")
                said = True
            said = said or any(delta.get(name) for name in ("refusal", "reasoning_content", "reasoning", "tool_calls"))
            finishes += is_text(member(choice, "finish_reason"))
    if finishes != 1:
        return Wrong("stream-finish", "no finish reason" if not finishes else "more than one finish reason")
    if not ended:
        return Wrong("stream-end", "[DONE]")
    if not said:
        return Wrong("stream-empty")
    return None if counted else Wrong("stream-usage")


_TERMINAL = ("response.completed", "response.incomplete", "response.failed")


def responses(evidence: Evidence) -> Wrong | None:
    """`response.created` first, items opened before they grow, rising numbers, one terminal event last, usage in it."""
    number, said, ended = -1, False, False
    opened: set[object] = set()
    found = [event for event in events(evidence.body) if event.text.strip() != "[DONE]"]
    for at, event in enumerate(found):
        if wrong := _failed(event) if event.value is UNREAD or event.name == "error" else None:
            return wrong
        kind = member(event.value, "type")
        if kind == "error":
            return Wrong("stream-error")
        if event.name and event.name != kind:
            return Wrong("stream-event-names")
        if ended:
            return Wrong("stream-order", "an event after the terminal one")
        if at == 0 and kind != "response.created":
            return Wrong("stream-order", "the first event is not response.created")
        told = member(event.value, "sequence_number")
        if isinstance(told, int):
            if told <= number:
                return Wrong("stream-order", "sequence_number does not rise")
            number = told
        place = member(event.value, "output_index")
        if isinstance(place, list | dict):
            return Wrong("stream-order", "an output_index that is no number")
        if kind == "response.output_item.added":
            opened.add(place)
        elif kind == "response.output_item.done":
            if place not in opened:
                return Wrong("stream-order", "an item ends that has not begun")
            opened.discard(place)
        elif kind == "response.output_text.delta":
            if place not in opened:
                return Wrong("stream-order", "text of an item that has not begun")
            said = said or is_text(member(event.value, "delta"))
        elif kind in _TERMINAL:
            ended = True
            if kind == "response.failed":
                return Wrong("stream-error")
            if opened:
                return Wrong("stream-order", "an item that has not ended")
            if not members(member(member(event.value, "response"), "usage")):
                return Wrong("stream-usage")
    if not ended:
        return Wrong("stream-end", "a terminal event")
    return None if said else Wrong("stream-empty")


def messages(evidence: Evidence) -> Wrong | None:
    """`message_start`, blocks one at a time, `message_delta` with the stop reason, `message_stop` last; each event is named."""
    stage, block, said, stops = "new", None, False, 0
    for event in events(evidence.body):
        if wrong := _failed(event):
            return wrong
        kind = member(event.value, "type")
        if event.name != kind:
            return Wrong("stream-event-names")
        match kind:
            case "message_start":
                if stage != "new":
                    return Wrong("stream-order", "a second message_start")
                stage = "open"
            case "content_block_start" | "content_block_delta" | "content_block_stop" | "message_delta" | "message_stop" if stage != "open":
                return Wrong("stream-order", f"{kind} {'before message_start' if stage == 'new' else 'after message_stop'}")
            case "content_block_start":
                if block is not None:
                    return Wrong("stream-order", "a block begins inside another")
                block = member(event.value, "index")
            case "content_block_delta" | "content_block_stop":
                if block is None or block != member(event.value, "index"):
                    return Wrong("stream-order", f"{kind} of a block that is not open")
                said = said or is_text(member(member(event.value, "delta"), "text"))
                block = None if kind == "content_block_stop" else block
            case "message_delta":
                stops += is_text(member(member(event.value, "delta"), "stop_reason"))
                if not members(member(event.value, "usage")):
                    return Wrong("stream-usage")
            case "message_stop":
                stage = "ended"
                if block is not None:
                    return Wrong("stream-order", "a block that has not ended")
            case _:
                pass
    if stops != 1:
        return Wrong("stream-finish", "no stop reason" if not stops else "more than one stop reason")
    if stage != "ended":
        return Wrong("stream-end", "message_stop")
    return None if said else Wrong("stream-empty")


def gemini(evidence: Evidence) -> Wrong | None:
    """Each event a whole reply with new parts; the finish reason on the last with a candidate; usage at the end."""
    said = finished = counted = False
    for event in events(evidence.body):
        if wrong := _failed(event):
            return wrong
        candidates = items(member(event.value, "candidates"))
        if finished and candidate_text(event.value):
            return Wrong("stream-order", "text after the finish reason")
        said = said or candidate_text(event.value)
        finished = finished or any(is_text(member(each, "finishReason")) for each in candidates)
        counted = counted or bool(members(member(event.value, "usageMetadata")))
    if not finished:
        return Wrong("stream-finish", "no finish reason")
    if not said:
        return Wrong("stream-empty")
    return None if counted else Wrong("stream-usage")
