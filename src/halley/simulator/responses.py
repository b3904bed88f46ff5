"""OpenAI Responses, the answer: a response object, the numbered events of a stream, errors.

Pure. Source: OpenAI's OpenAPI document, Response and ResponseStreamEvent (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import msgspec

from halley.simulator import logprobs
from halley.simulator.chat import annotation
from halley.simulator.chat import failure as failure
from halley.simulator.heard import Heard
from halley.simulator.plan import CREATED, Call, Choice, End, Frame, Part, Reply, Text, Thought, Usage, cost, reported
from halley.simulator.schema import Json
from halley.simulator.script import Script
from halley.simulator.seals import OPENAI_REASONING, wrap

_INCOMPLETE: dict[End, str] = {"length": "max_output_tokens", "filter": "content_filter", "blocked": "content_filter"}
_ECHOED: dict[str, Json] = {
    "background": False,
    "frequency_penalty": 0.0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
    "metadata": {},
}


def document(reply: Reply, heard: Heard, script: Script) -> dict[str, Json]:
    """The body of an answer that is not streamed."""
    choice = _only(reply)
    output: list[Json] = [_item(reply, heard, index, part, _status(choice, index)) for index, part in enumerate(choice.parts)]
    return _response(reply, heard, choice, output, script, ended=script.finish)


def frames(reply: Reply, heard: Heard, script: Script) -> Iterator[Frame]:
    """The events of a stream, numbered from 0; the last one is terminal and holds the whole response."""
    choice = _only(reply)
    number = 0

    def event(kind: str, fields: dict[str, Json], tokens: int = 0) -> Frame:
        nonlocal number
        data = msgspec.json.encode({"type": f"response.{kind}", "sequence_number": number} | fields)
        number += 1
        return Frame(data, tokens, f"response.{kind}")

    for kind in ("created", "in_progress"):
        yield event(kind, {"response": _response(reply, heard, choice, [], script, ended=False)})
    output: list[Json] = []
    for index, part in enumerate(choice.parts):
        yield event("output_item.added", {"output_index": index, "item": _opened(reply, index, part)}, isinstance(part, Call))
        for kind, fields, tokens in _events(reply, heard, index, part):
            yield event(kind, fields, tokens)
            if tokens and script.unknown_events:
                yield event("future_thing.delta", {"delta": "unknown"})
        item = _item(reply, heard, index, part, _status(choice, index))
        output.append(item)
        yield event("output_item.done", {"output_index": index, "item": item}, _silent(heard, part))
    if script.finish:
        kind = "failed" if script.ending == "failed" else "incomplete" if choice.end in _INCOMPLETE else "completed"
        yield event(kind, {"response": _response(reply, heard, choice, output, script, ended=True)})


def failed(sent: int) -> Frame:
    """The error that a stream breaks off with; flat, unlike every other error of OpenAI's."""
    fault = {"type": "error", "sequence_number": sent, "code": "server_error", "message": "The model failed while it was answering."}
    return Frame(msgspec.json.encode(fault | {"param": None}), 0, "error")


def queued(document: dict[str, Json]) -> dict[str, Json]:
    """A response in the background as it is first told: nothing is done yet."""
    return {**document, "status": "queued", "output": [], "usage": None, "completed_at": None}


def identity(reply: Reply) -> str:
    return f"resp_{reply.id}"


def _only(reply: Reply) -> Choice:
    return reply.choices[0] if reply.choices else Choice((), "stop")


def _response(reply: Reply, heard: Heard, choice: Choice, output: list[Json], script: Script, *, ended: bool) -> dict[str, Json]:
    asked = heard.whole if isinstance(heard.whole, dict) else {}
    reason = _INCOMPLETE.get(choice.end) if ended else None
    failed = ended and script.ending == "failed"
    shown: Json = None
    if script.usage != "none" and (ended if script.usage != "early" else not ended):
        shown = _usage(reported(reply.usage, script))
    echoed = {name: asked[name] if asked.get(name) is not None else default for name, default in _ECHOED.items()}
    return {
        "id": identity(reply),
        "object": "response",
        "created_at": CREATED,
        "completed_at": CREATED if ended and reason is None and not failed else None,
        "status": "in_progress" if not ended else "failed" if failed else "completed" if reason is None else "incomplete",
        "error": {"code": "server_error", "message": "The model failed while it was answering."} if failed else None,
        "incomplete_details": None if reason is None else {"reason": reason},
        "model": reply.model,
        "output": output,
        "usage": shown,
        **echoed,
        "tools": [_shown(tool) for tool in cast("list[Json]", echoed["tools"])],
    }


def _shown(tool: Json) -> Json:
    """A function is echoed with what OpenAI takes where nothing is said."""
    if not isinstance(tool, dict) or tool.get("type") != "function":
        return tool
    return {"description": None, "parameters": None, **tool, "strict": tool.get("strict", True)}


