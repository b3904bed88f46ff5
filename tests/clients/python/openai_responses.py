"""The verbs of dialects.py in the words of `openai`, Responses."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
from blocking import Client
from pydantic import BaseModel

PACKAGE = "openai"
_LAST = ("response.completed", "response.incomplete", "response.failed")


class Place(BaseModel):
    name: str
    people: int


class Sdk:
    def __init__(self, url: str, key: str, client: Client) -> None:
        self._client = client(openai.OpenAI, openai.AsyncOpenAI)(api_key=key, base_url=f"{url}/v1", max_retries=0)

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
            return self._said(response, response.output_text, 0, response._request_id)
        text, pieces, last = "", 0, None
        helper = wanted.get("helper")
        with self._client.responses.stream(**body) if helper else self._client.responses.create(**body, stream=True) as events:
            request_id = None if helper else events.response.headers.get("x-request-id")  # the helper does not show it
            for event in events:
                if event.type == "response.output_text.delta":
                    text += event.delta
                    pieces += 1
                    piece()
                if event.type in _LAST:
                    last = event.response
                if event.type == "error":  # which OpenAI itself sends, and no major so far makes an exception of it
                    return {"text": text, "pieces": pieces, "finish": "error", "input": None, "output": None, "request_id": request_id}
            if helper:
                last = events.get_final_response()
        return self._said(last, text, pieces, request_id)

    def _said(self, response: Any, text: str, pieces: int, request_id: str | None) -> dict[str, Any]:
        output = response.output
        return {
            "text": text,
            "pieces": pieces,
            "finish": response.status,
            "input": response.usage.input_tokens if response.usage else None,
            "output": response.usage.output_tokens if response.usage else None,
            "request_id": request_id,
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

    def stored(self, model: str) -> dict[str, Any]:
        """A conversation that goes on from ids alone, read again and forgotten."""
        responses = self._client.responses
        first = responses.create(model=model, input="My name is Ada.")
        with responses.create(model=model, input="What is my name?", previous_response_id=first.id, stream=True) as events:
            second = next(event.response for event in events if event.type in _LAST)
        shown = responses.retrieve(second.id)
        inputs = [item.type for item in responses.input_items.list(second.id, order="asc")]
        responses.delete(second.id)
        seen: dict[str, Any] = {"grew": second.usage.input_tokens > first.usage.input_tokens, "inputs": inputs}
        seen |= {"same": shown.id == second.id and shown.output_text == second.output_text}
        for name, wanted in (
            ("read", lambda: responses.retrieve(second.id)),
            ("gone_on", lambda: responses.create(model=model, input="And now?", previous_response_id=second.id)),
        ):
            try:
                wanted()
            except openai.APIStatusError as error:
                seen[name] = [type(error).__name__, error.code]
        return seen

    def structured(self, **wanted: Any) -> Any:
        return self._client.responses.parse(**self._body(wanted), text_format=Place).output_parsed

    def failure(self, error: Any) -> dict[str, Any]:
        names = {"status": "status_code", "kind": "type", "code": "code", "request_id": "request_id"}
        return {name: getattr(error, field, None) for name, field in names.items()}
