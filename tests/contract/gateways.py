"""A gateway of raw replies: healthy on every surface, and each surface can be given another reply. It shares no code with the tester."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.contract.servers import GOOD_KEY, reply

Answer = Callable[[bytes], bytes | None]
CHAT: dict[str, Any] = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "pong"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
RESPONSE: dict[str, Any] = {
    "id": "r1",
    "object": "response",
    "status": "completed",
    "model": "m",
    "output": [
        {"type": "message", "id": "i", "role": "assistant", "content": [{"type": "output_text", "text": "pong", "annotations": []}]}
    ],
    "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
}
MESSAGE: dict[str, Any] = {
    "id": "m1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "pong"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 1},
}
GENERATED: dict[str, Any] = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "pong"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 1},
    "modelVersion": "m",
}
CALL: dict[str, Any] = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
CALLED: dict[str, Any] = {**CHAT, "choices": [{"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [CALL]}}]}
STRUCTURED: dict[str, Any] = {**CHAT, "choices": [{"index": 0, "message": {"role": "assistant", "content": '{"answer": "pong"}'}}]}
REFUSED = {"error": {"message": "no", "type": "invalid_request_error", "code": "invalid_api_key"}}


def piece(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }


def frames(*events: Any, newline: str = "\n") -> bytes:
    """Events as bytes: a dict is data, a pair has a name before it, a text stands as it is."""
    out: list[str] = []
    for event in events:
        name, data = event if isinstance(event, tuple) else ("", event)
        text = data if isinstance(data, str) else json.dumps(data)
        out.append((f"event: {name}{newline}" if name else "") + f"data: {text}{newline}{newline}")
    return "".join(out).encode()


USAGE = {**piece({}), "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}
CHUNKS = (piece({"role": "assistant", "content": ""}), piece({"content": "pong"}), piece({}, "stop"), USAGE, "[DONE]")


def typed(*events: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(event["type"], event) for event in events]


def numbered(*events: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return typed(*({**event, "sequence_number": number} for number, event in enumerate(events)))


RESPONSE_EVENTS: tuple[dict[str, Any], ...] = (
    {"type": "response.created", "response": {**RESPONSE, "status": "in_progress", "output": [], "usage": None}},
    {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "id": "i", "content": []}},
    {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "i", "delta": "pong"},
    {"type": "response.output_item.done", "output_index": 0, "item": RESPONSE["output"][0]},
    {"type": "response.completed", "response": RESPONSE},
)
MESSAGE_EVENTS: tuple[dict[str, Any], ...] = (
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "pong"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
)
PARTS: tuple[dict[str, Any], ...] = (
    {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "po"}]}}],
        "usageMetadata": {"promptTokenCount": 1},
        "modelVersion": "m",
    },
    {**GENERATED, "candidates": [{"content": {"role": "model", "parts": [{"text": "ng"}]}, "finishReason": "STOP"}]},
)


def sse(body: bytes, **how: Any) -> bytes:
    return reply(200, body, kind=how.pop("kind", "text/event-stream"), **how)


HEALTHY: dict[str, bytes] = {
    "models": reply(200, {"object": "list", "data": [{"id": "m", "object": "model"}]}),
    "catalogue": reply(200, {"data": [{"id": "m", "model_type": "text", "pricing": {"input": 0.1}}]}),
    "chat": reply(200, CHAT),
    "chat-stream": sse(frames(*CHUNKS)),
    "chat-tools": reply(200, CALLED),
    "chat-structured": reply(200, STRUCTURED),
    "responses": reply(200, RESPONSE),
    "responses-stream": sse(frames(*numbered(*RESPONSE_EVENTS))),
    "messages": reply(200, MESSAGE),
    "messages-stream": sse(frames(*typed(*MESSAGE_EVENTS))),
    "gemini": reply(200, GENERATED),
    "gemini-stream": sse(frames(*PARTS)),
    "embeddings": reply(200, {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1, 0]}], "model": "m"}),
    "images": reply(200, {"created": 1, "data": [{"b64_json": "aGk="}]}),
    "speech": reply(200, b"\xff\xfb\x90", kind="audio/mpeg"),
    "transcription": reply(200, {"text": ""}),
    "videos": reply(200, {"id": "v1", "object": "video", "status": "queued"}),
    "videos poll": reply(200, {"id": "v1", "object": "video", "status": "completed"}),
    "videos fetch": reply(200, b"mp4", kind="video/mp4"),
    "refusal": reply(401, REFUSED),
    "nothing": reply(404, {"error": {"message": "nothing here", "type": "invalid_request_error", "code": "unknown_url"}}),
}


def surface(request: bytes) -> str:
    """Which contract a request belongs to."""
    target = request.split(b" ", 2)[1].decode()
    body = request.partition(b"\r\n\r\n")[2]
    streamed = '"stream":true' in body.decode("latin-1") or "streamGenerate" in target
    path = target.partition("?")[0]
    match path:
        case "/v1/models":
            return "models"
        case "/api/models":
            return "catalogue"
        case "/v1/chat/completions":
            kind = "chat-tools" if b'"tools"' in body else "chat-structured" if b'"response_format"' in body else "chat"
            return "chat-stream" if streamed else kind
        case "/v1/responses" | "/v1/messages":
            return path.rpartition("/")[2] + ("-stream" if streamed else "")
        case "/v1/embeddings":
            return "embeddings"
        case "/v1/images/generations":
            return "images"
        case "/v1/audio/speech":
            return "speech"
        case "/v1/audio/transcriptions":
            return "transcription"
        case "/v1/videos":
            return "videos"
        case _ if path.startswith("/v1/videos/"):
            return "videos fetch" if path.endswith("/content") else "videos poll"
        case _ if path.startswith("/v1beta/models/"):
            return "gemini-stream" if streamed else "gemini"
        case _:
            return "nothing"


def carries_key(request: bytes) -> bool:
    """In one of the fields that carry a key, exactly."""
    lines = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return fields.get("authorization") == f"Bearer {GOOD_KEY}" or GOOD_KEY in (fields.get("x-api-key"), fields.get("x-goog-api-key"))


def gateway(**changed: bytes | None) -> Answer:
    """Healthy but for what is changed; `_` in a name stands for `-`, `X_poll` for `X poll`."""
    replies: dict[str, bytes | None] = dict(HEALTHY)
    for name, value in changed.items():
        spaced = name.replace("_poll", " poll").replace("_fetch", " fetch").replace("_", "-")
        replies[spaced] = value

    def answer(request: bytes) -> bytes | None:
        name = surface(request)
        if name not in ("catalogue", "nothing") and not carries_key(request):
            return replies["refusal"]
        return replies[name]

    return answer
