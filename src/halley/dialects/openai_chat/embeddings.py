"""Embeddings in OpenAI's words: `POST /v1/embeddings`, asked and answered.

Shapes: `{model, input: text | [text] | [token] | [[token]], dimensions?, encoding_format?: float | base64, user?}` → `{object: list, data:
[{object: embedding, index, embedding}], model, usage: {prompt_tokens, total_tokens}}`. From OpenAI's published schema
(CreateEmbeddingRequest), read 2026-11; official SDKs ask for base64 unless told otherwise.
"""

from __future__ import annotations

import binascii
from typing import Annotated, Literal

import msgspec

from halley.chat.doors import Swap, Target, Unreadable, Written
from halley.chat.embed import Embed, Embedded, Vector, from_base64, numbers, to_base64
from halley.chat.model import Loss
from halley.chat.peek import Peek, look
from halley.chat.reading import begins
from halley.chat.usage import Usage, Whole
from halley.dialects.openai_chat.read_answer import read_error
from halley.dialects.openai_chat.reply import Count
from halley.errors import Condition, Refused
from halley.wire.jsonbody import BROKEN

MOST_INPUTS = 2048


class EmbeddingsRequest(msgspec.Struct):
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    input: str | list[str | int | list[int]]
    dimensions: Annotated[int, msgspec.Meta(ge=1)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None


class _Item(msgspec.Struct):
    embedding: msgspec.Raw
    index: int = 0


class _Usage(msgspec.Struct):
    prompt_tokens: Count


class _Answer(msgspec.Struct):
    data: list[_Item]
    usage: _Usage | None = None


class _Reply(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw()
    usage: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(EmbeddingsRequest)
_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_reply = msgspec.json.Decoder(_Reply).decode
_decode_usage = msgspec.json.Decoder(_Usage).decode
_CORE = frozenset(EmbeddingsRequest.__struct_fields__)


def peek(body: bytes, _path: bytes = b"") -> Peek:
    ask, members = look(body, _decoder, _CORE, "model and input")
    _inputs(ask)
    return Peek(ask.model, False, 1, 0, True, [], members)


def read(body: bytes, model: str) -> Embed:
    ask, members = look(body, _decoder, _CORE, "model and input")
    unknown = tuple(name for name in members if name not in _CORE)
    packed = ask.encoding_format == "base64"
    return Embed(model=model, inputs=_inputs(ask), dimensions=ask.dimensions, end_user=ask.user, packed=packed, unknown=unknown)


def _inputs(ask: EmbeddingsRequest) -> tuple[str | tuple[int, ...], ...]:
    """One for each vector that is wanted. Raises Refused."""
    found = ask.input
    if found == "":
        raise Refused(Condition.INVALID, "input: an empty text has no embedding.", param="input")
    if isinstance(found, str):
        return (found,)
    if not found or len(found) > MOST_INPUTS:
        raise Refused(Condition.INVALID, f"input: from 1 to {MOST_INPUTS} inputs are taken.", param="input")
    texts = [each for each in found if isinstance(each, str)]
    if len(texts) == len(found):
        return tuple(texts)
    tokens = [each for each in found if isinstance(each, int)]
    if len(tokens) == len(found):
        return (tuple(tokens),)
    lists = [tuple(each) for each in found if isinstance(each, list)]
    if len(lists) < len(found):
        raise Refused(Condition.INVALID, "input: texts, tokens and lists of tokens cannot be mixed.", param="input")
    return tuple(lists)


def write(embed: Embed, target: Target) -> Written:
    """Vectors are asked for as numbers, which every server of this dialect knows."""
    losses = [Loss(name, "a field that this dialect does not have") for name in embed.unknown]
    for name, value in (("taskType", embed.task), ("title", embed.title)):
        if value is not None:
            losses.append(Loss(name, "what a vector is for is not said in this dialect"))
    optional = {"dimensions": embed.dimensions, "user": embed.end_user}
    said = {name: value for name, value in optional.items() if value is not None}
    body = {"model": target.model, "input": embed.inputs, "encoding_format": "float"} | said
    return Written(msgspec.json.encode(body), tuple(losses))


def read_answer(body: bytes) -> Embedded:
    """Raises Unreadable."""
    try:
        found = _decode_answer(body)
        vectors = tuple(_vector(item.embedding) for item in sorted(found.data, key=lambda item: item.index))
    except (msgspec.DecodeError, RecursionError, binascii.Error, ValueError) as error:
        raise Unreadable(f"no embeddings: {error}"[:300]) from None
    return Embedded(vectors, found.usage.prompt_tokens if found.usage is not None else None)


def _vector(raw: msgspec.Raw) -> Vector:
    return from_base64(msgspec.json.decode(raw, type=str)) if begins(raw, b'"') else raw.copy()


def write_answer(embedded: Embedded, ask: Embed) -> bytes:
    shown = to_base64 if ask.packed else numbers
    data = [{"object": "embedding", "index": index, "embedding": shown(vector)} for index, vector in enumerate(embedded.vectors)]
    tokens = embedded.tokens or 0
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return msgspec.json.encode({"object": "list", "data": data, "model": ask.model, "usage": usage})


def read_whole(body: bytes) -> Whole | None:
    """Usage of an answer, nonsense counting as absent; None when it is no JSON object."""
    try:
        reply = _decode_reply(body)
    except BROKEN:
        return None
    return Whole(_usage(reply.usage), begins(reply.data, b"["))


def _usage(raw: msgspec.Raw) -> Usage | None:
    try:
        return Usage(_decode_usage(raw).prompt_tokens) if len(raw) else None
    except BROKEN:
        return None


SWAP: Swap[Embed, Embedded] = Swap(read, write, read_answer, write_answer, read_error)
