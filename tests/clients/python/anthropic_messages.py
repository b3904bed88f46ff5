"""The verbs of dialects.py in the words of `anthropic`, Messages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
from blocking import Blocking, Client
from pydantic import BaseModel

PACKAGE = "anthropic"


class Place(BaseModel):
    name: str
    people: int


class Sdk:
    def __init__(self, url: str, key: str, client: Client) -> None:
        self._client = client(anthropic.Anthropic, anthropic.AsyncAnthropic)(api_key=key, base_url=url, max_retries=0)

    def user(self, text: str, parts: list[tuple[str, str]] | None = None) -> Any:
        content: list[Any] = [{"type": "text", "text": text}]
        for mime, data in parts or ():
            kind = "image" if mime.startswith("image/") else "document"
            content.append({"type": kind, "source": {"type": "base64", "media_type": mime, "data": data}})
        return {"role": "user", "content": content}

    def _body(self, wanted: dict[str, Any]) -> dict[str, Any]:
        body: dict[str, Any] = {"model": wanted["model"], "messages": wanted["turns"], "max_tokens": wanted.get("cap", 4000)}
        if tools := wanted.get("tools"):
            body["tools"] = [{"name": t["name"], "description": t["description"], "input_schema": t["schema"]} for t in tools]
        if wanted.get("think"):
            body["thinking"] = {"type": "enabled", "budget_tokens": 2000}
        return body

    def ask(self, piece: Callable[[], None], **wanted: Any) -> dict[str, Any]:
        body = self._body(wanted)
        if not wanted.get("stream"):
            message = self._client.messages.create(**body)
            return self._said(message, 0, message._request_id)
        if not wanted.get("helper"):
            return self._streamed(body, piece)
        pieces = 0
        with self._client.messages.stream(**body) as events:
            for _ in events.text_stream:
                pieces += 1
                piece()
            return self._said(events.get_final_message(), pieces, events.request_id)

    def _streamed(self, body: dict[str, Any], piece: Callable[[], None]) -> dict[str, Any]:
        """Its raw events, put together as a program would."""
        pieces, message, json_text = 0, None, ""
        with self._client.messages.create(**body, stream=True) as events:
            request_id = events.response.headers.get("request-id")
            for event in events:
                match event.type:
                    case "message_start":
                        message = event.message
                    case "content_block_start":
                        message.content.append(event.content_block)
                        json_text = ""
                    case "content_block_delta":
                        block, delta = message.content[event.index], event.delta
                        match delta.type:
                            case "text_delta":
                                block.text += delta.text
                                pieces += 1
                                piece()
                            case "thinking_delta":
                                block.thinking += delta.thinking
                            case "signature_delta":
                                block.signature = delta.signature
                            case "input_json_delta":
                                json_text += delta.partial_json
                    case "content_block_stop":
                        block = message.content[event.index]
                        if block.type == "tool_use":
                            block.input = json.loads(json_text or "{}")
                    case "message_delta":
                        message.stop_reason = event.delta.stop_reason
                        if event.usage is not None and message.usage is not None:
                            message.usage.output_tokens = event.usage.output_tokens
                            message.usage.input_tokens = event.usage.input_tokens or message.usage.input_tokens
        return self._said(message, pieces, request_id)

    def _said(self, message: Any, pieces: int, request_id: str | None) -> dict[str, Any]:
        content = message.content
        return {
            "text": "".join(block.text for block in content if block.type == "text"),
            "pieces": pieces,
            "finish": message.stop_reason,
            "input": message.usage.input_tokens if message.usage else None,
            "output": message.usage.output_tokens if message.usage else None,
            "request_id": request_id,
            "turn": [{"role": "assistant", "content": content}],
            "calls": [{"id": block.id, "name": block.name, "arguments": block.input} for block in content if block.type == "tool_use"],
            "thoughts": "".join(block.thinking for block in content if block.type == "thinking"),
        }

    def results(self, calls: list[dict[str, Any]], answers: list[str]) -> list[Any]:
        blocks = [{"type": "tool_result", "tool_use_id": call["id"], "content": text} for call, text in zip(calls, answers, strict=True)]
        return [{"role": "user", "content": blocks}]

    def loop(self, model: str, turns: list[Any], called: list[dict[str, Any]]) -> str:
        def weather(city: str, days: int) -> str:
            """The weather of a city.

            Args:
                city: Which.
                days: How many.
            """
            called.append({"city": city, "days": days})
            return "rain"

        async def awaited(city: str, days: int) -> str:
            return weather(city, days)

        named = {"name": "weather", "description": weather.__doc__}
        blocking = isinstance(self._client, Blocking)
        tool = anthropic.beta_async_tool(awaited, **named) if blocking else anthropic.beta_tool(weather, **named)
        runner = self._client.beta.messages.tool_runner(model=model, max_tokens=4000, messages=turns, tools=[tool])
        return "".join(block.text for block in runner.until_done().content if block.type == "text")

    def models(self) -> list[str]:
        return [model.id for model in self._client.models.list()]

    def count(self, model: str, turns: list[Any]) -> int:
        return self._client.messages.count_tokens(model=model, messages=turns).input_tokens

    def structured(self, **wanted: Any) -> Any:
        return self._client.messages.parse(**self._body(wanted), output_format=Place).parsed_output

    def failure(self, error: Any) -> dict[str, Any]:
        body = getattr(error, "body", None)
        inner = body.get("error") if isinstance(body, dict) else None
        return {
            "status": getattr(error, "status_code", None),
            "kind": inner.get("type") if isinstance(inner, dict) else None,
            "code": None,
            "request_id": getattr(error, "request_id", None),
        }
