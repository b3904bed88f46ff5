"""What was delivered is known nearly to the byte, whatever kinds of content an answer has and however its frames grow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from halley.chat.meter import Meter
from halley.dialects.anthropic.meter import MessagesMeter
from halley.dialects.gemini.reply import GeminiMeter
from halley.dialects.openai_chat.reply import ChatMeter
from halley.dialects.openai_responses.metering import ResponsesMeter

PIECE = "amber "
KINDS = ("thought", "text", "call", "thought", "text")
COUNT = 40


def chat(kind: str, number: int) -> tuple[str, dict[str, Any]]:
    deltas: dict[str, dict[str, Any]] = {
        # As OpenRouter: the field of the text is there, and empty.
        "thought": {"role": "assistant", "content": "", "reasoning": PIECE},
        "text": {"role": "assistant", "content": PIECE, "reasoning": None},
        "call": {"tool_calls": [{"index": 0, "function": {"arguments": PIECE}}]},
    }
    return "", {"id": "x", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": deltas[kind], "finish_reason": None}]}


def responses(kind: str, number: int) -> tuple[str, dict[str, Any]]:
    event = {"thought": "reasoning_summary_text", "text": "output_text", "call": "function_call_arguments"}[kind]
    more = {"logprobs": [], "content_index": 0} if kind == "text" else {}
    return f"response.{event}.delta", {"type": f"response.{event}.delta", "sequence_number": number, "item_id": "x", **more, "delta": PIECE}


def messages(kind: str, number: int) -> tuple[str, dict[str, Any]]:
    key = {"thought": "thinking", "text": "text", "call": "partial_json"}[kind]
    named = {"thought": "thinking_delta", "text": "text_delta", "call": "input_json_delta"}[kind]
    return "content_block_delta", {"type": "content_block_delta", "index": 0, "delta": {"type": named, key: PIECE}}


def gemini(kind: str, number: int) -> tuple[str, dict[str, Any]]:
    part = {"text": PIECE, "thought": True} if kind == "thought" else {"text": PIECE}
    usage = {"promptTokenCount": 5, "candidatesTokenCount": number, "totalTokenCount": number + 5}
    return "", {"candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}], "usageMetadata": usage}


DIALECTS: dict[str, tuple[type[Meter], Callable[[str, int], tuple[str, dict[str, Any]]]]] = {
    "chat": (ChatMeter, chat),
    "responses": (ResponsesMeter, responses),
    "messages": (MessagesMeter, messages),
    "gemini": (GeminiMeter, gemini),
}


def frames(dialect: str) -> Iterator[bytes]:
    for part, kind in enumerate(KINDS):
        for number in range(COUNT):
            name, payload = DIALECTS[dialect][1](kind, 1 + part * COUNT + number)
            yield (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(payload, separators=(",", ":")).encode() + b"\n\n"


@pytest.mark.parametrize("reads", [1, 3])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_thoughts_text_and_calls_are_counted_each_by_its_own_frames(dialect: str, reads: int) -> None:
    meter = DIALECTS[dialect][0](strip=False)
    sent = list(frames(dialect))
    for first in range(0, len(sent), reads):
        meter.feed(b"".join(sent[first : first + reads]))
    wanted = len(PIECE) * len(sent)
    # What grows in the frames of a kind, such as a sum of tokens, is taken as large as it is in the last of them.
    assert 0.8 * wanted <= meter.delivered_bytes <= 1.05 * wanted, (meter.delivered_bytes, wanted)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_one_frame_with_much_on_top_takes_nothing_from_the_others(dialect: str) -> None:
    meter = DIALECTS[dialect][0](strip=False)
    sent = [frame for number, frame in enumerate(frames(dialect)) if KINDS[number // COUNT] == "text"]
    for frame in [*sent[:-1], sent[-1].replace(b"data: {", b'data: {"sources":"%b",' % (b"x" * 2000))]:
        meter.feed(frame)
    assert 0.9 * len(PIECE) * len(sent) <= meter.delivered_bytes <= len(PIECE) * len(sent) + 2100
