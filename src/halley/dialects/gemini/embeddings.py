"""Embeddings: `embedContent` and `batchEmbedContents`, asked and answered. Providers are always asked for a batch, as google-genai does.

Shapes: `{content, taskType?, title?, outputDimensionality?}` → `{embedding: {values}}`; `{requests: [{model, content, …}]}` → `{embeddings:
[{values}]}`.
"""

from __future__ import annotations

import msgspec

from halley.chat.doors import Unreadable, Written
from halley.chat.embed import Embed, Embedded, numbers
from halley.chat.model import Loss
from halley.chat.reading import invalid
from halley.dialects.gemini.answer import Json, given, read_usage
from halley.dialects.gemini.node import Node
from halley.dialects.gemini.write_contents import refused
from halley.wire.jsonbody import BROKEN


class _Values(msgspec.Struct):
    values: msgspec.Raw = msgspec.Raw(b"[]")


class _Answer(msgspec.Struct):
    embedding: _Values | None = None
    embeddings: list[_Values] | None = None
    usageMetadata: msgspec.Raw = msgspec.Raw()


_decode_answer = msgspec.json.Decoder(_Answer).decode


def read_one(body: bytes, model: str) -> Embed:
    """The body of `embedContent`. Raises Refused."""
    return _request(Node(body), model)


def read_batch(body: bytes, model: str) -> Embed:
    """The body of `batchEmbedContents`: its requests may differ in their text alone. Raises Refused."""
    requests = Node(body).nodes("requests")
    if not requests:
        raise invalid("requests", "is missing: at least one request is needed")
    found = [_request(request, model) for request in requests]
    first = found[0]
    for request, each in zip(requests, found, strict=True):
        if (each.dimensions, each.task, each.title) != (first.dimensions, first.task, first.title):
            raise invalid(request.at, "must have the taskType, title and outputDimensionality of the first request")
    return msgspec.structs.replace(first, inputs=tuple(text for each in found for text in each.inputs))


def _request(node: Node, model: str) -> Embed:
    path = node.path("model")
    named = node.text("model")
    if named is not None and named.removeprefix("models/") != model:
        raise invalid(path, f'must be the model of the path, "models/{model}"')
    content = node.node("content")
    if content is None:
        raise invalid(node.path("content"), "is missing")
    texts: list[str] = []
    for part in content.nodes("parts"):
        text = part.text("text")
        if text is None:
            raise invalid(part.at, "must be text, which alone is embedded here")
        texts.append(text)
    if not texts:
        raise invalid(content.path("parts"), "is missing")
    return Embed(
        model=model,
        inputs=("\n".join(texts),),  # one content is one vector, however many parts it has
        dimensions=node.integer("outputDimensionality"),
        task=node.text("taskType"),
        title=node.text("title"),
    )


def write_batch(embed: Embed, model: str) -> Written:
    """Raises Refused for tokens, which no other maker's model reads as they are meant."""
    about: Json = {"taskType": embed.task, "title": embed.title, "outputDimensionality": embed.dimensions}
    shared = {name: value for name, value in about.items() if value is not None}
    requests: list[Json] = []
    for text in embed.inputs:
        if not isinstance(text, str):
            raise refused("input", "tokens are read by the model alone that they were made for; send text")
        requests.append({"model": f"models/{model}", "content": {"parts": [{"text": text}]}} | shared)
    losses = tuple(Loss(name, "a field that this dialect does not have") for name in embed.unknown)
    if embed.end_user is not None:
        losses = (*losses, Loss("user", "an end user is not named in this dialect"))
    return Written(msgspec.json.encode({"requests": requests}), losses)


def read_embedded(body: bytes) -> Embedded:
    """Either answer. Raises Unreadable."""
    try:
        found = _decode_answer(body)
    except BROKEN as error:
        raise Unreadable(f"no embeddings: {error}") from None
    vectors = found.embeddings if found.embedding is None else [found.embedding]
    if vectors is None:
        raise Unreadable("an answer with neither embedding nor embeddings")
    usage = read_usage(found.usageMetadata) if given(found.usageMetadata) else None
    return Embedded(tuple(msgspec.Raw(bytes(each.values)) for each in vectors), None if usage is None else usage.input)


def write_one(embedded: Embedded) -> bytes:
    """The answer of `embedContent`. Raises Unreadable without a vector."""
    if not embedded.vectors:
        raise Unreadable("no vector")
    return _answer({"embedding": {"values": numbers(embedded.vectors[0])}}, embedded)


def write_all(embedded: Embedded) -> bytes:
    """The answer of `batchEmbedContents`."""
    return _answer({"embeddings": [{"values": numbers(vector)} for vector in embedded.vectors]}, embedded)


def _answer(body: Json, embedded: Embedded) -> bytes:
    if embedded.tokens is not None:
        body["usageMetadata"] = {"promptTokenCount": embedded.tokens}
    return msgspec.json.encode(body)