def _usage(usage: Usage) -> Json:
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.write_5m + usage.write_1h},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.completion,
    }


def _status(choice: Choice, index: int) -> str:
    return "incomplete" if choice.end in _INCOMPLETE and index == len(choice.parts) - 1 else "completed"


def _id(reply: Reply, index: int, part: Part) -> str:
    match part:
        case Thought():
            prefix = "rs"
        case Text():
            prefix = "msg"
        case Call(free=True):
            prefix = "ctc"
        case Call():
            prefix = "fc"
    return f"{prefix}_{reply.id}{index:02d}"


def _silent(heard: Heard, part: Part) -> int:
    """Reasoning that no summary shows was generated all the same."""
    return cost(part) if isinstance(part, Thought) and not heard.wishes.shows_thoughts else 0


def _opened(reply: Reply, index: int, part: Part) -> Json:
    item: dict[str, Json] = {"id": _id(reply, index, part), "status": "in_progress"}
    match part:
        case Thought():
            return {"id": item["id"], "type": "reasoning", "summary": []}
        case Text():
            return item | {"type": "message", "role": "assistant", "content": []}
        case Call():
            return item | _called(part, "")


def _item(reply: Reply, heard: Heard, index: int, part: Part, status: str) -> Json:
    text = "".join(part.pieces)
    item: dict[str, Json] = {"id": _id(reply, index, part), "status": status}
    match part:
        case Thought():
            shown = heard.wishes.shows_thoughts and not part.hidden
            thought: dict[str, Json] = {"id": item["id"], "type": "reasoning", "summary": []}
            if shown:
                thought["summary"] = [{"type": "summary_text", "text": text}]
            if heard.wishes.sealed:
                thought["encrypted_content"] = wrap(OPENAI_REASONING, f"{reply.id}{index}")
            return thought
        case Text():
            return {**item, "type": "message", "role": "assistant", "content": [_part(heard, part, part.pieces)]}
        case Call():
            return item | _called(part, text)


def _called(call: Call, text: str) -> dict[str, Json]:
    kind, said = ("custom_tool_call", "input") if call.free else ("function_call", "arguments")
    made: dict[str, Json] = {"type": kind, "call_id": call.id, "name": call.name, said: text}
    return made | {"namespace": call.namespace} if call.namespace else made


def _part(heard: Heard, part: Text, pieces: Sequence[str]) -> dict[str, Json]:
    text = "".join(pieces)
    if part.refusal:
        return {"type": "refusal", "refusal": text}
    annotations: list[Json] = [{"type": "url_citation"} | annotation(citation) for citation in part.citations] if text else []
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": _logprobs(heard, pieces)}


def _logprobs(heard: Heard, pieces: Sequence[str]) -> list[Json]:
    top = heard.wishes.logprobs
    return [] if top is None else logprobs.openai(pieces, top)


def _events(reply: Reply, heard: Heard, index: int, part: Part) -> Iterator[tuple[str, dict[str, Json], int]]:
    """What stands between the opening and the end of an item: kind, fields, tokens."""
    at: dict[str, Json] = {"item_id": _id(reply, index, part), "output_index": index}
    text = "".join(part.pieces)
    match part:
        case Thought():
            if not heard.wishes.shows_thoughts or part.hidden:
                return
            at["summary_index"] = 0
            yield "reasoning_summary_part.added", {**at, "part": {"type": "summary_text", "text": ""}}, 0
            for piece in part.pieces:
                yield "reasoning_summary_text.delta", at | {"delta": piece}, 1
            yield "reasoning_summary_text.done", at | {"text": text}, 0
            yield "reasoning_summary_part.done", {**at, "part": {"type": "summary_text", "text": text}}, 0
        case Text():
            at["content_index"] = 0
            yield "content_part.added", {**at, "part": _part(heard, part, ())}, 0
            kind, field = ("refusal", "refusal") if part.refusal else ("output_text", "text")
            for piece in part.pieces:
                yield f"{kind}.delta", {**at, "delta": piece, **({} if part.refusal else {"logprobs": _logprobs(heard, (piece,))})}, 1
            whole = _part(heard, part, part.pieces)
            more: dict[str, Json] = {} if part.refusal else {"logprobs": _logprobs(heard, part.pieces)}
            if not part.refusal:
                for number, citation in enumerate(part.citations):
                    noted: Json = {"type": "url_citation"} | annotation(citation)
                    yield "output_text.annotation.added", at | {"annotation_index": number, "annotation": noted}, 0
            yield f"{kind}.done", at | {field: text} | more, 0
            yield "content_part.done", {**at, "part": whole}, 0
        case Call():
            kind = "custom_tool_call_input" if part.free else "function_call_arguments"
            for piece in part.pieces:
                yield f"{kind}.delta", at | {"delta": piece}, 1
            yield f"{kind}.done", at | ({"input": text} if part.free else {"arguments": text, "name": part.name}), 0
