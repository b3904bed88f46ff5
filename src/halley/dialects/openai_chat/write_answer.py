"""An answer as a chat completion, with every field that some client needs: index, role, type of a call, object, created, id and model."""

from __future__ import annotations

from typing import cast

import msgspec

from halley.chat import seals, untold
from halley.chat.doors import Asked, Written
from halley.chat.model import Answer, Audio, Image, Inline, Loss, Opaque, Part, Refusal, Seal, Text, Thinking, ToolCall
from halley.chat.naming import flat
from halley.dialects.openai_chat import media
from halley.dialects.openai_chat.words import ENDS, USAGE_SAID, write_annotations, write_finish, write_usage

Shape = dict[str, object]


def write_answer(answer: Answer, asked: Asked) -> Written:
    losses: list[Loss] = []
    message: Shape = {"role": "assistant", "content": None, "refusal": None}
    for index, part in enumerate(answer.parts):
        _add(message, part, index, losses)
    ending = write_finish(answer.finish, message["refusal"] is not None)
    if answer.finish.reason == "refusal" and message["refusal"] is None and answer.finish.detail:
        message["refusal"] = answer.finish.detail
    losses += [Loss(extra.at, "the caller's dialect has no place for it") for extra in answer.extras]
    losses += untold.of_finish(answer.finish, ENDS) + untold.of_usage(answer.usage, USAGE_SAID)
    body: Shape = {
        "id": completion_id(answer.id, asked),
        "object": "chat.completion",
        "created": answer.created or asked.created,
        "model": asked.model,
        "choices": [{"index": 0, "message": message, "logprobs": answer.logprobs, "finish_reason": ending}],
    }
    if answer.usage is not None:
        body["usage"] = write_usage(answer.usage)
    if answer.service_tier is not None:
        body["service_tier"] = answer.service_tier
    return Written(msgspec.json.encode(body), tuple(losses))


def completion_id(id: str, asked: Asked) -> str:
    return id or f"chatcmpl-{asked.id}"


def _add(message: Shape, part: Part, index: int, losses: list[Loss]) -> None:
    match part:
        case Text():
            message["content"] = _text(message["content"]) + part.text
            if part.citations:
                _list(message, "annotations").extend(write_annotations(part.citations))
                losses += uncited(part.citations, index)
            if part.seal is not None:
                _list(message, "reasoning_details").append(encrypted(part.seal, len(_list(message, "reasoning_details"))))
        case Refusal():
            message["refusal"] = _text(message["refusal"]) + part.text
        case Thinking():
            if part.text:
                message["reasoning_content"] = _text(message.get("reasoning_content")) + part.text
            _list(message, "reasoning_details").append(detail(part, len(_list(message, "reasoning_details"))))
        case ToolCall():
            _list(message, "tool_calls").append(call(part))
        case Audio(source=Inline() as sound):
            message["audio"] = {"id": part.id or "", "data": sound.data, "transcript": part.transcript or "", "expires_at": 0}
        case Image(source=Inline() as picture):
            _list(message, "images").append(image(picture))
        case Opaque(what=what, at=at):
            losses.append(Loss(at or f"answer[{index}]", f"{what} has no place in the caller's dialect"))
        case _:
            losses.append(Loss(f"answer[{index}]", "the caller's dialect has no place for it"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _list(message: Shape, name: str) -> list[object]:
    found = message.setdefault(name, list[object]())
    return cast(list[object], found)


def uncited(citations: tuple[object, ...], index: int) -> list[Loss]:
    without = [each for each in citations if getattr(each, "url", None) is None]
    return [Loss(f"answer[{index}]", "citations of documents have no place in the caller's dialect")] if without else []


def detail(part: Thinking, number: int) -> Shape:
    """A piece of `reasoning_details`: the seal of its maker with a label, so that it comes back to it alone."""
    if part.redacted and part.seal is not None:
        return encrypted(part.seal, number)
    kind = "summary" if part.summary else "text"
    found: Shape = {"type": f"reasoning.{kind}", kind: part.text, "index": number}
    if part.seal is not None:
        found["signature"] = seals.labelled(part.seal)
    return found if part.id is None else found | {"id": part.id}


def encrypted(seal: Seal, number: int) -> Shape:
    return {"type": "reasoning.encrypted", "data": seals.labelled(seal), "index": number}


def call(part: ToolCall) -> Shape:
    name = flat(part.name, part.namespace)
    found: Shape = {"id": part.id, "type": "function", "function": {"name": name, "arguments": part.arguments or "{}"}}
    if part.free:
        found = {"id": part.id, "type": "custom", "custom": {"name": name, "input": part.arguments}}
    return found if part.seal is None else found | {"extra_content": beside(part.seal)}


def beside(seal: Seal) -> Shape:
    return {"google": {"thought_signature": seals.labelled(seal)}}


def image(picture: Inline) -> Shape:
    """OpenRouter's published shape for pictures in a chat answer, read 2026-11; OpenAI has none."""
    return {"type": "image_url", "image_url": {"url": media.url(picture)}}
