"""Answers that their callers go on from: kept by whoever made them, never another account's, over real sockets and audited."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import pytest

from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.http import Reply
from tests.harness.process import until
from tests.harness.simulator import Simulator

PROVIDERS = {
    "responses": ("openai-responses", "/v1"),
    "chat": ("openai-compatible", "/v1"),
    "messages": ("anthropic", "/v1"),
    "gemini": ("gemini", "/v1beta"),
}
TRANSLATED = ("chat", "messages", "gemini")
TOOLS = "think-6+tool-weather+echo"
SECRET = "the-word-that-nobody-may-find-on-a-disk"


class House(NamedTuple):
    gateway: Gateway
    simulator: Simulator
    key: str
    other: str

    def ask(self, method: str, path: str, body: Any = None, key: str = "") -> tuple[Reply, bytes]:
        with self.gateway.client() as client:
            reply = client.ask(method, path, body, key=key or self.key)
            return reply, reply.body()

    def respond(self, provider: str, text: str, script: str = "echo", **more: Any) -> dict[str, Any]:
        reply, raw = self.ask("POST", "/v1/responses", {"model": f"{provider}/{script}", "input": text, **more})
        assert reply.status == 200, raw
        return finished(raw) if more.get("stream") else json.loads(raw)

    def heard(self) -> Any:
        """The last request that the simulator got, as it understood it."""
        return self.simulator.bill()[-1]


def finished(stream: bytes) -> dict[str, Any]:
    events = [json.loads(line[6:]) for line in stream.decode().splitlines() if line.startswith("data: {")]
    assert events[-1]["type"] == "response.completed"
    return events[-1]["response"]


def said(response: dict[str, Any]) -> str:
    return "".join(part["text"] for item in response["output"] if item["type"] == "message" for part in item["content"])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("kept")
    with Simulator(place) as simulator:
        providers = [
            f'[[providers]]\nname = "{name}"\nkind = "{kind}"\nbase_url = "{simulator.url}{base}"\napi_key = "sk-any"\n'
            for name, (kind, base) in PROVIDERS.items()
        ]
        models = [
            f'[[models]]\nid = "{name}/{script}"\nmax_output = 4000\ncontext = 100000\n'
            f'offers = [{{ provider = "{name}", model = "sim/{script}" }}]\nprice = {{ input = "0.1505", output = "0.6015" }}\n'
            for name in PROVIDERS
            for script in ("echo", TOOLS)
        ]
        stranger = '[[accounts]]\nname = "stranger"\ncredit = "prepaid"\n'
        with Gateway(place, "\n".join([*providers, *models, stranger]), workers=2) as gateway:
            gateway.cli("credit", "default", "1000")
            gateway.cli("credit", "stranger", "1000")
            other = json.loads(gateway.cli("keys", "create", "--name", "other", "--account", "stranger", "--json").stdout)["key"]
            yield House(gateway, simulator, gateway.key(), other)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_conversation_goes_on_from_an_id_over_every_dialect(house: House, provider: str, stream: bool) -> None:
    first = house.respond(provider, "my name is Ada", stream=stream, instructions="Say nothing of Bob.")
    second = house.respond(provider, "what is my name?", stream=stream, previous_response_id=first["id"])
    assert first["id"] != second["id"]
    third = house.respond(provider, "and again?", previous_response_id=second["id"])
    if provider in TRANSLATED:
        assert second["previous_response_id"] == first["id"] and third["previous_response_id"] == second["id"]
        # The echo script repeats the last thing said; what was heard before it shows in what was counted.
        assert third["usage"]["input_tokens"] > second["usage"]["input_tokens"] > first["usage"]["input_tokens"]
    assert said(third)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_kept_answer_is_shown_listed_and_deleted_for_its_account_alone(house: House, provider: str) -> None:
    first = house.respond(provider, "one")
    second = house.respond(provider, "two", previous_response_id=first["id"])
    path = f"/v1/responses/{second['id']}"
    for strange in (path, path + "/input_items"):
        reply, raw = house.ask("GET", strange, key=house.other)
        assert reply.status == 404 and json.loads(raw)["error"]["code"] == "not_found"
    assert house.ask("DELETE", path, key=house.other)[0].status == 404
    reply, raw = house.ask("GET", path)
    assert reply.status == 200, raw
    shown = json.loads(raw)
    assert shown["id"] == second["id"] and shown["output"] == second["output"]
    assert reply.fields["x-request-id"]
    reply, raw = house.ask("GET", path + "/input_items?order=asc")
    assert reply.status == 200, raw
    listed = json.loads(raw)
    assert listed["object"] == "list" and listed["data"][-1]["content"] and not listed["has_more"]
    if provider in TRANSLATED:
        assert [item["type"] for item in listed["data"]] == ["message", "message", "message"]
        assert listed["data"][1]["role"] == "assistant" and all(item["id"] for item in listed["data"])
    reply, raw = house.ask("POST", path + "/cancel")
    assert reply.status == 400, raw
    reply, raw = house.ask("DELETE", path)
    assert (reply.status, json.loads(raw)) == (200, {"id": second["id"], "object": "response", "deleted": True})
    assert house.ask("GET", path)[0].status == 404
    reply, raw = house.ask("POST", "/v1/responses", {"model": f"{provider}/echo", "input": "on", "previous_response_id": second["id"]})
    assert reply.status == 400 and json.loads(raw)["error"]["code"] == "previous_response_not_found"


@pytest.mark.parametrize("provider", PROVIDERS)
def test_another_accounts_answer_and_one_that_never_was_look_alike_and_cost_nothing(house: House, provider: str) -> None:
    first = house.respond(provider, "mine")
    before = house.simulator.state()["requests"]
    errors: list[Any] = []
    for name in (first["id"], "resp_01ARZ3NDEKTSV4RRFFQ69G5FAV"):
        body = {"model": f"{provider}/echo", "input": "on", "previous_response_id": name}
        reply, raw = house.ask("POST", "/v1/responses", body, key=house.other)
        assert reply.status == 400
        error = json.loads(raw)["error"]
        errors.append({**error, "message": error["message"].replace(name, "ID")})
    assert errors[0] == errors[1]
    assert errors[0]["code"] == "previous_response_not_found" and errors[0]["param"] == "previous_response_id"
    assert house.simulator.state()["requests"] == before


def test_what_is_not_stored_cannot_be_gone_on_from(house: House) -> None:
    first = house.respond("chat", "forget this", store=False)
    assert first["store"] is False
    reply, raw = house.ask("POST", "/v1/responses", {"model": "chat/echo", "input": "on", "previous_response_id": first["id"]})
    assert reply.status == 400 and json.loads(raw)["error"]["code"] == "previous_response_not_found"
    assert house.ask("GET", f"/v1/responses/{first['id']}")[0].status == 404


def test_a_conversation_moves_from_one_dialect_to_another(house: House) -> None:
    first = house.respond("chat", "my name is Ada")
    second = house.respond("messages", "what is it?", previous_response_id=first["id"])
    third = house.respond("responses", "say it again", previous_response_id=second["id"])
    assert third["usage"]["input_tokens"] > second["usage"]["input_tokens"] > first["usage"]["input_tokens"]
    # The provider of this dialect has the third: who goes on elsewhere is told so.
    reply, raw = house.ask("POST", "/v1/responses", {"model": "gemini/echo", "input": "on", "previous_response_id": third["id"]})
    assert reply.status == 400
    error = json.loads(raw)["error"]
    assert error["param"] == "previous_response_id" and '"responses"' in error["message"] and '"gemini/echo"' in error["message"]


def test_tools_are_answered_by_their_id_alone(house: House) -> None:
    tool = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
    for provider in PROVIDERS:
        first = house.respond(provider, "the weather in Oslo?", script=TOOLS, tools=[tool])
        calls = [item for item in first["output"] if item["type"] == "function_call"]
        assert calls, first
        results = [{"type": "function_call_output", "call_id": call["call_id"], "output": "rain"} for call in calls]
        second = house.respond(provider, results, tools=[tool], previous_response_id=first["id"])  # type: ignore[arg-type]
        assert second["status"] == "completed"


def test_an_input_is_counted_with_what_was_said_before(house: House) -> None:
    first = house.respond("chat", "a rather long beginning " * 50)
    counts: list[int] = []
    for more in ({}, {"previous_response_id": first["id"]}):
        reply, raw = house.ask("POST", "/v1/responses/input_tokens", {"model": "chat/echo", "input": "on", **more})
        assert reply.status == 200, raw
        counts.append(json.loads(raw)["input_tokens"])
    assert counts[1] > counts[0] + 100


def test_nothing_of_a_kept_conversation_is_plain_on_the_disk(house: House) -> None:
    first = house.respond("chat", SECRET)
    house.respond("chat", "on", previous_response_id=first["id"])
    house.gateway.cli("ledger", "verify")
    for path in house.gateway.home.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


def test_a_page_of_inputs_goes_on_after_an_item_and_says_if_there_is_more(house: House) -> None:
    first = house.respond("chat", [{"role": "user", "content": f"number {n}"} for n in range(5)])  # type: ignore[arg-type]
    path = f"/v1/responses/{first['id']}/input_items"
    page = json.loads(house.ask("GET", path + "?limit=2&order=asc")[1])
    assert [item["content"] for item in page["data"]] == ["number 0", "number 1"] and page["has_more"]
    page = json.loads(house.ask("GET", f"{path}?limit=3&order=asc&after={page['last_id']}")[1])
    assert [item["content"] for item in page["data"]] == ["number 2", "number 3", "number 4"] and not page["has_more"]
    newest = json.loads(house.ask("GET", path + "?limit=1")[1])
    assert newest["data"][0]["content"] == "number 4"
    for query in ("limit=0", "limit=101", "limit=x", "order=up", "after=nobody"):
        reply, raw = house.ask("GET", f"{path}?{query}")
        assert reply.status == 400 and json.loads(raw)["error"]["param"] == query.partition("=")[0]


def test_an_answer_is_found_by_a_control_that_was_killed_meanwhile(house: House) -> None:
    first = house.respond("chat", "before the fall")
    import os

    old = house.gateway.children()["control"]
    os.kill(old, signal.SIGKILL)
    until(lambda: house.gateway.children().get("control") not in (None, old), "control is not back")

    def goes_on() -> bool:
        body = {"model": "chat/echo", "input": "after it", "previous_response_id": first["id"]}
        reply, raw = house.ask("POST", "/v1/responses", body)
        assert reply.status in (200, 503), raw
        return reply.status == 200

    until(goes_on, "the answer is not found")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_parts_of_earlier_answers_are_named_by_their_ids(house: House, provider: str) -> None:
    """What AI SDK sends of an assistant's turn while answers are stored."""
    tool = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
    first = house.respond("chat", "the weather in Oslo?", script=TOOLS, tools=[tool])
    named = [{"type": "item_reference", "id": item["id"]} for item in first["output"]]
    calls = [item for item in first["output"] if item["type"] == "function_call"]
    results = [{"type": "function_call_output", "call_id": call["call_id"], "output": "rain"} for call in calls]
    asked = [{"role": "user", "content": "the weather in Oslo?"}, *named, *results]
    second = house.respond(provider, asked, tools=[tool])  # type: ignore[arg-type]
    third = (
        house.respond("messages", "and tomorrow?", tools=[tool], previous_response_id=second["id"]) if provider != "responses" else second
    )
    assert third["status"] == "completed"
    body = {"model": f"{provider}/echo", "input": asked, "tools": [tool]}
    reply, raw = house.ask("POST", "/v1/responses", body, key=house.other)
    assert reply.status == 400, raw
    error = json.loads(raw)["error"]
    assert error["param"] == "input[1].id" and named[0]["id"] in error["message"]


