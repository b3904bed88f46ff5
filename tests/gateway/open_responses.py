"""What the Open Responses specification (2026-04-24) requires of a response, of its items and of the events of its stream.

Shapes read out of the specification: what is required has no default, and a reader of msgspec takes no null where none is allowed.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Status = Literal["in_progress", "completed", "incomplete"]


class InputDetails(msgspec.Struct):
    cached_tokens: int


class OutputDetails(msgspec.Struct):
    reasoning_tokens: int


class Usage(msgspec.Struct):
    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: InputDetails
    output_tokens_details: OutputDetails


class Citation(msgspec.Struct, tag="url_citation"):
    start_index: int
    end_index: int
    url: str
    title: str


class OutputText(msgspec.Struct, tag="output_text"):
    text: str
    annotations: list[Citation]


class InputText(msgspec.Struct, tag="input_text"):
    text: str


class Refusal(msgspec.Struct, tag="refusal"):
    refusal: str


class SummaryText(msgspec.Struct, tag="summary_text"):
    text: str


class Message(msgspec.Struct, tag="message"):
    id: str
    status: Status
    role: Literal["unknown", "user", "assistant", "system", "critic", "discriminator", "developer", "tool"]
    content: list[InputText | OutputText | Refusal]
    phase: Literal["commentary", "final_answer"] | None = None


class FunctionCall(msgspec.Struct, tag="function_call"):
    id: str
    call_id: str
    name: str
    arguments: str
    status: Status


class Reasoning(msgspec.Struct, tag="reasoning"):
    id: str
    summary: list[SummaryText]


class Compaction(msgspec.Struct, tag="compaction"):
    id: str
    encrypted_content: str


Item = Message | FunctionCall | Reasoning | Compaction


class FunctionTool(msgspec.Struct, tag="function"):
    name: str
    description: str | None
    parameters: dict[str, Any] | None
    strict: bool | None


class FunctionChoice(msgspec.Struct, tag="function"):
    name: str


class Format(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]


class TextField(msgspec.Struct):
    format: Format
    verbosity: Literal["low", "medium", "high"] | msgspec.UnsetType = msgspec.UNSET


class ReasoningField(msgspec.Struct):
    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None
    summary: Literal["concise", "detailed", "auto"] | None


class Incomplete(msgspec.Struct):
    reason: str


class Failure(msgspec.Struct):
    code: str
    message: str


class Response(msgspec.Struct):
    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: str
    incomplete_details: Incomplete | None
    model: str
    previous_response_id: str | None
    instructions: str | None
    output: list[Item]
    error: Failure | None
    tools: list[FunctionTool]
    tool_choice: FunctionChoice | Literal["none", "auto", "required"]
    truncation: Literal["auto", "disabled"]
    parallel_tool_calls: bool
    text: TextField
    top_p: float
    presence_penalty: float
    frequency_penalty: float
    top_logprobs: int
    temperature: float
    reasoning: ReasoningField | None
    usage: Usage | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    store: bool
    background: bool
    service_tier: str
    metadata: dict[str, str]
    safety_identifier: str | None
    prompt_cache_key: str | None


class Compacted(msgspec.Struct):
    id: str
    object: Literal["response.compaction"]
    output: list[Item]
    created_at: int
    usage: Usage


_PLACE = ("item_id", "output_index")
# Fields that each event has beside its type and its number.
EVENTS: dict[str, tuple[str, ...]] = {
    **{f"response.{word}": ("response",) for word in ("created", "queued", "in_progress", "completed", "failed", "incomplete")},
    "response.output_item.added": ("item", "output_index"),
    "response.output_item.done": ("item", "output_index"),
    "response.content_part.added": (*_PLACE, "content_index", "part"),
    "response.content_part.done": (*_PLACE, "content_index", "part"),
    "response.output_text.delta": (*_PLACE, "content_index", "delta"),
    "response.output_text.done": (*_PLACE, "content_index", "text"),
    "response.refusal.delta": (*_PLACE, "content_index", "delta"),
    "response.refusal.done": (*_PLACE, "content_index", "refusal"),
    "response.reasoning_summary_part.added": (*_PLACE, "summary_index", "part"),
    "response.reasoning_summary_part.done": (*_PLACE, "summary_index", "part"),
    "response.reasoning_summary_text.delta": (*_PLACE, "summary_index", "delta"),
    "response.reasoning_summary_text.done": (*_PLACE, "summary_index", "text"),
    "response.function_call_arguments.delta": (*_PLACE, "delta"),
    "response.function_call_arguments.done": (*_PLACE, "arguments"),
}
TERMINAL = ("response.completed", "response.incomplete", "response.failed")


def response(found: Any) -> Response:
    """Raises msgspec.ValidationError that names the field."""
    return msgspec.convert(found, Response)


def events(stream: bytes) -> list[dict[str, Any]]:
    """The events of a stream, each of which must be one that the specification has, with its fields. Raises AssertionError."""
    found: list[dict[str, Any]] = []
    for frame in stream.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in frame.splitlines() if not line.startswith(":"))
        if not lines or lines["data"] == "[DONE]":
            continue
        event = msgspec.json.decode(lines["data"])
        assert lines["event"] == event["type"], "the name of an event is its type"
        assert event["type"] in EVENTS, event["type"]
        missing = {"sequence_number", *EVENTS[event["type"]]} - event.keys()
        assert not missing, f"{event['type']} has no {missing}"
        if "response" in event:
            response(event["response"])
        if "item" in event:
            msgspec.convert(event["item"], Item)
        found.append(event)
    return found
