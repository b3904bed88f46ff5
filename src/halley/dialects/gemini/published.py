"""What clients of this dialect may count on in an answer: fields that Google's API reference has, read 2026-11; it requires hardly any."""

from __future__ import annotations

from typing import Annotated

import msgspec

from halley.chat.published import Parameter, Published
from halley.dialects.gemini.request import Request


class Said(msgspec.Struct):
    parts: list[dict[str, msgspec.Raw]] | None = None
    role: str | None = None


class Candidate(msgspec.Struct):
    content: Said | None = None
    finishReason: str | None = None
    index: int | None = None


class Used(msgspec.Struct):
    promptTokenCount: int | None = None
    candidatesTokenCount: int | None = None
    totalTokenCount: int | None = None


class Reply(msgspec.Struct):
    """Of a prompt that was blocked there are no candidates."""

    candidates: list[Candidate] | None = None
    usageMetadata: Used | None = None
    modelVersion: str | None = None
    responseId: str | None = None


class CountRequest(Request):
    """What is counted stands here, or whole in `generateContentRequest`."""

    generateContentRequest: Request | None = None


class Counted(msgspec.Struct):
    totalTokens: int
    cachedContentTokenCount: int | None = None


class EmbeddedPart(msgspec.Struct):
    text: str


class EmbeddedContent(msgspec.Struct):
    parts: Annotated[list[EmbeddedPart], msgspec.Meta(min_length=1)] | EmbeddedPart


class EmbedRequest(msgspec.Struct):
    """`model` is `models/NAME`, that of the path."""

    content: EmbeddedContent
    model: str | None = None
    taskType: str | None = None
    title: str | None = None
    outputDimensionality: Annotated[int, msgspec.Meta(ge=1)] | None = None


class EmbedRequests(msgspec.Struct):
    """They may differ in their content alone."""

    requests: Annotated[list[EmbedRequest], msgspec.Meta(min_length=1)]


class Vector(msgspec.Struct):
    values: list[float]


class Embedding(msgspec.Struct):
    embedding: Vector


class Embeddings(msgspec.Struct):
    embeddings: list[Vector]


class Failure(msgspec.Struct):
    code: int
    message: str
    status: str


class Failed(msgspec.Struct):
    error: Failure


_CONTENTS = ("contents",)
_ALT = Parameter("alt", "`sse`: the stream comes as events, else as one JSON array.")
GENERATE = Published("An answer to a conversation, in Google's words", Request, Reply, Failed, demanded=(_CONTENTS,))
STREAM = Published("The same in pieces", Request, list[Reply], Failed, Reply, demanded=(_CONTENTS,), query=(_ALT,))
COUNTING = Published(
    "How many tokens a conversation has", CountRequest, Counted, Failed, demanded=((*_CONTENTS, "generateContentRequest"),)
)
EMBED = Published("A vector for one content", EmbedRequest, Embedding, Failed)
EMBED_BATCH = Published("A vector for each of many contents", EmbedRequests, Embeddings, Failed)