def test_a_conversation_is_compacted_by_its_provider_and_paid(house: House) -> None:
    asked = [{"role": "user", "content": "a long story"}, {"role": "assistant", "content": [{"type": "output_text", "text": "indeed"}]}]
    reply, raw = house.ask("POST", "/v1/responses/compact", {"model": "responses/echo", "input": asked})
    assert reply.status == 200, raw
    compacted = json.loads(raw)
    assert compacted["object"] == "response.compaction" and compacted["output"][-1]["type"] == "compaction"
    assert compacted["usage"]["input_tokens"] > 0
    after = house.respond("responses", [*compacted["output"], {"role": "user", "content": "go on"}])  # type: ignore[arg-type]
    assert after["status"] == "completed"
    for body, param in (({"model": "chat/echo", "input": "x"}, "model"), ({"input": "x"}, "model"), ({"model": "responses/echo"}, "input")):
        reply, raw = house.ask("POST", "/v1/responses/compact", body)
        assert reply.status == 400 and json.loads(raw)["error"]["param"] == param, raw


def test_wrong_methods_and_ids_are_refused_in_the_dialects_words(house: House) -> None:
    for method, path, status in (
        ("PUT", "/v1/responses/resp_1", 405),
        ("GET", "/v1/responses/resp_1/cancel", 405),
        ("POST", "/v1/responses/resp_1", 405),
        ("GET", "/v1/responses/resp_1/other", 404),
        ("GET", "/v1/responses/" + "x" * 3000, 404),
        ("POST", "/v1/responses/responses", 404),
        ("GET", "/v1/responses/resp%5f1", 404),
        ("GET", "/v1/responses/resp_1", 404),
    ):
        reply, raw = house.ask(method, path)
        assert reply.status == status, (path, raw)
        assert json.loads(raw)["error"]["message"] and reply.fields["x-request-id"]
    with house.gateway.client() as client:
        for name in ("resp_1", "anything", "%7f"):
            reply = client.ask("GET", f"/v1/responses/{name}")
            assert reply.status == 401 and json.loads(reply.body())["error"]["code"] == "invalid_api_key"


def test_all_of_it_is_in_the_books(house: House) -> None:
    house.respond("chat", "a last word")
    audit(house.gateway, house.simulator)
    database = house.gateway.home / "halley.db"
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM kept WHERE sealed IS NOT NULL").fetchone()[0] > 0
        assert connection.execute("SELECT count(*) FROM kept WHERE sealed IS NULL").fetchone()[0] > 0
