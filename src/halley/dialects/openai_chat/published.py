"""What clients of this dialect may count on in an answer: the fields that OpenAI's published schema requires, read 2026-11."""

from __future__ import annotations

from typing import Literal

import msgspec

from halley.chat.published import Published
from halley.dialects.openai_chat.embeddings import EmbeddingsRequest
from halley.dialects.openai_chat.request import Request


class Called(msgspec.Struct):
    name: str
    arguments: str


class ToolCall(msgspec.Struct):
    """A function is called with `function`, a free tool with `custom`."""

    id: str
    type: Literal["function", "custom"]
    function: Called | None = None


class Said(msgspec.Struct):
    role: Literal["assistant"]
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCall] | None = None
    reasoning_content: str | None = None


class Choice(msgspec.Struct):
    index: int
    message: Said
    finish_reason: str | None


class Used(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Completion(msgspec.Struct):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Used | None = None


class CalledPiece(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class ToolCallPiece(msgspec.Struct):
    index: int
    id: str | None = None
    type: str | None = None
    function: CalledPiece | None = None


class Delta(msgspec.Struct):
    role: str | None = None
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolCallPiece] | None = None
    reasoning_content: str | None = None


class ChunkChoice(msgspec.Struct):
    index: int
    delta: Delta
    finish_reason: str | None = None


class Chunk(msgspec.Struct):
    """One event of a stream, which `[DONE]` ends."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Used | None = None


class Embedding(msgspec.Struct):
    """Numbers, or their bytes in Base64 where the request has `encoding_format: base64`."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingsUsed(msgspec.Struct):
    prompt_tokens: int
    total_tokens: int


class Embeddings(msgspec.Struct):
    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingsUsed | None = None


CHAT = Published("A chat, whole or streamed, in OpenAI's words", Request, Completion, event=Chunk, closing="[DONE]")
EMBEDDINGS = Published("A vector for each text, in OpenAI's words", EmbeddingsRequest, Embeddings)
