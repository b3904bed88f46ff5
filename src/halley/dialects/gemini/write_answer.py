"""A whole answer and an error, written. Parts are made here for the stream's writer as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import msgspec

from halley.chat import untold
from halley.chat.doors import Asked, Written
from halley.chat.model import (
    Answer,
    Audio,
    Citation,
    Document,
    Extra,
    FileId,
    Image,
    Inline,
    Loss,
    Opaque,
    Part,
    Refusal,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Url,
    Video,
)
from halley.chat.naming import flat
from halley.dialects.gemini import seals
from halley.dialects.gemini.answer import ENDS, FREE_INPUT, KEPT, USAGE_SAID, Json, is_object, write_finish, write_usage
from halley.dialects.gemini.seals import NAME
from halley.dialects.gemini.sources import write_citations, write_logprobs


def write_answer(answer: Answer, asked: Asked) -> Written:
    losses: list[Loss] = []
    parts: list[Json] = []
    said: list[tuple[str, Sequence[Citation]]] = []
    for part in answer.parts:
        made = part_of(part, losses)
        if made is not None:
            parts.append(made)
        if isinstance(part, Text) and part.citations:
            said.append((part.text, part.citations))
    own, body = kept(answer.extras, losses)
    if "promptFeedback" not in body or parts:
        candidate: Json = {"content": {"parts": parts or [{"text": ""}], "role": "model"}, "finishReason": write_finish(answer.finish)}
        if answer.finish.detail is not None:
            candidate["finishMessage"] = answer.finish.detail
        candidate["index"] = 0
        if "groundingMetadata" not in own and (sources := write_citations(said)) is not None:
            candidate["groundingMetadata"] = sources
        if answer.logprobs is not None:
            candidate |= likely(answer.logprobs, losses)
        body = {"candidates": [candidate | own]} | body
    losses += untold.of_finish(answer.finish, ENDS) + untold.of_usage(answer.usage, USAGE_SAID)
    untold_tier(answer.service_tier, losses)
    if answer.usage is not None:
        body["usageMetadata"] = write_usage(answer.usage)
    body["modelVersion"] = asked.model
    body["responseId"] = answer.id or asked.id
    return Written(msgspec.json.encode(body), tuple(losses))


def untold_tier(tier: str | None, losses: list[Loss]) -> None:
    if tier not in (None, "default"):
        losses.append(Loss("service_tier", f'that it was served as "{tier}" is not said in this dialect'))


def kept(extras: Sequence[Extra], losses: list[Loss]) -> tuple[Json, Json]:
    """Extras of this dialect go where they came from: fields of the candidate, fields of the body."""
    own: Json = {}
    body: Json = {}
    for extra in extras:
        if extra.dialect != NAME:
            losses.append(Loss(extra.at, f"known to {extra.dialect} alone"))
        elif extra.at in KEPT:
            own[extra.at] = extra.raw
        elif extra.at == "promptFeedback":
            body[extra.at] = extra.raw
        else:
            losses.append(Loss(extra.at, "only the first candidate is given"))
    return own, body


def likely(raw: msgspec.Raw, losses: list[Loss]) -> Json:
    made = write_logprobs(raw, losses)
    if made is None:
        losses.append(Loss("logprobs", "log probabilities of another shape"))
        return {}
    return {"logprobsResult": made}


def part_of(part: Part, losses: list[Loss]) -> Json | None:
    """None for what cannot be said."""
    match part:
        case Text():
            return sealed({"text": part.text}, part.seal)
        case Thinking():
            return thought(part.text, part, part.seal)
        case Refusal():
            return {"text": part.text}
        case ToolCall():
            return call(part, part.arguments, part.seal, losses)
        case Opaque():
            if part.dialect == NAME:
                return cast("Json", part.raw)
            losses.append(Loss(part.at, f"{part.what} is known to {part.dialect} alone"))
            return None
        case ToolResult():
            losses.append(Loss(part.at, "a tool's result within an answer has no place in this dialect"))
            return None
        case Image() | Audio() | Video() | Document():
            return _medium(part, losses)


def thought(text: str, part: Thinking, seal: Seal | None) -> Json:
    made: Json = {"text": text, "thought": True}
    return made if seal is None else made | {"thoughtSignature": seals.written_thought(seal, redacted=part.redacted)}


def sealed(made: Json, seal: Seal | None) -> Json:
    if seal is not None:
        made["thoughtSignature"] = seals.written(seal)
    return made


def call(part: ToolCall, text: str, seal: Seal | None, losses: list[Loss]) -> Json:
    """The arguments are an object on the wire: none are an empty one, and text that is no object stands in a field of its own."""
    made: Json = {"id": part.id} if part.id else {}
    return sealed({"functionCall": made | {"name": flat(part.name, part.namespace), "args": _arguments(part, text, losses)}}, seal)


def _arguments(part: ToolCall, text: str, losses: list[Loss]) -> object:
    if part.free:
        return {FREE_INPUT: text}
    if not text.strip():
        return {}
    if is_object(text):
        return msgspec.Raw(text.encode())
    losses.append(Loss(part.at or part.name, "arguments that are no JSON object are given as the text of one field, `arguments`"))
    return {"arguments": text}


def _medium(part: Image | Audio | Video | Document, losses: list[Loss]) -> Json | None:
    source = part.source
    if isinstance(part, Audio) and part.transcript:
        if source is None:
            return {"text": part.transcript}
        losses.append(Loss(part.at, "the transcript of spoken words has no place in this dialect"))
    made: Json | None = None
    match source:
        case Inline():
            made = {"inlineData": {"mimeType": source.mime, "data": source.data}}
        case Url():
            made = {"fileData": {"fileUri": source.url} | ({} if source.mime is None else {"mimeType": source.mime})}
        case FileId():
            made = {"fileData": {"fileUri": source.id} | ({} if source.mime is None else {"mimeType": source.mime})}
        case _:
            losses.append(Loss(part.at, "a medium without data or address"))
    return sealed(made, part.seal) if made is not None and isinstance(part, Image) else made
