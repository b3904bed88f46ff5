"""The same question in each of the four dialects, and what each answer says, read without the simulator's own code."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from halley.simulator.upstream import Upstream
from tests.simulator.wire import Reply, ask, events

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


class Said(NamedTuple):
    """What an answer says, whichever dialect it came in. `usage` is (input with cache, output with reasoning)."""

    text: str
    calls: list[tuple[str, str, Any]]
    finish: str
    usage: tuple[int, int] | None
    thoughts: str = ""
    parts: Any = None


class Tongue(NamedTuple):
    """`turn` is what the client sends back for an answer; `result` one answer to a call of it."""

    name: str
    path: Callable[[str, bool], str]
    body: Callable[..., dict[str, Any]]
    whole: Callable[[dict[str, Any]], Said]
    stream: Callable[[Reply], Said]
    fields: dict[str, str]


def _chat_body(model: str, messages: list[Any], *, stream: bool, tools: list[str], thinks: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "messages": messages, "stream": stream}
    if stream:
        body["stream_options"] = {"include_usage": True}
    if tools:
        body["tools"] = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in tools]
    return body


def _chat_said(message: dict[str, Any], finish: str, usage: dict[str, Any] | None) -> Said:
    calls = [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls", ())]
    text = (message.get("content") or "") + (message.get("refusal") or "")
    counted = (usage["prompt_tokens"], usage["completion_tokens"]) if usage else None
    return Said(text, _parsed(calls), finish, counted, message.get("reasoning_content", ""), message)


def _chat_whole(body: dict[str, Any]) -> Said:
    choice = body["choices"][0]
    return _chat_said(choice["message"], choice["finish_reason"], body.get("usage"))


def _chat_stream(reply: Reply) -> Said:
    found = events(reply)
    assert found[-1].said == "[DONE]"
    message: dict[str, Any] = {"role": "assistant", "content": "", "refusal": "", "reasoning_content": "", "tool_calls": []}
    finish, usage = "", None
    for event in found[:-1]:
        usage = event.said.get("usage") or usage
        for choice in event.said["choices"]:
            finish = choice["finish_reason"] or finish
            for name in ("content", "refusal", "reasoning_content"):
                message[name] += choice["delta"].get(name) or ""
            for call in choice["delta"].get("tool_calls", ()):
                if "id" in call:
                    message["tool_calls"].append({**call, "function": dict(call["function"])})
                else:
                    message["tool_calls"][call["index"]]["function"]["arguments"] += call["function"]["arguments"]
    return _chat_said(message, finish, usage)


def _responses_body(model: str, items: list[Any], *, stream: bool, tools: list[str], thinks: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "input": items, "stream": stream, "store": False}
    if thinks:
        body |= {"reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    if tools:
        body["tools"] = [{"type": "function", "name": name, "parameters": SCHEMA} for name in tools]
    return body


def _responses_whole(body: dict[str, Any]) -> Said:
    output = body["output"]
    text = "".join(part.get("text", part.get("refusal", "")) for item in output for part in item.get("content", ()))
    calls = [(item["call_id"], item["name"], item["arguments"]) for item in output if item["type"] == "function_call"]
    thoughts = "".join(part["text"] for item in output if item["type"] == "reasoning" for part in item["summary"])
    usage = body["usage"]
    finish = body["incomplete_details"]["reason"] if body["incomplete_details"] else body["status"]
    return Said(text, _parsed(calls), finish, (usage["input_tokens"], usage["output_tokens"]) if usage else None, thoughts, output)


def _responses_stream(reply: Reply) -> Said:
    found = events(reply)
    assert [event.said["sequence_number"] for event in found] == list(range(len(found)))
    assert all(event.name == event.said["type"] for event in found)
    last = found[-1].said["response"]
    said = _responses_whole(last)
    deltas = {kind: "" for kind in ("output_text", "refusal", "reasoning_summary_text")}
    arguments: dict[int, str] = {}
    for event in found:
        kind = event.name.removeprefix("response.").removesuffix(".delta")
        if event.name.endswith(".delta") and kind in deltas:
            deltas[kind] += event.said["delta"]
        elif kind == "function_call_arguments" and event.name.endswith(".delta"):
            arguments[event.said["output_index"]] = arguments.get(event.said["output_index"], "") + event.said["delta"]
    assert deltas["output_text"] + deltas["refusal"] == said.text
    assert deltas["reasoning_summary_text"] == said.thoughts
    assert [item["arguments"] for item in said.parts if item["type"] == "function_call" and item["arguments"]] == list(arguments.values())
    return said


def _messages_body(model: str, messages: list[Any], *, stream: bool, tools: list[str], thinks: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "max_tokens": 4096, "messages": messages, "stream": stream}
    if thinks:
        body["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    if tools:
        body["tools"] = [{"name": name, "input_schema": SCHEMA} for name in tools]
    return body


def _messages_whole(body: dict[str, Any]) -> Said:
    blocks = body["content"]
    usage = body.get("usage")
    counted = None
    if usage:
        counted = (
            usage["input_tokens"] + usage.get("cache_read_input_tokens", 0) + usage.get("cache_creation_input_tokens", 0),
            usage["output_tokens"],
        )
    return Said(
        "".join(block["text"] for block in blocks if block["type"] == "text"),
        [(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"],
        body["stop_reason"],
        counted,
        "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
        blocks,
    )


def _messages_stream(reply: Reply) -> Said:
    found = events(reply)
    assert all(event.name == event.said["type"] for event in found)
    assert (found[0].name, found[-1].name) == ("message_start", "message_stop")
    message = found[0].said["message"]
    blocks: list[Any] = []
    fragments = ""
    for event in found[1:-1]:
        said = event.said
        match event.name:
            case "content_block_start":
                assert said["index"] == len(blocks)
                blocks.append(said["content_block"])
                fragments = ""
            case "content_block_delta":
                delta = dict(said["delta"])
                kind = delta.pop("type")
                if kind == "input_json_delta":
                    fragments += delta["partial_json"]
                elif kind == "citations_delta":
                    blocks[-1].setdefault("citations", []).append(delta["citation"])
                else:
                    ((name, value),) = delta.items()
                    blocks[-1][name] += value
            case "content_block_stop":
                if blocks[-1]["type"] == "tool_use":
                    blocks[-1]["input"] = json.loads(fragments or "{}")
            case "message_delta":
                message |= said["delta"]
                message["usage"] = message.get("usage", {}) | said.get("usage", {})
            case _:
                pass
    return _messages_whole(message | {"content": blocks})


def _gemini_body(model: str, contents: list[Any], *, stream: bool, tools: list[str], thinks: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"contents": contents}
    if thinks:
        body["generationConfig"] = {"thinkingConfig": {"includeThoughts": True}}
    if tools:
        body["tools"] = [{"functionDeclarations": [{"name": name, "parametersJsonSchema": SCHEMA} for name in tools]}]
    return body


def _gemini_whole(body: dict[str, Any]) -> Said:
    if "candidates" not in body:
        return Said("", [], body["promptFeedback"]["blockReason"], None)
    candidate = body["candidates"][0]
    parts = candidate["content"].get("parts", [])
    usage = body.get("usageMetadata")
    counted = (usage["promptTokenCount"], usage["candidatesTokenCount"] + usage.get("thoughtsTokenCount", 0)) if usage else None
    return Said(
        "".join(part.get("text", "") for part in parts if not part.get("thought")),
        [(call["id"], call["name"], call["args"]) for part in parts if (call := part.get("functionCall"))],
        candidate.get("finishReason", ""),
        counted,
        "".join(part["text"] for part in parts if part.get("thought")),
        parts,
    )


def _gemini_stream(reply: Reply) -> Said:
    chunks = [event.said for event in events(reply)] if not reply.body.startswith(b"[") else json.loads(reply.body)
    if "candidates" not in chunks[0]:
        return _gemini_whole(chunks[0])
    parts = [part for chunk in chunks for each in chunk["candidates"] for part in each["content"].get("parts", [])]
    last = chunks[-1]["candidates"][0] | {"content": {"parts": parts}}
    return _gemini_whole(chunks[-1] | {"candidates": [last]})


def _parsed(calls: list[tuple[str, str, str]]) -> list[tuple[str, str, Any]]:
    return [(identity, name, json.loads(arguments or "{}")) for identity, name, arguments in calls]


TONGUES = {
    tongue.name: tongue
    for tongue in (
        Tongue("chat", lambda _m, _s: "/v1/chat/completions", _chat_body, _chat_whole, _chat_stream, {}),
        Tongue("responses", lambda _m, _s: "/v1/responses", _responses_body, _responses_whole, _responses_stream, {}),
        Tongue(
            "messages",
            lambda _m, _s: "/v1/messages?beta=true",
            _messages_body,
            _messages_whole,
            _messages_stream,
            {"anthropic_version": "2023-06-01", "x_api_key": "k"},
        ),
        Tongue(
            "gemini",
            lambda model, stream: f"/v1beta/models/{model}:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}",
            _gemini_body,
            _gemini_whole,
            _gemini_stream,
            {"x_goog_api_key": "k"},
        ),
    )
}


def user(tongue: str, text: str) -> Any:
    return {"role": "user", "parts": [{"text": text}]} if tongue == "gemini" else {"role": "user", "content": text}


def spoken(tongue: str, said: Said) -> list[Any]:
    """An answer as a client of this dialect sends it back, whole."""
    match tongue:
        case "chat":
            kept = {name: value for name, value in said.parts.items() if value and name != "reasoning_content"}
            return [{"role": "assistant", **kept}]
        case "responses":
            return list(said.parts)
        case "messages":
            return [{"role": "assistant", "content": said.parts}]
        case _:
            return [{"role": "model", "parts": said.parts}]


def answered(tongue: str, said: Said, text: str) -> list[Any]:
    """Every call of an answer, answered with this text and the name of the tool."""
    match tongue:
        case "chat":
            return [{"role": "tool", "tool_call_id": identity, "content": f"{text} {name}"} for identity, name, _ in said.calls]
        case "responses":
            return [{"type": "function_call_output", "call_id": identity, "output": f"{text} {name}"} for identity, name, _ in said.calls]
        case "messages":
            content = [{"type": "tool_result", "tool_use_id": identity, "content": f"{text} {name}"} for identity, name, _ in said.calls]
            return [{"role": "user", "content": content}]
        case _:
            parts = [
                {"functionResponse": {"id": identity, "name": name, "response": {"output": f"{text} {name}"}}}
                for identity, name, _ in said.calls
            ]
            return [{"role": "user", "parts": parts}]


async def converse(
    upstream: Upstream, tongue: str, model: str, turns: list[Any], *, stream: bool, tools: list[str] | None = None, thinks: bool = False
) -> Said:
    """One request and what its answer says."""
    reply = await raw(upstream, tongue, model, turns, stream=stream, tools=tools, thinks=thinks)
    assert (reply.status, reply.clean) == (200, True), reply.body
    way = TONGUES[tongue]
    return way.stream(reply) if stream else way.whole(json.loads(reply.body))


async def raw(
    upstream: Upstream,
    tongue: str,
    model: str,
    turns: list[Any],
    *,
    stream: bool,
    tools: list[str] | None = None,
    thinks: bool = False,
    more: dict[str, Any] | None = None,
) -> Reply:
    way = TONGUES[tongue]
    body = way.body(model, turns, stream=stream, tools=tools or [], thinks=thinks) | (more or {})
    return await ask(upstream, way.path(model, stream), body, **way.fields)
