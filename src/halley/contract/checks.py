"""What a reply must be, as small questions to its evidence: each returns what is wrong, or None.

None looks at wording, length, latency, token counts, prices or quotas: those are no part of a contract. What a `Wrong` says is made of our
own words only, never of the reply's.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import msgspec

from halley.contract.evidence import UNREAD, Evidence, content, holds_content, items, member, members


class Wrong(NamedTuple):
    """`code` is a row of the table of findings, `what` fills the place of that name in its cause."""

    code: str
    what: str = ""


Check = Callable[[Evidence], Wrong | None]


def ask(code: str, holds: Callable[[Evidence], bool], what: str = "") -> Check:
    return lambda evidence: None if holds(evidence) else Wrong(code, what)


def shape(path: str, holds: Callable[[object], bool]) -> Check:
    """The reply, as JSON, has this field."""
    return ask("reply-shape", lambda evidence: holds(evidence.value()), path)


def is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def first(value: object) -> object:
    found = items(value)
    return found[0] if found else UNREAD


def says_why(value: object) -> bool:
    """An error or a message, also inside the array in which Google's streams refuse."""
    return bool(members(items(value)[0] if items(value) else value).keys() & {"error", "message"})


def _says_error(value: object) -> bool:
    # `"error": null` is how several servers say that there is none; `success: false` is how a hosted gateway hides one.
    return bool(members(value).get("error")) or member(value, "success") is False


IDENTITY = ask("compressed-reply", lambda e: e.fields.get("content-encoding", "identity").lower() == "identity")
PLAIN = (
    ask("unexpected-status", lambda e: e.status == 200),
    ask("html-page", lambda e: not e.is_html()),
    IDENTITY,
    ask("empty-body", lambda e: e.body.strip() != b""),
)
DOCUMENT = (
    PLAIN[0],
    ask("event-stream", lambda e: not e.is_event_stream()),
    *PLAIN[1:],
    ask("not-json", lambda e: e.value() is not UNREAD),
    ask("content-type", Evidence.is_json_type),
    ask("error-with-200", lambda e: not _says_error(e.value())),
)
REFUSES = (
    ask("html-page", lambda e: not e.is_html()),
    ask("unexpected-status", lambda e: e.status is not None and 400 <= e.status < 500),
    IDENTITY,
    ask("not-json", lambda e: e.value() is not UNREAD),
    ask("content-in-error", lambda e: not holds_content(e.value())),
    ask("error-shape", lambda e: says_why(e.value())),
)


def _message(value: object) -> object:
    return member(first(member(value, "choices")), "message")


def _call(value: object) -> object:
    return first(member(_message(value), "tool_calls"))


def _arguments(evidence: Evidence) -> bool:
    text = member(member(_call(evidence.value()), "function"), "arguments")
    return isinstance(text, str) and isinstance(parsed(text), dict)


