"""What clients of this dialect may count on in an answer: fields that Anthropic's API reference requires, read 2026-11."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from halley.chat.published import Parameter, Published
from halley.dialects.anthropic.request import VERSION, Request


class ContentBlock(msgspec.Struct):
    """Text, thinking, a call of a tool, …: what else it has depends on its type."""

    type: str


class Used(msgspec.Struct):
    input_tokens: int
    output_tokens: int


class Reply(msgspec.Struct):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[ContentBlock]
    stop_reason: str | None
    stop_sequence: str | None
    usage: Used


class Event(msgspec.Struct):
    """One event of a stream, which `message_stop` ends."""

    type: str


class Counted(msgspec.Struct):
    input_tokens: int


class Failure(msgspec.Struct):
    type: str
    message: str


class Failed(msgspec.Struct):
    type: Literal["error"]
    error: Failure
    request_id: str | None = None


HEAD: Final = (
    Parameter("anthropic-version", "The version of the dialect, a date; 2023-06-01 where none is sent.", f"^{VERSION}$"),
    Parameter("anthropic-beta", "What a provider of this dialect is asked to switch on, by name."),
)
MESSAGES: Final = Published(
    "A message, whole or streamed, in Anthropic's words", Request, Reply, Failed, Event, demanded=(("max_tokens",),), head=HEAD
)
COUNTING: Final = Published("How many tokens a message's input would have", Request, Counted, Failed, head=HEAD)
