"""What the fake upstream says, what the load asks, and whether an answer is the canned one. Pure values and comparisons.

The sizes are those of common answers: a chat completion of 590 bytes, and a stream of 200 chunks of 193 bytes with finish, usage and
`[DONE]`. Both name their usage, so that totals can be held against the number of answers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

PROMPT_TOKENS = 57
CACHED_TOKENS = 16
CHUNKS = 200
JSON_BYTES = 590
CHUNK_BYTES = 193
# Nano-dollars per token, and the same as Halley's file wants them: USD per million tokens.
PRICES = {"input": 150, "cache_read": 75, "output": 600}
PRICE_TEXTS = {"input": "0.15", "cache_read": "0.075", "output": "0.60"}
KINDS = ("json", "sse")

_USAGE = {
    "prompt_tokens": PROMPT_TOKENS,
    "completion_tokens": CHUNKS,
    "total_tokens": PROMPT_TOKENS + CHUNKS,
    "prompt_tokens_details": {"cached_tokens": CACHED_TOKENS},
    "completion_tokens_details": {"reasoning_tokens": 0},
}


class Wrong(Exception):
    """An answer or a total is not what it has to be; the row does not count."""


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer says to a reader, whatever its framing: the text and the usage."""

    text: str
    prompt: int
    output: int


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


_TEXT = "The quick brown fox jumps over the lazy dog. " * 40


def _filled(build: str, size: int, turn: int = 0) -> str:
    """`build` with its `%` replaced by as much text as makes it `size` long: the `turn`-th piece, for some gateways stop a model that
    repeats itself."""
    room = size - len(build) + 1
    if room < 1:
        raise ValueError(f"the frame alone has {len(build) - 1} of {size} bytes")
    return build.replace("%", _TEXT[turn * room : turn * room + room])


def _completion() -> bytes:
    body = _compact(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1767225600,
            "model": "bench-json",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "%", "refusal": None}, "logprobs": None, "finish_reason": "stop"}
            ],
            "usage": _USAGE,
            "system_fingerprint": "fp_bench",
        }
    )
    return _filled(body, JSON_BYTES).encode()


def event(model: str, choices: list[object], usage: object = None) -> str:
    """One chunk of a stream as an SSE frame, without the blank line."""
    head = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1767225600, "model": model}
    return "data: " + _compact({**head, "choices": choices, "usage": usage})


def _stream() -> bytes:
    content = event("bench-sse", [{"index": 0, "delta": {"content": "%"}, "finish_reason": None}])
    frames = [_filled(content, CHUNK_BYTES - 2, turn) for turn in range(CHUNKS)]
    frames.append(event("bench-sse", [{"index": 0, "delta": {}, "finish_reason": "stop"}]))
    frames.append(event("bench-sse", [], _USAGE))
    frames.append("data: [DONE]")
    return "".join(frame + "\n\n" for frame in frames).encode()


BODIES = {"json": _completion(), "sse": _stream()}


def ask(kind: str) -> bytes:
    """The request body of a load. A stream asks for its usage itself, so that the answer may pass through untouched."""
    body: dict[str, object] = {
        "model": f"bench-{kind}",
        "messages": [
            {"role": "system", "content": "You are a terse assistant that answers in one sentence."},
            {"role": "user", "content": "What does a fox do when a lazy dog is in its way?"},
        ],
        "max_tokens": 512,
        "temperature": 0.7,
    }
    if kind != "json":
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return _compact(body).encode()


def said(kind: str, body: bytes) -> Said:
    """Reads an answer as a client would. Raises Wrong if it cannot be read or a stream does not end properly."""
    try:
        if kind == "json":
            answer = json.loads(body)
            return Said(answer["choices"][0]["message"]["content"], *_counts(answer["usage"]))
        return _said_by_stream(body)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise Wrong(f"unreadable {kind} answer ({error!r}): {body[:200]!r}") from error


def _said_by_stream(body: bytes) -> Said:
    payloads = [line[6:] for line in body.decode().split("\n") if line.startswith("data: ")]
    if not payloads or payloads.pop() != "[DONE]":
        raise Wrong("the stream does not end with [DONE]")
    text, counts = "", None
    for payload in payloads:
        chunk = json.loads(payload)
        text += "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
        counts = _counts(chunk["usage"]) if chunk.get("usage") else counts
    if counts is None:
        raise Wrong("the stream names no usage")
    return Said(text, *counts)


def _counts(usage: dict[str, int]) -> tuple[int, int]:
    return usage["prompt_tokens"], usage["completion_tokens"]


def check_exact(kind: str, body: bytes) -> None:
    """Raises Wrong unless the answer is the canned one, byte for byte."""
    canned = BODIES[kind]
    if body != canned:
        at = next((i for i, (got, want) in enumerate(zip(body, canned, strict=False)) if got != want), min(len(body), len(canned)))
        raise Wrong(f"{kind} answer differs from the canned one at byte {at}: {body[at : at + 80]!r} for {canned[at : at + 80]!r}")


def check_meaning(kind: str, body: bytes) -> None:
    """Raises Wrong unless the answer has the text and the usage of the canned one: for gateways that write bodies anew."""
    got, wanted = said(kind, body), said(kind, BODIES[kind])
    if got != wanted:
        raise Wrong(f"{kind} answer says {got} for {wanted}")
