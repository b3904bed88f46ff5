"""The four dialects as their clients write them, and providers of each: questions made without a line of the product."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

PICTURE = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
PNG = base64.b64encode(PICTURE).decode()
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
# What each provider speaks; the first part of a model's name says by which one it is served.
PROVIDERS = {
    "chat": ("openai-compatible", "/v1"),
    "responses": ("openai-responses", "/v1"),
    "messages": ("anthropic", "/v1"),
    "gemini": ("gemini", "/v1beta"),
    "all": ("cometapi", "/v1"),
}
CLIENTS = ("chat", "responses", "messages", "gemini")
# Where a client of each puts its key, beside the other fields that it always sends.
FIELDS: Mapping[str, str] = {
    "chat": "Authorization: Bearer {key}",
    "responses": "Authorization: Bearer {key}",
    "messages": "anthropic-version: 2023-06-01\r\nx-api-key: {key}",
    "gemini": "x-goog-api-key: {key}",
}


def ask(
    dialect: str, model: str, turns: list[Any], *, tools: bool = False, stream: bool = False, think: bool = False
) -> tuple[str, dict[str, Any]]:
    """Path and body. A turn is a text of the user, or what `answer` and `results` made in this dialect."""
    items = [each for turn in turns for each in (_user(dialect, turn) if isinstance(turn, str | bytes) else turn)]
    match dialect:
        case "chat":
            body: dict[str, Any] = {"model": model, "messages": items, "max_tokens": 900, "stream": stream}
            if stream:
                body["stream_options"] = {"include_usage": True}
            if tools:
                body["tools"] = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
            if think:
                body["reasoning_effort"] = "high"
            return "/v1/chat/completions", body
        case "responses":
            body = {"model": model, "input": items, "max_output_tokens": 900, "stream": stream, "store": False}
            if tools:
                body["tools"] = [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}]
            if think:
                body |= {"reasoning": {"effort": "high", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
            return "/v1/responses", body
        case "messages":
            body = {"model": model, "messages": items, "max_tokens": 4000, "stream": stream}
            if tools:
                body["tools"] = [{"name": "weather", "input_schema": SCHEMA}]
            if think:
                body["thinking"] = {"type": "enabled", "budget_tokens": 2000}
            return "/v1/messages", body
        case _:
            body = {"contents": items, "generationConfig": {"maxOutputTokens": 900}}
            if tools:
                body["tools"] = [{"functionDeclarations": [{"name": "weather", "parametersJsonSchema": SCHEMA}]}]
            if think:
                body["generationConfig"]["thinkingConfig"] = {"includeThoughts": True, "thinkingBudget": 2000}
            return f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent"), body


def _user(dialect: str, said: str | bytes) -> list[Any]:
    picture = isinstance(said, bytes)
    match dialect:
        case "chat":
            content: Any = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}] if picture else said
            return [{"role": "user", "content": content}]
        case "responses":
            return [
                {"role": "user", "content": [{"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}] if picture else said}
            ]
        case "messages":
            source = {"type": "base64", "media_type": "image/png", "data": PNG}
            return [{"role": "user", "content": [{"type": "image", "source": source}] if picture else said}]
        case _:
            return [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": PNG}} if picture else {"text": said}]}]
