"""The verbs of dialects.py in the words of `google-genai`, generateContent."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from blocking import Client
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

PACKAGE = "google-genai"


class Place(BaseModel):
    name: str
    people: int


def connect(url: str, key: str) -> Any:
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url))


def connect_async(url: str, key: str) -> Any:
    return connect(url, key).aio


class Sdk:
    def __init__(self, url: str, key: str, client: Client) -> None:
        self._client = client(connect, connect_async)(url, key)

    def user(self, text: str, parts: list[tuple[str, str]] | None = None) -> Any:
        media = [types.Part.from_bytes(data=base64.b64decode(data), mime_type=mime) for mime, data in parts or ()]
        return types.Content(role="user", parts=[types.Part(text=text), *media])

    def _config(self, wanted: dict[str, Any]) -> types.GenerateContentConfig:
        config = types.GenerateContentConfig(max_output_tokens=wanted.get("cap"))
        if tools := wanted.get("tools"):
            declared = [
                types.FunctionDeclaration(name=t["name"], description=t["description"], parameters_json_schema=t["schema"]) for t in tools
            ]
            config.tools = [types.Tool(function_declarations=declared)]
        if wanted.get("think"):
            config.thinking_config = types.ThinkingConfig(include_thoughts=True, thinking_budget=2000)
        return config

    def ask(self, piece: Callable[[], None], **wanted: Any) -> dict[str, Any]:
        model, turns, config = wanted["model"], wanted["turns"], self._config(wanted)
        if not wanted.get("stream"):
            answer = self._client.models.generate_content(model=model, contents=turns, config=config)
            candidate = answer.candidates[0]
            parts = (candidate.content.parts if candidate.content else None) or []
            return self._said(parts, candidate.finish_reason, answer.usage_metadata, 0, answer)
        if wanted.get("helper"):
            chat = self._client.chats.create(model=model, config=config, history=turns[:-1])
            chunks = chat.send_message_stream(turns[-1].parts)
        else:
            chunks = self._client.models.generate_content_stream(model=model, contents=turns, config=config)
        parts, pieces, finish, usage, last = [], 0, None, None, None
        for chunk in chunks:
            candidate = chunk.candidates[0] if chunk.candidates else None
            for part in (candidate.content.parts if candidate is not None and candidate.content else None) or ():
                parts.append(part)
                if part.text and not part.thought:
                    pieces += 1
                    piece()
            finish = (candidate.finish_reason if candidate is not None else None) or finish
            usage = chunk.usage_metadata or usage
            last = chunk
        return self._said(parts, finish, usage, pieces, last)

    def _said(self, parts: list[Any], finish: Any, usage: Any, pieces: int, answer: Any) -> dict[str, Any]:
        headers = (answer.sdk_http_response.headers if answer is not None and answer.sdk_http_response else None) or {}
        calls = [part.function_call for part in parts if part.function_call]
        return {
            "text": "".join(part.text for part in parts if part.text and not part.thought),
            "pieces": pieces,
            "finish": finish.value if finish is not None else None,
            "input": usage.prompt_token_count if usage else None,
            "output": (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0) if usage else None,
            "request_id": headers.get("x-request-id"),
            "turn": [types.Content(role="model", parts=parts)],
            "calls": [{"id": call.id, "name": call.name, "arguments": call.args} for call in calls],
            "thoughts": "".join(part.text for part in parts if part.text and part.thought),
        }

    def results(self, calls: list[dict[str, Any]], answers: list[str]) -> list[Any]:
        parts = [
            types.Part(function_response=types.FunctionResponse(id=call["id"], name=call["name"], response={"output": text}))
            for call, text in zip(calls, answers, strict=True)
        ]
        return [types.Content(role="user", parts=parts)]

    def loop(self, model: str, turns: list[Any], called: list[dict[str, Any]]) -> str:
        def weather(city: str, days: int) -> str:
            """The weather of a city."""
            called.append({"city": city, "days": days})
            return "rain"

        config = types.GenerateContentConfig(tools=[weather])
        return self._client.models.generate_content(model=model, contents=turns, config=config).text or ""

    def models(self) -> list[str]:
        return [model.name.removeprefix("models/") for model in self._client.models.list()]

    def count(self, model: str, turns: list[Any]) -> int:
        return self._client.models.count_tokens(model=model, contents=turns).total_tokens

    def embed(self, model: str, texts: list[str]) -> list[list[float]]:
        return [each.values for each in self._client.models.embed_content(model=model, contents=texts).embeddings]

    def structured(self, **wanted: Any) -> Any:
        config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Place)
        return self._client.models.generate_content(model=wanted["model"], contents=wanted["turns"], config=config).parsed

    def failure(self, error: Any) -> dict[str, Any]:
        if not isinstance(error, errors.APIError):
            return {"status": None, "kind": None, "code": None, "request_id": None}
        return {"status": error.code, "kind": error.status, "code": None, "request_id": None}
