"""The HTTP cases of the Open Responses compliance suite, against providers of all four dialects. They are our own words for what the
specification requires; the shapes are in `open_responses`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.gateway import open_responses
from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.simulator import Simulator

PROVIDERS = {
    "chat": ("openai-compatible", "/v1"),
    "responses": ("openai-responses", "/v1"),
    "messages": ("anthropic", "/v1"),
    "gemini": ("gemini", "/v1beta"),
}
SCRIPTS = ("tokens-5", "echo", "tool-get_weather", "think-6+echo", "length", "refusal")
PICTURE = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a place.",
    "parameters": {"type": "object", "properties": {"location": {"type": "string"}}, "required": ["location"]},
}


class House(NamedTuple):
    gateway: Gateway
    simulator: Simulator
    key: str

    def ask(self, body: dict[str, Any], path: str = "/v1/responses") -> tuple[int, bytes]:
        with self.gateway.client() as client:
            reply = client.ask("POST", path, body, key=self.key)
            return reply.status, reply.body()

    def answered(self, model: str, turns: list[dict[str, Any]], **more: Any) -> open_responses.Response:
        """A whole answer of which the specification holds."""
        status, body = self.ask({"model": model, "input": turns, **more})
        assert status == 200, body
        found = open_responses.response(json.loads(body))
        assert found.output
        return found


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("open_responses")
    with Simulator(place) as simulator:
        lines: list[str] = []
        for name, (kind, base) in PROVIDERS.items():
            lines.append(f'[[providers]]\nname = "{name}"\nkind = "{kind}"\nbase_url = "{simulator.url}{base}"\napi_key = "sk-any"')
            for script in SCRIPTS:
                offer = f'{{ provider = "{name}", model = "sim/{script}" }}'
                lines.append(f'[[models]]\nid = "{name}/{script}"\nmax_output = 4000\noffers = [{offer}]')
                lines.append('price = { input = "0.1505", output = "0.6015" }')
        with Gateway(place, "\n".join(lines)) as gateway:
            gateway.cli("credit", "default", "1000")
            yield House(gateway, simulator, gateway.key())


every_provider = pytest.mark.parametrize("provider", PROVIDERS)


def said(role: str, content: Any, **more: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content, **more}


def text(found: open_responses.Response) -> str:
    return "".join(
        part.text
        for item in found.output
        if isinstance(item, open_responses.Message)
        for part in item.content
        if isinstance(part, open_responses.OutputText)
    )


@every_provider
def test_a_message_is_answered_with_a_whole_response(house: House, provider: str) -> None:
    found = house.answered(f"{provider}/tokens-5", [said("user", "Say hello in three words.")])
    assert (found.status, len(text(found).split()), found.error, found.incomplete_details) == ("completed", 5, None, None)
    assert found.usage is not None and found.usage.output_tokens == 5


@every_provider
def test_a_history_whose_answers_have_phases_is_taken(house: House, provider: str) -> None:
    turns = [
        said("user", "Which number?"),
        said("assistant", "I look it up.", phase="commentary"),
        said("assistant", "Four.", phase="final_answer"),
        said("user", "Say it again."),
    ]
    assert house.answered(f"{provider}/echo", turns).status == "completed"


def test_an_answer_that_has_phases_keeps_them() -> None:
    """The suite's fixture, which no request is made for: the phase of a message is a part of its shape."""
    part = {"type": "output_text", "text": "x", "annotations": []}
    message = {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part]}
    for phase in ("commentary", "final_answer", None):
        assert msgspec.convert({**message, "phase": phase}, open_responses.Item).phase == phase
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**message, "phase": "other"}, open_responses.Item)


