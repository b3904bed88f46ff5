"""The verbs of dialects.py in the words of `openai`, Responses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
from pydantic import BaseModel

PACKAGE = "openai"
_LAST = ("response.completed", "response.incomplete", "response.failed")


class Place(BaseModel):
    name: str
    people: int


class Sdk:
    def __init__(self, url: str, key: str) -> None:
        self._client = openai.OpenAI(api_key=key, base_url=f"{url}/v1", max_retries=0)

    def user(self, text: str, parts: list[tuple[str, str]] | None = None) -> Any:
        content: list[Any] = [{"type": "input_text", "text": text}]
        for mime, data in parts or ():
            address = f"data:{mime};base64,{data}"
            if mime.startswith("image/"):
                content.append({"type": "input_image", "detail": "auto", "image_url": address})
            else:
                content.append({"type": "input_file", "filename": "paper.pdf", "file_data": address})
        return {"role": "user", "content": content}

    def _body(self, wanted: dict[str, Any]) -> dict[str, Any]:
        body: dict[str, Any] = {"model": wanted["model"], "input": wanted["turns"], "store": False}
        if tools := wanted.get("tools"):
            body["tools"] = [
                {"type": "function", "name": t["name"], "description": t["description"], "parameters": t["schema"], "strict": True}
                for t in tools
            ]
        if "cap" in wanted:
            body["max_output_tokens"] = wanted["cap"]
        if wanted.get("think"):
            body |= {"reasoning": {"effort": "high", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
        return body

    def ask(self, piece: Callable[[], None], **wanted: Any) -> dict[str, Any]:
        body = self._body(wanted)
        if not wanted.get("stream"):
            response = self._client.responses.create(**body)
            return self._said(response, response.output_text, 0)
        text, pieces, last = "", 0, None
        helper = wanted.get("helper")
        with self._client.responses.stream(**body) if helper else self._client.responses.create(**body, stream=True) as events:
            for event in events:
                if event.type == "response.output_text.delta":
                    text += event.delta
                    pieces += 1
                    piece()
                if event.type in _LAST:
                    last = event.response
            if helper:
                last = events.get_final_response()
        return self._said(last, text, pieces)

    def _said(self, response: Any, text: str, pieces: int) -> dict[str, Any]:
        output = response.output
        return {
            "text": text,
            "pieces": pieces,
            "finish": response.status,
            "input": response.usage.input_tokens if response.usage else None,
            "output": response.usage.output_tokens if response.usage else None,
            "request_id": getattr(response, "_request_id", None),  # which a streamed answer does not have
            "turn": [item.model_dump(exclude_none=True) for item in output],
            "calls": [
                {"id": item.call_id, "name": item.name, "arguments": json.loads(item.arguments)}
                for item in output
                if item.type == "function_call"
            ],
            "thoughts": "".join(part.text for item in output if item.type == "reasoning" for part in item.summary),
        }

    def results(self, calls: list[dict[str, Any]], answers: list[str]) -> list[Any]:
        return [{"type": "function_call_output", "call_id": call["id"], "output": text} for call, text in zip(calls, answers, strict=True)]

    def models(self) -> list[str]:
        return [model.id for model in self._client.models.list()]

    def count(self, model: str, turns: list[Any]) -> int:
        return self._client.responses.input_tokens.count(model=model, input=turns).input_tokens

    def structured(self, **wanted: Any) -> Any:
        return self._client.responses.parse(**self._body(wanted), text_format=Place).output_parsed

    def failure(self, error: Any) -> dict[str, Any]:
        names = {"status": "status_code", "kind": "type", "code": "code", "request_id": "request_id"}
        return {name: getattr(error, field, None) for name, field in names.items()}
