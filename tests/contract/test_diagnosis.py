"""Faults injected over real sockets: the diagnosis named is the fault, for each script of the table; and what is merely odd is no fault."""

from __future__ import annotations

import gzip
import json
import ssl
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from halley.cli.smoke import smoke
from halley.contract.diagnosis import is_same_model
from halley.contract.findings import TABLE
from tests.contract.gateways import (
    CALL,
    CHAT,
    CHUNKS,
    GENERATED,
    HEALTHY,
    MESSAGE,
    MESSAGE_EVENTS,
    PARTS,
    REFUSED,
    RESPONSE,
    RESPONSE_EVENTS,
    USAGE,
    Answer,
    carries_key,
    frames,
    gateway,
    numbered,
    piece,
    sse,
    surface,
    typed,
)
from tests.contract.servers import CANARY, GOOD_KEY, reply, serving


class Script(NamedTuple):
    """A server, what is asked of it, and the code that names its fault. `base` is appended to its address."""

    answer: Answer
    expected: str
    flags: tuple[str, ...] = ()
    key: str = GOOD_KEY
    base: str = "/v1"
    model: str | None = "m"


def error(status: int, code: str | None = None, *, param: str | None = None, kind: str = "invalid_request_error") -> bytes:
    return reply(status, {"error": {"message": CANARY, "type": kind, "param": param, "code": code}})


def html(status: int, extra: str = "") -> bytes:
    return reply(status, f"<html><body>{CANARY}</body></html>", kind="text/html", extra=extra)


def only(*names: str) -> tuple[str, ...]:
    return tuple(word for name in names for word in ("--contract", name))


def wants(field: bytes) -> Answer:
    """Takes the key as it stands in one field, and in no other way."""

    def answer(request: bytes) -> bytes:
        taken = field + b": " + GOOD_KEY.encode() + b"\r\n" in request
        return HEALTHY[surface(request)] if taken else HEALTHY["refusal"]

    return answer


def refuses(text: bytes) -> Answer:
    """Rejects each chat request that has these bytes in its body."""

    def answer(request: bytes) -> bytes | None:
        rejected = surface(request).startswith("chat") and text in request.partition(b"\r\n\r\n")[2] and carries_key(request)
        return error(400, "invalid_value") if rejected else gateway()(request)

    return answer


def at(place: str, elsewhere: bytes) -> Answer:
    """An API below `place` that asks for a key, and something else at every other path."""

    def answer(request: bytes) -> bytes:
        return HEALTHY["refusal"] if request.split(b" ", 2)[1].decode().startswith(f"{place}/models") else elsewhere

    return answer


def without(value: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: each for key, each in value.items() if key != name}


def chat_with(message: dict[str, Any]) -> bytes:
    return reply(200, {**CHAT, "choices": [{"index": 0, "message": message}]})


def relabelled(field: bytes) -> bytes:
    """The healthy answer with another field in place of its length."""
    head, blank, body = HEALTHY["chat"].partition(b"\r\n\r\n")
    return b"\r\n".join(field if line.startswith(b"Content-Length") else line for line in head.split(b"\r\n")) + blank + body


def stream(*events: Any) -> Answer:
    return gateway(chat_stream=sse(frames(*events)))