@pytest.mark.parametrize("script, words", [("tokens-5", 5), ("think-6+echo", 0), ("tool-get_weather", 0), ("length", 0), ("refusal", 0)])
@every_provider
def test_a_stream_has_the_events_of_the_specification_in_order(house: House, provider: str, script: str, words: int) -> None:
    body = {"model": f"{provider}/{script}", "input": [said("user", "Count to five.")], "stream": True, "max_output_tokens": 20}
    if script.startswith("tool"):
        body["tools"] = [WEATHER]
    if script.startswith("think"):
        body["reasoning"] = {"effort": "high", "summary": "auto"}
    status, stream = house.ask(body)
    assert status == 200, stream
    events = open_responses.events(stream)
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events if event["type"] in open_responses.TERMINAL] == [events[-1]["type"]]
    final = open_responses.response(events[-1]["response"])
    assert final.status == events[-1]["type"].removeprefix("response.")
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert "".join(deltas) == text(final)
    if words:
        assert (len(text(final).split()), len(deltas), final.status) == (words, words, "completed")


@every_provider
def test_a_system_message_is_taken(house: House, provider: str) -> None:
    turns = [said("system", "You are a pirate."), said("user", "Say hello.")]
    assert house.answered(f"{provider}/echo", turns).status == "completed"


@every_provider
def test_a_function_is_called(house: House, provider: str) -> None:
    found = house.answered(f"{provider}/tool-get_weather", [said("user", "How is the weather in Kiel?")], tools=[WEATHER])
    (call,) = [item for item in found.output if isinstance(item, open_responses.FunctionCall)]
    assert (call.name, call.status, list(json.loads(call.arguments))) == ("get_weather", "completed", ["location"])
    assert [tool.name for tool in found.tools] == ["get_weather"]


@every_provider
def test_a_picture_is_taken(house: House, provider: str) -> None:
    parts = [{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": PICTURE}]
    found = house.answered(f"{provider}/echo", [said("user", parts)])
    assert found.status == "completed" and "[image image/png 70 bytes" in text(found)


@every_provider
def test_a_conversation_is_remembered(house: House, provider: str) -> None:
    turns = [said("user", "My name is Alice."), said("assistant", "Hello Alice!"), said("user", "What is my name?")]
    assert "What is my name?" in text(house.answered(f"{provider}/echo", turns))


def test_a_conversation_is_compacted(house: House) -> None:
    """Only its provider can read what comes out, so that it takes one that speaks Responses."""
    turns = [said("user", "We agreed on Tuesday."), said("assistant", "Understood: Tuesday.")]
    body = {"model": "responses/echo", "prompt_cache_key": "a-key", "input": turns}
    status, answer = house.ask(body, "/v1/responses/compact")
    assert status == 200, answer
    found = msgspec.json.decode(answer, type=open_responses.Compacted)
    assert any(isinstance(item, open_responses.Compaction) for item in found.output)
    for other in ("chat", "messages", "gemini"):
        status, answer = house.ask({**body, "model": f"{other}/echo"}, "/v1/responses/compact")
        assert (status, json.loads(answer)["error"]["param"]) == (400, "model")


def test_a_conversation_is_not_compacted_without_a_model(house: House) -> None:
    status, answer = house.ask({"input": [said("user", "Compact this.")]}, "/v1/responses/compact")
    assert (status, json.loads(answer)["error"]["param"]) == (400, "model")


@every_provider
def test_a_conversation_goes_on_from_an_earlier_answer(house: House, provider: str) -> None:
    """Beyond the suite, whose cases over HTTP say everything anew."""
    first = house.answered(f"{provider}/echo", [said("user", "My name is Alice.")])
    second = house.answered(f"{provider}/echo", [said("user", "What is my name?")], previous_response_id=first.id)
    assert (second.previous_response_id, second.status) == (first.id, "completed")


@pytest.mark.parametrize("script, status, reason", [("length", "incomplete", "max_output_tokens"), ("refusal", "completed", None)])
@every_provider
def test_how_an_answer_ended_is_said_in_its_words(house: House, provider: str, script: str, status: str, reason: str | None) -> None:
    """Beyond the suite."""
    found = house.answered(f"{provider}/{script}", [said("user", "Hello")], max_output_tokens=20)
    if script == "refusal" and provider in ("messages", "gemini"):
        status, reason = "incomplete", "content_filter"
    assert found.status == status
    assert (found.incomplete_details.reason if found.incomplete_details is not None else None) == reason


def test_afterwards_the_books_agree(house: House) -> None:
    assert set(audit(house.gateway, house.simulator).endings) == {"complete"}
