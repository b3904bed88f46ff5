"""Words of this dialect for things that answers and streams share: reasons to end, usage, citations, errors inside a stream."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from halley.chat.model import Citation, Finish, Reason
from halley.chat.untold import Ends
from halley.chat.usage import Usage
from halley.errors import Condition

_READ: dict[str, Reason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool",
    "function_call": "tool",
    "content_filter": "filter",
}
_WRITTEN: dict[Reason, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "pause": "stop",
    "bad_call": "stop",
    "length": "length",
    "context": "length",
    "tool": "tool_calls",
    "filter": "content_filter",
    "refusal": "content_filter",
}
# A refusal has words of its own here, or is what `content_filter` says.
ENDS = Ends(frozenset({"stop", "length", "tool", "filter", "refusal"}), frozenset({"refusal"}))
_BY_STATUS = {condition.status: condition.value for condition in reversed(Condition)}


class UrlCitation(msgspec.Struct):
    url: str = ""
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class Annotation(msgspec.Struct):
    type: str = ""
    url_citation: UrlCitation | None = None


USAGE_SAID = frozenset({"cache_read", "cache_write_5m", "reasoning", "audio_in", "audio_out", "image_in", "image_out"})


def read_finish(word: str | None, refused: bool, called: bool) -> Finish:
    """An unknown word is an end like any other, and kept. A refusal that the answer holds ends it naturally in this dialect. So do calls
    that were demanded (OpenAI says "stop" then), and at some hosts all of them: clients of other dialects run no tool without the word."""
    reason = _READ.get(word or "stop", "stop")
    if called and reason == "stop":
        reason = "tool"
    return Finish("refusal" if refused and reason == "stop" else reason, word=word if word not in _READ else None)


def write_finish(finish: Finish, refused: bool) -> str:
    return "stop" if refused and finish.reason == "refusal" else _WRITTEN[finish.reason]


def write_usage(usage: Usage) -> dict[str, object]:
    prompt = {"cached_tokens": usage.cache_read, "audio_tokens": usage.audio_in}
    written = usage.cache_write_5m + usage.cache_write_1h
    if written:
        prompt["cache_write_tokens"] = written
    if usage.image_in:
        prompt["image_tokens"] = usage.image_in
    output = {"reasoning_tokens": usage.reasoning, "audio_tokens": usage.audio_out}
    if usage.image_out:
        output["image_tokens"] = usage.image_out
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": output,
    }


def read_annotations(annotations: Iterable[Annotation]) -> tuple[Citation, ...]:
    return tuple(
        Citation(found.url, found.title, found.start_index, found.end_index)
        for annotation in annotations
        if (found := annotation.url_citation) is not None
    )


def write_annotations(citations: Iterable[Citation]) -> list[dict[str, object]]:
    """Those that have an address; where one has no place in the text it gets none."""
    return [
        {
            "type": "url_citation",
            "url_citation": {"url": each.url, "title": each.title or "", "start_index": each.start or 0, "end_index": each.end or 0},
        }
        for each in citations
        if each.url is not None
    ]


def write_failure(message: str, status: int, code: str) -> dict[str, object]:
    """The error object of a stream that its provider broke off."""
    wire = _BY_STATUS.get(status) or (Condition.INVALID if 400 <= status < 500 else Condition.UPSTREAM).value
    return {"error": {"message": message, "type": wire.openai_type, "param": None, "code": code or wire.openai_code}}
