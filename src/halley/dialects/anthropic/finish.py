"""Why an answer ended and what it used, in Anthropic's words and in those of the vocabulary.

`input_tokens` leaves out what was read from or written to a cache; the vocabulary counts every prompt token, so that reading adds and
writing subtracts. Words of `stop_reason` as the SDK's types of 2026-10 have them.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from halley.chat.model import Finish, Reason
from halley.chat.strays import Strays, Watch
from halley.chat.untold import Ends
from halley.chat.usage import Usage, tier_named
from halley.dialects.anthropic.left_out import LEFT_OUT
from halley.wire.jsonbody import BROKEN

# No context is as long. A larger figure is nonsense, which counts as no report: priced, it would not fit into a ledger's 64 bits.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]

_REASONS: Final[dict[str, Reason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "tool_use": "tool",
    "refusal": "refusal",
    "pause_turn": "pause",
    "model_context_window_exceeded": "context",
}
_WORDS: Final[dict[Reason, str]] = {
    **{reason: word for word, reason in _REASONS.items()},
    "filter": "refusal",
    "bad_call": "end_turn",  # the call that failed to be one is not in the answer
}
CATEGORIES: Final[frozenset[str]] = frozenset({"cyber", "bio", "frontier_llm", "reasoning_extraction", "general_harms"})
# An explanation stands beside a refusal alone, which is also the word for what a filter stopped.
ENDS: Final = Ends(frozenset(_REASONS.values()), frozenset({"refusal", "filter"}), CATEGORIES)
USAGE_SAID: Final = frozenset({"cache_read", "cache_write_5m", "cache_write_1h", "reasoning"})


class StopDetails(msgspec.Struct):
    category: str | None = None
    explanation: str | None = None


class _Creation(msgspec.Struct):
    ephemeral_5m_input_tokens: Count | None = None
    ephemeral_1h_input_tokens: Count | None = None


class _OutputDetails(msgspec.Struct):
    thinking_tokens: Count | None = None


class UsageWords(msgspec.Struct):
    """Usage on the wire. At the end of a stream those of the input may be absent: they have not changed."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_creation: _Creation | None = None
    output_tokens_details: _OutputDetails | None = None
    service_tier: str | None = None
    server_tool_use: msgspec.Raw = msgspec.Raw()


def usage_in(raw: msgspec.Raw) -> UsageWords | None:
    """The report in a field; one that makes no sense counts as none: the answer is good without it."""
    try:
        return _decode_usage(raw) if len(raw) else None
    except BROKEN:
        return None


def usage_watched(raw: msgspec.Raw, strays: Strays) -> UsageWords | None:
    """The same for who tells what of it is not known."""
    if len(raw) <= len(b"null"):
        return None
    try:
        return _USAGE.read(raw, strays)
    except BROKEN:
        strays.tell("usage", "the provider's report makes no sense")
        return None


def read_usage(words: UsageWords, before: Usage | None = None) -> Usage:
    """`before` is what the same stream said at its start; a later figure replaces an earlier one."""
    before = before or _NOTHING
    read = before.cache_read if words.cache_read_input_tokens is None else words.cache_read_input_tokens
    short, long = _written(words, before)
    fresh = before.input - before.cache_read - before.cache_write_5m - before.cache_write_1h
    if words.input_tokens is not None:
        fresh = words.input_tokens
    details = words.output_tokens_details
    return Usage(
        input=fresh + read + short + long,
        output=before.output if words.output_tokens is None else words.output_tokens,
        cache_read=read,
        cache_write_5m=short,
        cache_write_1h=long,
        reasoning=before.reasoning if details is None or details.thinking_tokens is None else details.thinking_tokens,
        tools=_tools(words.server_tool_use, before),
        service_tier=before.service_tier if words.service_tier is None else tier_named(words.service_tier),
    )


def _tools(raw: msgspec.Raw, before: Usage) -> dict[str, int]:
    """Calls of tools that the provider ran, by the names of a price list: `web_search_requests` is `web_search`."""
    if len(raw) == 0 or bytes(raw) == b"null":
        return before.tools
    try:
        found = _decode_tools(raw)
    except BROKEN:
        return before.tools
    return {name.removesuffix("_requests")[:64]: count for name, count in found.items() if count}


def _written(words: UsageWords, before: Usage) -> tuple[int, int]:
    """Tokens written to the cache for five minutes and for an hour. What is not said to be for an hour is for five minutes."""
    total, split = words.cache_creation_input_tokens, words.cache_creation
    if split is None:
        if total is None:
            return before.cache_write_5m, before.cache_write_1h
        long = min(before.cache_write_1h, total)
        return total - long, long
    short, long = split.ephemeral_5m_input_tokens or 0, split.ephemeral_1h_input_tokens or 0
    return short + max((total or 0) - short - long, 0), long


def usage_words(usage: Usage | None, tier: str | None = None, tools: msgspec.Raw | None = None) -> dict[str, object]:
    """Official SDKs fail without input_tokens and output_tokens, so that what nobody counted is zero."""
    usage = usage or _NOTHING
    written = usage.cache_write_5m + usage.cache_write_1h
    words: dict[str, object] = {
        "input_tokens": max(usage.input - usage.cache_read - written, 0),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.cache_write_5m, "ephemeral_1h_input_tokens": usage.cache_write_1h},
        "output_tokens": usage.output,
    }
    if usage.reasoning:
        words["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if tools is not None:
        words["server_tool_use"] = tools
    if tier is not None:
        words["service_tier"] = tier
    return words


def read_finish(word: str | None, sequence: str | None, details: StopDetails | None) -> Finish:
    """A word that is new, or none, ends an answer as a word would that is known."""
    reason = _REASONS.get(word or "end_turn")
    detail, category = (details.explanation, details.category) if details is not None else (None, None)
    return Finish(reason or "stop", sequence, detail, category or (word if reason is None else None))


def finish_words(finish: Finish, refused: bool) -> dict[str, object]:
    """`stop_reason`, `stop_sequence` and `stop_details`; `refused`: the answer has a refusal in words."""
    word = "refusal" if refused and finish.reason == "stop" else _WORDS[finish.reason]
    details: dict[str, object] | None = None
    if word == "refusal" and (finish.detail is not None or finish.word in CATEGORIES):
        category = finish.word if finish.word in CATEGORIES else None
        details = {"type": "refusal", "category": category, "explanation": finish.detail}
    return {"stop_reason": word, "stop_sequence": finish.stop_sequence if word == "stop_sequence" else None, "stop_details": details}


_NOTHING: Final = Usage()
_decode_tools: Final = msgspec.json.Decoder(dict[str, Count | None]).decode
_decode_usage: Final = msgspec.json.Decoder(UsageWords | None).decode
_USAGE: Final = Watch(UsageWords, LEFT_OUT, "usage")