def parsed(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return UNREAD


def _structured(evidence: Evidence) -> bool:
    text = content(evidence.value())
    return isinstance(text, str) and isinstance(member(parsed(text), "answer"), str)


CHOICES = (
    *DOCUMENT,
    ask("no-choices", lambda e: isinstance(member(e.value(), "choices"), list)),
    ask("empty-choices", lambda e: bool(items(member(e.value(), "choices")))),
)
CHAT = (*CHOICES, ask("content-missing", lambda e: is_text(content(e.value())), "choices[0].message.content"))
TOOLS = (
    *CHOICES,
    ask("tool-call-missing", lambda e: bool(members(_call(e.value())))),
    shape("choices[0].message.tool_calls[0].id", lambda v: is_text(member(_call(v), "id"))),
    shape("choices[0].message.tool_calls[0].type", lambda v: member(_call(v), "type") == "function"),
    shape("choices[0].message.tool_calls[0].function.name", lambda v: member(member(_call(v), "function"), "name") == "get_weather"),
    ask("tool-arguments", _arguments),
)
STRUCTURED = (*CHAT, ask("not-structured", _structured))


def _output_text(value: object) -> bool:
    """The text of a response stands in the parts of its message items."""
    return any(
        is_text(member(part, "text"))
        for item in items(member(value, "output"))
        if member(item, "type") == "message"
        for part in items(member(item, "content"))
        if member(part, "type") == "output_text"
    )


RESPONSE = (
    *DOCUMENT,
    shape("id", lambda v: is_text(member(v, "id"))),
    shape("object", lambda v: member(v, "object") == "response"),
    shape("status", lambda v: is_text(member(v, "status"))),
    shape("output", lambda v: isinstance(member(v, "output"), list)),
    ask("content-missing", lambda e: _output_text(e.value()), "output[].content[].text"),
    shape("usage", lambda v: bool(members(member(v, "usage")))),
)
MESSAGE = (
    *DOCUMENT,
    shape("type", lambda v: member(v, "type") == "message"),
    shape("role", lambda v: member(v, "role") == "assistant"),
    shape("content", lambda v: isinstance(member(v, "content"), list)),
    ask("content-missing", lambda e: any(is_text(member(b, "text")) for b in items(member(e.value(), "content"))), "content[].text"),
    shape("stop_reason", lambda v: is_text(member(v, "stop_reason"))),
    shape("usage", lambda v: bool(members(member(v, "usage")))),
)


def candidate_text(value: object) -> bool:
    parts = items(member(member(first(member(value, "candidates")), "content"), "parts"))
    return any(is_text(member(part, "text")) for part in parts)


GENERATED = (
    *DOCUMENT,
    shape("candidates", lambda v: bool(items(member(v, "candidates")))),
    ask("content-missing", lambda e: candidate_text(e.value()), "candidates[0].content.parts[].text"),
    shape("candidates[0].finishReason", lambda v: is_text(member(first(member(v, "candidates")), "finishReason"))),
)


def _vector(value: object) -> bool:
    numbers = items(member(first(member(value, "data")), "embedding"))
    return bool(numbers) and all(isinstance(each, int | float) and not isinstance(each, bool) for each in numbers)


def _listed(value: object) -> bool:
    entries = items(member(value, "data"))
    return bool(entries) and all(is_text(member(entry, "id")) for entry in entries)


EMBEDDED = (*DOCUMENT, shape("data[0].embedding", _vector))
LISTED = (*DOCUMENT, shape("data[].id", _listed))


def _picture(value: object) -> bool:
    entry = first(member(value, "data"))
    return is_text(member(entry, "url")) or is_text(member(entry, "b64_json"))


PICTURE = (*DOCUMENT, shape("data[0].url or data[0].b64_json", _picture))
TRANSCRIBED = (*DOCUMENT, shape("text", lambda v: isinstance(member(v, "text"), str)))


def binary(kind: str) -> tuple[Check, ...]:
    """A body of that kind, or one that says nothing of its kind; JSON is what a failure hidden behind 200 looks like."""
    kinds = (kind, "application/octet-stream", "binary/octet-stream", "")
    return (
        *PLAIN,
        ask("error-with-200", lambda e: not e.is_json_type() or not _says_error(e.value())),
        ask("media-type", lambda e: e.media_type.startswith(kinds[0]) or e.media_type in kinds[1:], kind.rstrip("/")),
    )


TASK_STATES = ("queued", "in_progress", "completed", "failed", "error", "cancelled")
TASK = (
    *DOCUMENT[1:-1],  # a task that has failed holds its error
    shape("id", lambda v: is_text(member(v, "id"))),
    shape("status", lambda v: member(v, "status") in TASK_STATES),
)
SUBMITTED = (ask("unexpected-status", lambda e: e.status in (200, 201, 202)), *TASK)
POLLED = (ask("unexpected-status", lambda e: e.status == 200), *TASK)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


ALLOWANCE = (*DOCUMENT, shape("hard_limit_usd", lambda v: _is_number(member(v, "hard_limit_usd"))))
SPENT = (*DOCUMENT, shape("total_usage", lambda v: _is_number(member(v, "total_usage"))))


def waits(text: str) -> bool:
    """Whether it is what Retry-After may be: whole seconds, or a date (RFC 9110, 10.2.3)."""
    if text.isascii() and text.isdigit():
        return len(text) <= 10
    try:
        datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT")
    except ValueError:
        return False
    return True


def _waited(evidence: Evidence) -> bool:
    return all(waits(evidence.fields[name].strip()) for name in ("retry-after", "retry-after-ms") if name in evidence.fields)


THROTTLED = (
    IDENTITY,
    ask("not-json", lambda e: e.value() is not UNREAD),
    ask("content-type", Evidence.is_json_type),
    ask("content-in-error", lambda e: not holds_content(e.value())),
    ask("error-shape", lambda e: says_why(e.value())),
    ask("retry-after-missing", lambda e: "retry-after" in e.fields or "retry-after-ms" in e.fields),
    ask("retry-after-shape", _waited),
)