NOT_FOUND = HEALTHY["nothing"]
T = ("--profile", "text")
S, R, M, G = only("chat-stream"), only("responses-stream"), only("messages-stream"), only("gemini-stream")
FAULTS: dict[str, Script] = {
    # The key and the head that carries it.
    "the key is refused": Script(gateway(chat=HEALTHY["refusal"], models=HEALTHY["refusal"]), "key-refused"),
    "the key is refused with 403": Script(gateway(chat=error(403), models=error(403)), "key-refused"),
    "the key begins with Bearer": Script(gateway(), "key-bearer-prefix", key=f"Bearer {GOOD_KEY}"),
    "a blank behind the key": Script(gateway(), "key-blank", key=f"{GOOD_KEY} "),
    "the key stands in quotes": Script(gateway(), "key-quoted", key=f'"{GOOD_KEY}"'),
    "the key belongs in X-API-Key": Script(wants(b"X-API-Key"), "header-name"),
    "the key belongs in Authorization without Bearer": Script(wants(b"Authorization"), "header-name"),
    "the key may list and not chat": Script(
        lambda r: error(403, "forbidden") if surface(r) == "chat" and carries_key(r) else gateway()(r), "key-permission"
    ),
    "a bad key gets an answer": Script(lambda r: HEALTHY[surface(r)], "bad-key-accepted"),
    "no key gets an answer": Script(lambda r: gateway()(r) if b"uthorization" in r else HEALTHY["chat"], "bad-key-accepted"),
    "a bad key gets a stream": Script(gateway(refusal=sse(frames(*CHUNKS))), "bad-key-accepted"),
    "a bad key gets an error in 200": Script(gateway(refusal=reply(200, REFUSED)), "bad-key-accepted"),
    "a bad key is accepted on messages only": Script(
        lambda r: HEALTHY["messages"] if surface(r) == "messages" else gateway()(r), "bad-key-accepted", ("--profile", "text")
    ),
    "a refusal carries content": Script(gateway(refusal=reply(401, {**REFUSED, **CHAT})), "content-in-error"),
    "a refusal has no error": Script(gateway(refusal=reply(401, {"detail": CANARY})), "error-shape"),
    "a refusal is HTML": Script(gateway(refusal=html(403)), "html-page"),
    "a refusal is 500": Script(gateway(refusal=error(500)), "server-error"),
    "the key is refused with 400, as LiteLLM does": Script(
        lambda r: gateway(refusal=error(400, "400", kind="no_db_connection") if b"uthorization" in r else HEALTHY["refusal"])(r),
        "key-refused",
        key="sk-another",
    ),
    "the key is refused with 400, as Google does": Script(
        gateway(
            models=HEALTHY["refusal"],
            gemini=reply(400, {"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}),
        ),
        "key-refused",
        only("gemini"),
    ),
    "no list, because the key is refused with 400": Script(
        lambda r: gateway(refusal=error(400, "400") if b"uthorization" in r else HEALTHY["refusal"], catalogue=NOT_FOUND)(r),
        "key-refused",
        key="sk-another",
        model=None,
    ),
    "the key is lost on the way to Responses": Script(gateway(responses=HEALTHY["refusal"]), "key-refused-here", only("chat", "responses")),
    "messages take no x-api-key": Script(gateway(messages=error(403)), "key-refused-here", ("--profile", "text")),
    # The model.
    "the model does not exist": Script(gateway(chat=error(404, "model_not_found")), "model-rejected"),
    "the model does not exist, as vLLM says it": Script(
        gateway(chat=reply(404, {"object": "error", "message": CANARY, "type": "NotFoundError", "param": None, "code": 404})),
        "model-rejected",
        model="other",
    ),
    "the model does not exist, as LiteLLM says it": Script(
        gateway(chat=reply(400, {"error": {"message": CANARY, "type": "None", "param": "None", "code": "400"}})),
        "model-rejected",
        model="other",
    ),
    "no channel has the model": Script(gateway(chat=error(503, "model_not_found", kind="new_api_error")), "model-rejected"),
    "the model is not for this key": Script(gateway(chat=error(403, param="model")), "model-rejected"),
    # Without a model to ask, the list's own fault is what counts.
    "no list, because the key is refused": Script(gateway(models=HEALTHY["refusal"], catalogue=NOT_FOUND), "key-refused", model=None),
    "no list, because the key belongs in X-API-Key": Script(wants(b"X-API-Key"), "header-name", model=None),
    "no list on a documentation host": Script(lambda r: html(200), "website", model=None),
    "no list behind a broken proxy": Script(lambda r: html(502), "html-page", model=None),
    "no list behind a redirect": Script(
        lambda r: reply(301, "", extra="Location: https://elsewhere.test/v1\r\n"), "redirected", model=None
    ),
    "no list, since the API is at /api/v1": Script(at("/api/v1", NOT_FOUND), "missing-v1", model=None),
    "no list, for it has no end": Script(gateway(models=reply(200, b" " * 1500000), catalogue=NOT_FOUND), "evidence-gap", model=None),
    "no list from a silent server": Script(lambda r: None, "timeout", ("--timeout", "0.4"), model=None),
    "no list from no HTTP": Script(lambda r: b"SSH-2.0-x\r\n\r\n", "protocol", model=None),
    "there is no model to take": Script(gateway(models=NOT_FOUND, catalogue=NOT_FOUND), "evidence-gap", model=None),
    # What chat has proved is no longer in question.
    "Responses refuse a field that a router added": Script(
        gateway(models=reply(200, {"data": [{"id": "unknown"}]}), responses=error(400, "invalid_value", param="priority")),
        "request-rejected",
        only("chat", "responses"),
    ),
    "streams alone fail": Script(gateway(chat_stream=error(500, kind="api_error")), "surface-fails", only("chat", "chat-stream")),
    "the model list alone fails": Script(gateway(models=reply(500, {"status": "failure", "message": CANARY})), "surface-fails", T),
    "bad messages fail": Script(
        lambda r: error(500) if surface(r) == "messages" and not carries_key(r) else gateway()(r), "surface-fails", T
    ),
    # The request.
    "everybody is rejected, since a header is missing": Script(
        lambda r: reply(400, {"status": "failure", "message": CANARY}), "request-rejected"
    ),
    "the body is malformed": Script(gateway(chat=error(400, "invalid_json")), "request-rejected"),
    "the body is not processable": Script(gateway(chat=reply(422, {"detail": [{"loc": ["body"], "msg": CANARY}]})), "request-rejected"),
    "temperature is refused": Script(
        refuses(b'"temperature"'),
        "parameter-rejected",
        ("--bisect", "--field", "top_p=1", "--field", "temperature=0.2", "--field", "seed=1"),
    ),
    "stream is refused": Script(refuses(b'"stream":false'), "parameter-rejected", ("--bisect",)),
    # The reply.
    "choices are empty": Script(gateway(chat=reply(200, {**CHAT, "choices": []})), "empty-choices"),
    "choices are missing": Script(gateway(chat=reply(200, without(CHAT, "choices"))), "no-choices"),
    "choices are null": Script(gateway(chat=reply(200, {**CHAT, "choices": None})), "no-choices"),
    "content is null": Script(gateway(chat=chat_with({"role": "assistant", "content": None})), "content-missing"),
    "content is empty": Script(gateway(chat=chat_with({"role": "assistant", "content": ""})), "content-missing"),
    "content is no text": Script(gateway(chat=chat_with({"role": "assistant", "content": [{"text": "pong"}]})), "content-missing"),
    "there is no message": Script(gateway(chat=reply(200, {"choices": [{"index": 0}]})), "content-missing"),
    "an error hides in 200": Script(gateway(chat=reply(200, {**CHAT, **REFUSED})), "error-with-200"),
    "success is false in 200": Script(gateway(chat=reply(200, {"success": False, "message": CANARY})), "error-with-200"),
    "JSON calls itself text": Script(gateway(chat=reply(200, CHAT, kind="text/plain")), "content-type"),
    "a stream that nobody asked for": Script(gateway(chat=HEALTHY["chat-stream"]), "event-stream"),
    "a stream that calls itself JSON": Script(gateway(chat=reply(200, frames(*CHUNKS))), "event-stream"),
    "201 in place of 200": Script(gateway(chat=reply(201, CHAT)), "unexpected-status"),
    "JSON is cut by its sender": Script(gateway(chat=reply(200, json.dumps(CHAT)[:40])), "not-json"),
    "the body is empty": Script(gateway(chat=reply(200, "")), "empty-body"),
    "the body is compressed": Script(
        gateway(chat=reply(200, gzip.compress(json.dumps(CHAT).encode()), extra="Content-Encoding: gzip\r\n")), "compressed-reply"
    ),
    "the body is huge": Script(gateway(chat=reply(200, b" " * 1500000)), "reply-too-large"),
    # Between here and the API.
    "502 in HTML": Script(lambda r: html(502, "Server: nginx\r\n"), "html-page"),
    "503 in HTML": Script(gateway(chat=html(503)), "html-page"),
    "504 in HTML": Script(gateway(chat=html(504, "CF-Ray: 1\r\n")), "html-page"),
    "502 without a body": Script(lambda r: reply(502, ""), "proxy-error"),
    "503 without a body": Script(gateway(chat=reply(503, "")), "proxy-error"),
    "504 in plain text": Script(gateway(chat=reply(504, "upstream request timeout", kind="text/plain")), "proxy-error"),
    "500 from the API": Script(gateway(chat=error(500, kind="api_error")), "server-error"),
    "503 from the API": Script(gateway(chat=error(503, "overloaded")), "server-error"),
    "301": Script(lambda r: reply(301, "", extra="Location: https://elsewhere.test/v1\r\n"), "redirected"),
    "302 to a login page": Script(gateway(chat=reply(302, "", extra="Location: /login\r\n")), "redirected"),
    "307": Script(gateway(chat=reply(307, "", extra="Location: /v2/chat/completions\r\n")), "redirected"),
    "308": Script(gateway(chat=reply(308, "", extra="Location: /v1/chat/completions/\r\n")), "redirected"),
    "a proxy wants a password": Script(lambda r: reply(407, "{}"), "proxy-authentication"),
    "a documentation host": Script(lambda r: html(200), "website"),
    "a website without that page": Script(lambda r: html(404), "website"),
    "a login page in place of an answer": Script(gateway(chat=html(200)), "website"),
    "the API is at /v1 and the base URL says /v2": Script(at("/v1", NOT_FOUND), "missing-v1", base="/v2"),
    "the API is at /api/v1": Script(at("/api/v1", NOT_FOUND), "missing-v1"),
    "the API is at /v1 and the website at /openai": Script(at("/v1", html(404)), "missing-v1", base="/openai"),
    "nothing is at this path": Script(lambda r: NOT_FOUND, "wrong-base-url"),
    "v1 twice": Script(gateway(), "doubled-v1", base="/v1/v1"),
    "nobody answers": Script(lambda r: None, "timeout", ("--timeout", "0.4")),
    "the reply is cut": Script(gateway(chat=HEALTHY["chat"][:-5]), "cut"),
    "the connection is closed without a reply": Script(gateway(chat=b""), "cut"),
    "a length that is too short": Script(gateway(chat=relabelled(b"Content-Length: 20")), "misframed"),
    "a head of lines without carriage returns": Script(gateway(chat=HEALTHY["chat"].replace(b"\r\n", b"\n")), "misframed"),
    "a head of a megabyte": Script(gateway(chat=reply(200, CHAT, extra=f"X-Big: {'x' * 1000000}\r\n")), "misframed"),
    "304 without a place": Script(gateway(chat=reply(304, "")), "unexpected-status"),
    "not HTTP": Script(lambda r: b"SSH-2.0-x\r\n\r\n", "protocol"),
    # Who answered.
    "another model answered": Script(gateway(chat=reply(200, {**CHAT, "model": "m-mini"})), "unreviewed-fallback"),
    "another model answered in the stream": Script(
        stream(*({**c, "model": "z"} if isinstance(c, dict) else c for c in CHUNKS)), "unreviewed-fallback", S
    ),
    "another provider answered": Script(
        gateway(chat=reply(200, CHAT, extra="x-halley-provider: backup\r\n")), "unreviewed-fallback", ("--expect-provider", "first")
    ),
    "the gateway tried twice": Script(gateway(chat=reply(200, CHAT, extra="x-halley-attempts: 2\r\n")), "several-attempts"),
    "LiteLLM fell back": Script(gateway(chat=reply(200, CHAT, extra="x-litellm-attempted-fallbacks: 1\r\n")), "several-attempts"),
    # What keeps the contract from being seen.
    "too many requests": Script(gateway(chat=error(429, "rate_limit_exceeded")), "rate-limited"),
    "the quota is used up": Script(gateway(chat=error(429, "insufficient_quota")), "no-credit"),
    "there is no credit": Script(gateway(chat=error(402, "insufficient_quota")), "no-credit"),
    "a contract that was asked for is not served": Script(gateway(responses=NOT_FOUND), "surface-missing", only("chat", "responses")),
    # Streams.
    "JSON in place of a stream": Script(gateway(chat_stream=HEALTHY["chat"]), "stream-missing", S),
    "a stream without its type": Script(gateway(chat_stream=sse(frames(*CHUNKS), kind="text/plain")), "stream-type", S),
    "a chunk that is no JSON": Script(stream(CHUNKS[0], "{nope", *CHUNKS[1:]), "stream-frame", S),
    "an error in the stream": Script(stream(CHUNKS[0], REFUSED), "stream-error", S),
    "no finish reason": Script(stream(CHUNKS[0], CHUNKS[1], USAGE, "[DONE]"), "stream-finish", S),
    "two finish reasons": Script(stream(*CHUNKS[:3], piece({}, "stop"), USAGE, "[DONE]"), "stream-finish", S),
    "no [DONE]": Script(stream(*CHUNKS[:-1]), "stream-end", S),
    "data behind [DONE]": Script(stream(*CHUNKS, CHUNKS[1]), "stream-order", S),
    "text behind the finish reason": Script(stream(*CHUNKS[:3], CHUNKS[1], USAGE, "[DONE]"), "stream-order", S),
    "a stream without text": Script(stream(CHUNKS[0], *CHUNKS[2:]), "stream-empty", S),
    "a stream without usage": Script(stream(*CHUNKS[:3], "[DONE]"), "stream-usage", S),
    "a stream that is cut": Script(gateway(chat_stream=sse(frames(*CHUNKS))[:-30]), "cut", S),
    "a response that begins in the middle": Script(
        gateway(responses_stream=sse(frames(*numbered(*RESPONSE_EVENTS[1:])))), "stream-order", R
    ),
    "a response without an end": Script(gateway(responses_stream=sse(frames(*numbered(*RESPONSE_EVENTS[:-1])))), "stream-end", R),
    "an item that never ends": Script(
        gateway(responses_stream=sse(frames(*numbered(*RESPONSE_EVENTS[:3], RESPONSE_EVENTS[4])))), "stream-order", R
    ),
    "an item at no number": Script(
        gateway(responses_stream=sse(frames(*numbered(*RESPONSE_EVENTS[:1], {**RESPONSE_EVENTS[1], "output_index": []})))),
        "stream-order",
        R,
    ),
    "an item ends at no number": Script(
        gateway(responses_stream=sse(frames(*numbered(*RESPONSE_EVENTS[:3], {**RESPONSE_EVENTS[3], "output_index": {}})))),
        "stream-order",
        R,
    ),
    "numbers that stand still": Script(
        gateway(responses_stream=sse(frames(*typed(*({**e, "sequence_number": 0} for e in RESPONSE_EVENTS))))), "stream-order", R
    ),
    "a response that fails": Script(
        gateway(responses_stream=sse(frames(*numbered(*RESPONSE_EVENTS[:-1], {"type": "response.failed", "response": RESPONSE})))),
        "stream-error",
        R,
    ),
    "events without names": Script(gateway(messages_stream=sse(frames(*MESSAGE_EVENTS))), "stream-event-names", M),
    "a message without an end": Script(gateway(messages_stream=sse(frames(*typed(*MESSAGE_EVENTS[:-1])))), "stream-end", M),
    "a block that was not opened": Script(
        gateway(messages_stream=sse(frames(*typed(MESSAGE_EVENTS[0], *MESSAGE_EVENTS[2:])))), "stream-order", M
    ),
    "a message without a stop reason": Script(
        gateway(messages_stream=sse(frames(*typed(*MESSAGE_EVENTS[:4], MESSAGE_EVENTS[5])))), "stream-finish", M
    ),
    "a Gemini stream without a finish reason": Script(gateway(gemini_stream=sse(frames(PARTS[0], PARTS[0]))), "stream-finish", G),
    # Beside chat.
    "the tool is not called": Script(gateway(chat_tools=HEALTHY["chat"]), "tool-call-missing", only("chat-tools")),
    "the tool's arguments are no JSON": Script(
        gateway(chat_tools=chat_with({"tool_calls": [{**CALL, "function": {"name": "get_weather", "arguments": "{city"}}]})),
        "tool-arguments",
        only("chat-tools"),
    ),
    "a call without an id": Script(gateway(chat_tools=chat_with({"tool_calls": [without(CALL, "id")]})), "reply-shape", only("chat-tools")),
    "prose in place of a structure": Script(gateway(chat_structured=HEALTHY["chat"]), "not-structured", only("chat-structured")),
    "a response without usage": Script(gateway(responses=reply(200, without(RESPONSE, "usage"))), "reply-shape", only("responses")),
    "a message without a stop_reason": Script(
        gateway(messages=reply(200, {**MESSAGE, "stop_reason": None})), "reply-shape", only("messages")
    ),
    "a Gemini answer that was blocked": Script(
        gateway(gemini=reply(200, {"promptFeedback": {"blockReason": "OTHER"}})), "reply-shape", only("gemini")
    ),
    "a vector of texts": Script(gateway(embeddings=reply(200, {"data": [{"embedding": ["x"]}]})), "reply-shape", only("embeddings")),
    "a picture without a picture": Script(gateway(images=reply(200, {"data": [{}]})), "reply-shape", only("images")),
    "speech that is JSON": Script(gateway(speech=reply(200, {"audio": "x"})), "media-type", only("speech")),
    "a transcription without text": Script(gateway(transcription=reply(200, {"words": []})), "reply-shape", only("transcription")),
    "a task without an id": Script(gateway(videos=reply(200, {"status": "queued"})), "reply-shape", only("videos")),
    "a task that fails": Script(gateway(videos_poll=reply(200, {"id": "v1", "status": "failed"})), "task-failed", only("videos")),
    "a task that never ends": Script(
        gateway(videos_poll=reply(200, {"id": "v1", "status": "queued"})), "task-unfinished", (*only("videos"), "--task-timeout", "0.2")
    ),
}


def tolerant(**message: Any) -> bytes:
    return chat_with({"role": "assistant", "content": "pong", **message})


def chunked(raw: bytes, size: int, *, extension: bytes = b"", trailer: bytes = b"", kind: str = "application/json") -> bytes:
    parts = b"".join(b"%x%b\r\n%b\r\n" % (len(raw[i : i + size]), extension, raw[i : i + size]) for i in range(0, len(raw), size))
    return f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n".encode() + parts + b"0\r\n" + trailer + b"\r\n"


BODY = json.dumps(CHAT).encode()
FIRST = {**piece({}), "choices": [], "prompt_filter_results": []}
SSE = "text/event-stream"
HEALTHY_VARIANTS: dict[str, Script] = {
    name: script if isinstance(script, Script) else Script(script, "")
    for name, script in {
        "nothing odd": gateway(),
        "the whole text profile": Script(gateway(), "", ("--profile", "text")),
        "the whole media profile": Script(
            gateway(),
            "",
            ("--profile", "media", *(w for k in ("image", "speech", "transcription", "video") for w in ("--model-for", f"{k}=m"))),
        ),
        "a base URL without /v1": Script(gateway(), "", base=""),
        "a base URL with a slash": Script(gateway(), "", base="/v1/"),
        "a model from the catalogue": Script(gateway(), "", model=None),
        "unknown fields": gateway(chat=reply(200, {**CHAT, "provider": "x", "citations": [], "x_groq": {"id": "1"}})),
        "error is null": gateway(chat=reply(200, {**CHAT, "error": None})),
        "no id, no object, no usage": gateway(chat=reply(200, {"choices": CHAT["choices"]})),
        "usage is null": gateway(chat=reply(200, {**CHAT, "usage": None})),
        "usage has details": gateway(chat=reply(200, {**CHAT, "usage": {"prompt_tokens": 0, "latency_checkpoint": {}}})),
        "a dated model": gateway(chat=reply(200, {**CHAT, "model": "m-2026-06-14"})),
        "a model with its day": gateway(chat=reply(200, {**CHAT, "model": "m-20260614"})),
        "a model with its provider": gateway(chat=reply(200, {**CHAT, "model": "vendor/m"})),
        "a provider in the question only": Script(gateway(), "", model="vendor/m"),
        "the newest of a model": Script(gateway(chat=reply(200, {**CHAT, "model": "m-0613"})), "", model="m-latest"),
        "reasoning beside the content": gateway(chat=tolerant(reasoning_content="hm", reasoning="hm", reasoning_details=[])),
        "refusal and annotations": gateway(chat=tolerant(refusal=None, annotations=[], audio=None, tool_calls=None, function_call=None)),
        "text of another wording": gateway(chat=tolerant(content="Sure! 🏓 Pong.\n")),
        "a long text": gateway(chat=tolerant(content="pong " * 20000)),
        "finish_reason length": gateway(chat=reply(200, {"choices": [{"message": {"content": "po"}, "finish_reason": "length"}]})),
        "two choices": gateway(chat=reply(200, {**CHAT, "choices": CHAT["choices"] * 2})),
        "blank space before the JSON": gateway(chat=reply(200, b"\n\n  " + BODY)),
        "escapes in the JSON": gateway(chat=reply(200, BODY.replace(b"pong", rb"\ud83c\udfd3 \u0070ong"))),
        "a charset": gateway(chat=reply(200, CHAT, kind="application/json; charset=utf-8")),
        "a vendor's JSON type": gateway(chat=reply(200, CHAT, kind="application/vnd.api+json")),
        "the type in capitals": gateway(chat=reply(200, CHAT, kind="Application/JSON")),
        "identity said aloud": gateway(chat=reply(200, CHAT, extra="Content-Encoding: identity\r\n")),
        "chunks of one byte": gateway(chat=chunked(BODY, 1)),
        "chunks with extensions and trailers": gateway(chat=chunked(BODY, 7, extension=b";a=b", trailer=b"x-checksum: 1\r\n")),
        "a body ended by close": gateway(chat=reply(200, CHAT, framing="eof")),
        "HTTP/1.0": gateway(chat=reply(200, CHAT).replace(b"HTTP/1.1", b"HTTP/1.0")),
        "100 Continue first": gateway(chat=b"HTTP/1.1 100 Continue\r\n\r\n" + HEALTHY["chat"]),
        "103 first": gateway(chat=b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + HEALTHY["chat"]),
        "a big head": gateway(chat=reply(200, CHAT, extra=f"X-Big: {'x' * 30000}\r\n")),
        "the same field twice": gateway(chat=reply(200, CHAT, extra="Via: 1.1 a\r\nVia: 1.1 b\r\n")),
        "one attempt, said aloud": gateway(chat=reply(200, CHAT, extra="x-halley-attempts: 1\r\nx-litellm-attempted-fallbacks: 0\r\n")),
        "the provider that was expected": Script(
            gateway(chat=reply(200, CHAT, extra="x-halley-provider: First\r\n")), "", ("--expect-provider", "first")
        ),
        "a bad key gets 403": gateway(refusal=error(403)),
        "a bad key gets 400": gateway(refusal=reply(400, {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "x"}})),
        "a bad key gets 404": gateway(refusal=error(404)),
        "a bad key gets a text as error": gateway(refusal=reply(401, {"error": "unauthorized"})),
        "a bad key gets a message alone": gateway(refusal=reply(401, {"message": "unauthorized", "success": False})),
        "a refusal with a challenge": gateway(refusal=reply(401, REFUSED, extra="WWW-Authenticate: Bearer\r\n")),
        "optional fields are taken": Script(gateway(), "", ("--field", "temperature=0.2", "--field", 'user="u"', "--bisect")),
        "surfaces that are not there": Script(
            gateway(**{n: NOT_FOUND for n in ("catalogue", "responses", "messages", "gemini", "embeddings")}), "", ("--profile", "text")
        ),
        "surfaces that are not allowed": Script(
            gateway(
                **{n: reply(405, {"detail": "Method Not Allowed"}) for n in ("catalogue", "responses", "messages", "gemini", "embeddings")}
            ),
            "",
            ("--profile", "text"),
        ),
        "a stream with CRLF": Script(gateway(chat_stream=sse(frames(*CHUNKS, newline="\r\n"))), "", S),
        "a stream with CR": Script(gateway(chat_stream=sse(frames(*CHUNKS, newline="\r"))), "", S),
        "a stream with comments": Script(
            gateway(chat_stream=sse(b": hello\n\n" + frames(*CHUNKS).replace(b"\n\n", b"\n\n: ping\n\n"))), "", S
        ),
        "a stream byte by byte": Script(gateway(chat_stream=chunked(frames(*CHUNKS), 1, kind=SSE)), "", S),
        "a stream without blanks behind colons": Script(gateway(chat_stream=sse(frames(*CHUNKS).replace(b"data: ", b"data:"))), "", S),
        "a stream without its last blank line": Script(gateway(chat_stream=sse(frames(*CHUNKS).rstrip(b"\n"))), "", S),
        "a stream with a byte order mark and ids": Script(
            gateway(chat_stream=sse(b"\xef\xbb\xbfretry: 10\n\n" + frames(*CHUNKS).replace(b"data:", b"id: 1\ndata:"))), "", S
        ),
        "a stream that begins with a filter's verdict": Script(stream(FIRST, *CHUNKS), "", S),
        "a stream with usage on each chunk": Script(
            stream(*({**c, "usage": {"prompt_tokens": 1}} if isinstance(c, dict) else c for c in CHUNKS)), "", S
        ),
        "a stream with null usage": Script(stream(*({"usage": None, **c} if isinstance(c, dict) else c for c in CHUNKS)), "", S),
        "a stream with thoughts": Script(stream(CHUNKS[0], piece({"reasoning_content": "hm"}), *CHUNKS[1:]), "", S),
        "a stream with obfuscation": Script(stream(*({**c, "obfuscation": "xx"} if isinstance(c, dict) else c for c in CHUNKS)), "", S),
        "usage in the finishing chunk": Script(stream(*CHUNKS[:2], piece({}, "stop", usage={"prompt_tokens": 1}), "[DONE]"), "", S),
        "a response without event names": Script(gateway(responses_stream=sse(frames(*(e for _, e in numbered(*RESPONSE_EVENTS))))), "", R),
        "a response without numbers": Script(gateway(responses_stream=sse(frames(*typed(*RESPONSE_EVENTS)))), "", R),
        "a response with [DONE]": Script(gateway(responses_stream=sse(frames(*numbered(*RESPONSE_EVENTS), "[DONE]"))), "", R),
        "a response with an unknown event": Script(
            gateway(responses_stream=sse(frames(*numbered(RESPONSE_EVENTS[0], {"type": "response.x.new"}, *RESPONSE_EVENTS[1:])))), "", R
        ),
        "a response with reasoning": Script(
            gateway(responses=reply(200, {**RESPONSE, "output": [{"type": "reasoning", "summary": []}, *RESPONSE["output"]]})),
            "",
            only("responses"),
        ),
        "a message with pings": Script(
            gateway(messages_stream=sse(frames(*typed(MESSAGE_EVENTS[0], {"type": "ping"}, *MESSAGE_EVENTS[1:])))), "", M
        ),
        "a message with a new event": Script(
            gateway(messages_stream=sse(frames(*typed(*MESSAGE_EVENTS[:3], {"type": "future_thing"}, *MESSAGE_EVENTS[3:])))), "", M
        ),
        "a message that thinks first": Script(
            gateway(messages=reply(200, {**MESSAGE, "content": [{"type": "thinking", "thinking": "hm"}, *MESSAGE["content"]]})),
            "",
            only("messages"),
        ),
        "a Gemini answer with a thought": Script(
            gateway(gemini=reply(200, {**GENERATED, "candidates": [{**GENERATED["candidates"][0], "index": 0, "safetyRatings": []}]})),
            "",
            only("gemini"),
        ),
        "a Gemini stream with CRLF": Script(gateway(gemini_stream=sse(frames(*PARTS, newline="\r\n"))), "", G),
        "two calls of the tool": Script(gateway(chat_tools=chat_with({"content": "", "tool_calls": [CALL, CALL]})), "", only("chat-tools")),
        "a picture at a URL": Script(gateway(images=reply(200, {"data": [{"url": "https://x.test/a.png"}]})), "", only("images")),
        "speech of no named kind": Script(gateway(speech=reply(200, b"\xff\xfb", kind="application/octet-stream")), "", only("speech")),
        "a task that is accepted with 202": Script(
            gateway(videos=reply(202, {"id": "a/b?c", "status": "queued", "progress": 0})), "", only("videos")
        ),
    }.items()
}


def run(home: Path, script: Script, url: str, *more: str) -> Result:
    named = () if script.model is None else ("--model", script.model)
    kinds = tuple(word for kind in ("embeddings", "image", "speech", "transcription", "video") for word in ("--model-for", f"{kind}=m"))
    media = kinds if any(name in script.flags for name in ("embeddings", "images", "speech", "transcription", "videos")) else ()
    blank = dict.fromkeys(
        ("COMET_API_KEY", "HALLEY_API_KEY", "COMETAPI_BASE_URL", "COMETAPI_MODEL", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy")
    )
    environment = {**blank, "https_proxy": None, "HALLEY_HOME": str(home), "COMETAPI_KEY": script.key}
    command = ["--base-url", url + script.base, *named, *media, *script.flags, *more]
    return CliRunner().invoke(smoke, command, env=environment)


def kept(home: Path) -> dict[str, Any]:
    (path,) = (home / "evidence").glob("*/run.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize("name", FAULTS)
def test_the_diagnosis_is_the_fault_that_was_injected(name: str, tmp_path: Path) -> None:
    script = FAULTS[name]
    with serving(script.answer) as url:
        result = run(tmp_path, script, url)
    found = kept(tmp_path)
    assert found["diagnosis"] == script.expected, result.output
    assert result.exit_code == found["exit"] != 0
    assert CANARY not in result.output and GOOD_KEY not in result.output
    assert CANARY not in json.dumps(found) and GOOD_KEY not in json.dumps(found)


def test_a_slip_in_the_key_is_not_laid_to_the_endpoint(tmp_path: Path) -> None:
    script = FAULTS["the key begins with Bearer"]
    with serving(script.answer) as url:
        run(tmp_path, script, url)
    assert {each["code"] for each in kept(tmp_path)["findings"]} == {"key-bearer-prefix", "key-refused"}


@pytest.mark.parametrize("name", HEALTHY_VARIANTS)
def test_what_is_merely_odd_is_no_fault(name: str, tmp_path: Path) -> None:
    script = HEALTHY_VARIANTS[name]
    with serving(script.answer) as url:
        result = run(tmp_path, script, url)
    found = kept(tmp_path)
    broken = [each["code"] for each in found["findings"] if TABLE[each["code"]][0]]
    assert (result.exit_code, broken) == (0, []), result.output
    assert "fail" not in {each["result"] for each in found["outcomes"]}


def test_the_tables_are_as_long_as_was_promised() -> None:
    assert len(FAULTS) >= 40 and len(HEALTHY_VARIANTS) >= 50


def certificate(place: Path, *arguments: str) -> ssl.SSLContext:
    pem = place / "pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(pem), "-out", f"{pem}.crt", *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{pem}.crt", pem)
    return context


def _plain_for_tls(stack: ExitStack, _: Path) -> str:
    return stack.enter_context(serving(gateway())).replace("http://", "https://")


def _tls_for_plain(stack: ExitStack, place: Path) -> str:
    return stack.enter_context(serving(gateway(), certificate(place, "-days", "1", "-subj", "/CN=localhost"))).replace(
        "https://", "http://"
    )


def _untrusted(stack: ExitStack, place: Path) -> str:
    return stack.enter_context(serving(gateway(), certificate(place, "-days", "1", "-subj", "/CN=localhost")))


def _closed(stack: ExitStack, _: Path) -> str:
    with serving(gateway()) as url:
        pass
    return url


def _closed_name(stack: ExitStack, place: Path) -> str:
    return _closed(stack, place).replace("127.0.0.1", "localhost")


def _unknown_name(stack: ExitStack, _: Path) -> str:
    return "http://no-such-host.invalid"


@pytest.mark.parametrize(
    "address, expected",
    [
        (_plain_for_tls, "tls-to-http"),
        (_tls_for_plain, "http-to-tls"),
        (_untrusted, "tls"),
        (_closed, "connection-refused"),
        (_closed_name, "connection-refused"),
        (_unknown_name, "dns"),
    ],
)
def test_a_fault_of_the_connection_is_named(address: Callable[[ExitStack, Path], str], expected: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        result = run(tmp_path, Script(gateway(), expected), address(stack, tmp_path))
    assert (kept(tmp_path)["diagnosis"], result.exit_code) == (expected, 5), result.output
    if expected == "tls":
        assert "the certificate is signed by itself" in result.stderr


SCRIPTED = {
    "sim/empty-choices": ("chat", "empty-choices"),
    "sim/html-502": ("chat", "html-page"),
    "sim/html-504": ("chat", "html-page"),
    "sim/status-500": ("chat", "server-error"),
    "sim/status-429": ("chat", "rate-limited"),
    "sim/status-402": ("chat", "no-credit"),
    "sim/status-400": ("chat", "request-rejected"),
    "sim/status-403": ("chat", "key-permission"),
    "sim/sse-anyway": ("chat", "event-stream"),
    "sim/bad-json": ("chat", "not-json"),
    "sim/reset-after-head": ("chat", "cut"),
    "sim/cut-at-40": ("chat", "cut"),
    "sim/no-such-script": ("chat", "model-rejected"),
    "sim/json-anyway": ("chat-stream", "stream-missing"),
    "sim/no-finish": ("chat-stream", "stream-finish"),
    "sim/garbage-after-0": ("gemini-stream", ""),
    "sim/no-tools": ("chat-tools", "tool-call-missing"),
    "sim/args-broken": ("chat-tools", "tool-arguments"),
    "sim/fails": ("videos", "task-failed"),
}


@pytest.mark.parametrize("model", SCRIPTED)
def test_a_fault_scripted_into_the_simulator_is_named(model: str, tmp_path: Path) -> None:
    contract, expected = SCRIPTED[model]
    result = CliRunner().invoke(smoke, ["--mock", "--model", model, "--contract", contract], env={"HALLEY_HOME": str(tmp_path)})
    assert kept(tmp_path)["diagnosis"] == expected, result.output


@pytest.mark.parametrize(
    "asked, answered, same",
    [
        ("gpt-4o", "gpt-4o-2024-08-06", True),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet-20241022", True),
        ("openai/gpt-4o", "gpt-4o", True),
        ("gemini-2.5-flash", "models/gemini-2.5-flash-preview-05-20", True),
        ("GPT-4o", "gpt-4o", True),
        ("gpt-4", "gpt-4-0613", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-5", "gpt-4", False),
        ("claude-sonnet-4-5", "claude-sonnet-4-6", False),
        ("m", "m-2", False),
        ("llama-3-8b", "llama-3-70b", False),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-2024-07-18", False),
    ],
)
def test_a_date_leaves_a_model_what_it_is_and_a_version_does_not(asked: str, answered: str, same: bool) -> None:
    assert is_same_model(asked, answered) is same
