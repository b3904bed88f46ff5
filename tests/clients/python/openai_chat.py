"""The verbs of dialects.py in the words of `openai`, Chat."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
from blocking import Client
from pydantic import BaseModel

PACKAGE = "openai"


class Place(BaseModel):
    name: str
    people: int


class Sdk:
    def __init__(self, url: str, key: str, client: Client) -> None:
        self._client = client(openai.OpenAI, openai.AsyncOpenAI)(api_key=key, base_url=f"{url}/v1", max_retries=0)

    def user(self, text: str, parts: list[tuple[str, str]] | None = None) -> Any:
        content: list[Any] = [{"type": "text", "text": text}]
        for mime, data in parts or ():
            address = f"data:{mime};base64,{data}"
            if mime.startswith("image/"):
                content.append({"type": "image_url", "image_url": {"url": address}})
            else:
                content.append({"type": "file", "file": {"filename": "paper.pdf", "file_data": address}})
        return {"role": "user", "content": content}

    def _body(self, wanted: dict[str, Any]) -> dict[str, Any]:
        body: dict[str, Any] = {"model": wanted["model"], "messages": wanted["turns"]}
        if tools := wanted.get("tools"):
            body["tools"] = [
                {
                    "type": "function",
                    "function": {"name": t["name"], "description": t["description"], "parameters": t["schema"], "strict": True},
                }
                for t in tools
            ]
        if "cap" in wanted:
            body["max_completion_tokens"] = wanted["cap"]
        if wanted.get("think"):
            body["reasoning_effort"] = "high"
        return body

    def ask(self, piece: Callable[[], None], **wanted: Any) -> dict[str, Any]:
        body = self._body(wanted)
        if not wanted.get("stream"):
            completion = self._client.chat.completions.create(**body)
            choice = completion.choices[0]
            return self._said(
                choice.message.model_dump(exclude_none=True), choice.finish_reason, completion.usage, 0, completion._request_id
            )
        body["stream_options"] = {"include_usage": True}
        if wanted.get("helper"):
            pieces = 0
            with self._client.chat.completions.stream(**body) as events:
                for event in events:
                    if event.type == "content.delta" and event.delta:
                        pieces += 1
                        piece()
                completion = events.get_final_completion()
            choice = completion.choices[0]
            return self._said(choice.message.model_dump(exclude_none=True), choice.finish_reason, completion.usage, pieces, None)
        return self._streamed(body, piece)

    def _streamed(self, body: dict[str, Any], piece: Callable[[], None]) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        calls: list[dict[str, Any]] = []
        finish, usage, pieces = None, None, 0
        with self._client.chat.completions.create(**body, stream=True) as stream:
            request_id = stream.response.headers.get("x-request-id")
            for chunk in stream:
                usage = chunk.usage or usage
                if not chunk.choices:
                    continue
                delta, finish = chunk.choices[0].delta, chunk.choices[0].finish_reason or finish
                if delta.content:
                    message["content"] += delta.content
                    pieces += 1
                    piece()
                more = delta.model_extra or {}
                if more.get("reasoning_content"):
                    message["reasoning_content"] = message.get("reasoning_content", "") + more["reasoning_content"]
                if more.get("reasoning_details"):
                    message.setdefault("reasoning_details", []).extend(more["reasoning_details"])
                for call in delta.tool_calls or ():
                    if call.index == len(calls):
                        calls.append({"function": {"name": "", "arguments": ""}})
                    given = call.model_dump(exclude_none=True)
                    function = given.pop("function", {})
                    given.pop("index")
                    calls[call.index].update(given)
                    calls[call.index]["function"]["name"] += function.get("name", "")
                    calls[call.index]["function"]["arguments"] += function.get("arguments", "")
        if calls:
            message["tool_calls"] = calls
        return self._said(message, finish, usage, pieces, request_id)

    def _said(self, message: dict[str, Any], finish: str | None, usage: Any, pieces: int, request_id: str | None) -> dict[str, Any]:
        return {
            "text": message.get("content") or "",
            "pieces": pieces,
            "finish": finish,
            "input": usage.prompt_tokens if usage else None,
            "output": usage.completion_tokens if usage else None,
            "request_id": request_id,
            "turn": [message],
            "calls": [
                {"id": call["id"], "name": call["function"]["name"], "arguments": json.loads(call["function"]["arguments"])}
                for call in message.get("tool_calls") or ()
            ],
            "thoughts": message.get("reasoning_content") or "",
        }

    def results(self, calls: list[dict[str, Any]], answers: list[str]) -> list[Any]:
        return [{"role": "tool", "tool_call_id": call["id"], "content": text} for call, text in zip(calls, answers, strict=True)]

    def models(self) -> list[str]:
        return [model.id for model in self._client.models.list()]

    def embed(self, model: str, texts: list[str]) -> list[list[float]]:
        return [each.embedding for each in self._client.embeddings.create(model=model, input=texts).data]

    def structured(self, **wanted: Any) -> Any:
        return self._client.chat.completions.parse(**self._body(wanted), response_format=Place).choices[0].message.parsed

    def failure(self, error: Any) -> dict[str, Any]:
        names = {"status": "status_code", "kind": "type", "code": "code", "request_id": "request_id"}
        return {name: getattr(error, field, None) for name, field in names.items()}
