"""What clients of this dialect may count on in an answer: fields that OpenAI's published schema requires, read 2026-11."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from halley.chat.published import Parameter, Published
from halley.dialects.openai_responses.passing import INSTEAD, Request


class OutputItem(msgspec.Struct):
    """A message, a reasoning, a call of a tool, …: what else it has depends on its type."""

    type: str


class Used(msgspec.Struct):
    input_tokens: int
    output_tokens: int
    total_tokens: int


class ResponseFailure(msgspec.Struct):
    code: str
    message: str


class Incomplete(msgspec.Struct):
    reason: str | None = None


class Response(msgspec.Struct):
    id: str
    object: Literal["response"]
    created_at: int | float
    status: str
    model: str
    output: list[OutputItem]
    error: ResponseFailure | None = None
    incomplete_details: Incomplete | None = None
    usage: Used | None = None


class Event(msgspec.Struct):
    """One event of a stream; `response.completed`, `response.incomplete` or `response.failed` is the last."""

    type: str
    sequence_number: int


class Counted(msgspec.Struct):
    object: Literal["response.input_tokens"]
    input_tokens: int


class Compacted(msgspec.Struct):
    """`output` is what the next request sends as its input."""

    id: str
    object: Literal["response.compaction"]
    created_at: int | float
    output: list[OutputItem]
    usage: Used


class Deleted(msgspec.Struct):
    id: str
    object: str
    deleted: bool


class Items(msgspec.Struct):
    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


STREAM = Parameter("stream", "`true`: as a stream again, where a provider of this dialect has it.")
PAGE = (
    Parameter("limit", "Items of a page, from 1 to 100; else 20.", "^[0-9]+$"),
    Parameter("order", "`desc` has the newest first, `asc` the oldest.", "^(asc|desc)$"),
    Parameter("after", "The id of the last item of the page before."),
)
_INPUT = (("input", *INSTEAD),)
RESPONSES = Published("A response, whole or streamed, in OpenAI's words", Request, Response, event=Event, demanded=_INPUT)
COMPACTION = Published("A shorter conversation that its provider can read", Request, Compacted, demanded=_INPUT)
COUNTING = Published("How many tokens a response's input would have", Request, Counted, demanded=_INPUT)
