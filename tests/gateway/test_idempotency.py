"""Idempotency-Keys over real sockets and two relays: one call and one charge for a key, whatever the dialect and whoever dies; audited."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.process import until
from tests.harness.simulator import Simulator

PROVIDERS = {
    "chat": ("openai-compatible", "/v1"),
    "responses": ("openai-responses", "/v1"),
    "messages": ("anthropic", "/v1"),
    "gemini": ("gemini", "/v1beta"),
}
SLOW = "tokens-3+head-delay-1500ms"
WAITING = "tokens-3+id-waiting+head-delay-3000ms"
STREAM = "tokens-60000+slow-1ms"
SCRIPTS = (
    "echo",
    "tokens-5",
    "status-400",
    "fail-1-with-500+tokens-5",
    "cut-after-2",
    SLOW,
    STREAM,
    "tokens-3+id-waiting+head-delay-3000ms",
)
SECRET = "the-word-that-nobody-may-find-on-a-disk"
PARALLEL = 100


class Got(NamedTuple):
    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def replayed(self) -> bool:
        return self.fields.get("idempotent-replayed") == "true"

    @property
    def message(self) -> str:
        return json.loads(self.body)["error"]["message"]

    def conflicts(self, words: str) -> bool:
        """Whether it is a 409 for this reason, in which no SDK sees a call to try again."""
        return self.status == 409 and words in self.message and self.fields["x-should-retry"] == "false"


class House(NamedTuple):
    gateway: Gateway
    simulator: Simulator
    key: str
    other: str

    def post(self, path: str, body: Any, name: str | None, key: str = "") -> Got:
        with self.gateway.client() as client:
            reply = client.ask("POST", path, body, key=key or self.key, fields={} if name is None else {"Idempotency-Key": name})
            return Got(reply.status, reply.fields, reply.body())

    def chat(self, model: str, name: str | None, text: str = "hello", *, key: str = "", **more: Any) -> Got:
        return self.post("/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": text}], **more}, name, key)

    def asked(self) -> int:
        return self.simulator.state()["requests"]

    def charged(self) -> list[int]:
        """What each request in the books paid, once everything has ended there."""
        return [request.charge for request in audit(self.gateway, self.simulator).requests]


def configuration(url: str, more: str = "") -> str:
    providers = [
        f'[[providers]]\nname = "{name}"\nkind = "{kind}"\nbase_url = "{url}{base}"\napi_key = "sk-any"\n'
        for name, (kind, base) in PROVIDERS.items()
    ]
    models = [
        f'[[models]]\nid = "{name}/{script}"\nmax_output = 100000\ncontext = 100000\n'
        f'offers = [{{ provider = "{name}", model = "sim/{script}" }}]\nprice = {{ input = "0.1505", output = "0.6015" }}\n'
        for name in PROVIDERS
        for script in SCRIPTS
    ]
    return "\n".join([more, *providers, *models, '[[accounts]]\nname = "stranger"\ncredit = "prepaid"\n'])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("idempotency")
    with Simulator(place) as simulator, Gateway(place, configuration(simulator.url), workers=2) as gateway:
        gateway.cli("credit", "default", "1000")
        gateway.cli("credit", "stranger", "1000")
        other = gateway.cli_json("keys", "create", "--name", "other", "--account", "stranger")["key"]
        yield House(gateway, simulator, gateway.key(), other)


def ask(dialect: str, model: str, text: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
    turn = {"role": "user", "content": text}
    match dialect:
        case "chat":
            return "/v1/chat/completions", {"model": model, "messages": [turn], "stream": stream}
        case "responses":
            return "/v1/responses", {"model": model, "input": text, "stream": stream}
        case "messages":
            return "/v1/messages", {"model": model, "messages": [turn], "max_tokens": 900, "stream": stream}
        case _:
            operation = "streamGenerateContent" if stream else "generateContent"
            return f"/v1beta/models/{model}:{operation}", {"contents": [{"role": "user", "parts": [{"text": text}]}]}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("dialect", PROVIDERS)
def test_a_whole_answer_is_given_again_as_it_was(house: House, dialect: str, provider: str) -> None:
    path, body = ask(dialect, f"{provider}/echo", "say this", stream=False)
    name, before = f"whole {dialect} {provider}", house.asked()
    first = house.post(path, body, name)
    assert first.status == 200 and not first.replayed, first
    for _ in range(4):  # connections of their own: both relays are among those who answer
        again = house.post(path, body, name)
        assert (again.status, again.body, again.replayed) == (200, first.body, True)
        assert again.fields["content-type"] == first.fields["content-type"]
        assert again.fields["original-request"] == first.fields["x-request-id"] != again.fields["x-request-id"]
        assert again.fields["x-halley-provider"] == provider
    assert house.asked() == before + 1


@pytest.mark.parametrize("dialect", PROVIDERS)
def test_of_a_stream_the_ending_is_kept(house: House, dialect: str) -> None:
    path, body = ask(dialect, f"{dialect}/tokens-5", "say this", stream=True)
    name, before = f"stream {dialect}", house.asked()
    first = house.post(path, body, name)
    assert first.status == 200, first
    again = house.post(path, body, name)
    assert again.conflicts(first.fields["x-request-id"]) and "ended as complete and was charged 0.0000" in again.message
    assert "retry-after" not in again.fields and again.fields["original-request"] == first.fields["x-request-id"]
    assert house.asked() == before + 1
    error = json.loads(again.body)
    match dialect:
        case "messages":
            assert (error["type"], error["error"]["type"]) == ("error", "invalid_request_error")
        case "gemini":
            assert (error["error"]["code"], error["error"]["status"]) == (409, "ABORTED")
        case _:
            assert (error["error"]["type"], error["error"]["code"]) == ("invalid_request_error", "idempotency_conflict")


def test_every_other_paid_route_knows_keys(house: House) -> None:
    turn = [{"role": "user", "content": "x"}]
    for path, body in (
        ("/v1/embeddings", {"model": "chat/echo", "input": ["one", "two"]}),
        ("/v1/completions", {"model": "chat/echo", "prompt": "once"}),
        ("/v1/moderations", {"model": "chat/echo", "input": "mild"}),
        ("/v1/rerank", {"model": "chat/echo", "query": "q", "documents": ["one", "two"]}),
        ("/v1/responses/compact", {"model": "responses/echo", "input": [*turn, {"role": "assistant", "content": "y"}]}),
    ):
        before = house.asked()
        first, again = house.post(path, body, "one for all"), house.post(path, body, "one for all")
        assert first.status == 200, (path, first)
        assert (again.body, again.replayed) == (first.body, True) and house.asked() == before + 1, path


def test_a_free_count_overlooks_keys(house: House) -> None:
    body = {"model": "messages/echo", "messages": [{"role": "user", "content": "x"}]}
    for _ in range(2):
        found = house.post("/v1/messages/count_tokens", body, "counted")
        assert found.status == 200 and not found.replayed


def test_another_body_is_409_and_another_route_account_or_key_a_request_of_its_own(house: House) -> None:
    before = house.asked()
    first = house.chat("chat/echo", "one", "hello")
    assert house.chat("chat/echo", "one", "hullo").conflicts("another body")
    assert house.asked() == before + 1
    elsewhere = house.post("/v1/responses", {"model": "chat/echo", "input": "hello"}, "one")
    foreign = house.chat("chat/echo", "one", "hello", key=house.other)
    third = house.chat("chat/echo", "ONE", "hello")
    for found in (elsewhere, foreign, third):
        assert found.status == 200 and not found.replayed and "original-request" not in found.fields
    assert house.asked() == before + 4
    sibling = house.gateway.cli_json("keys", "create", "--name", "sibling")["key"]
    assert house.chat("chat/echo", "one", "hello", key=sibling).body == first.body


@pytest.mark.parametrize("name", ["", "x" * 256, "h\u00e9", "a\tb"], ids=["empty", "long", "no ASCII", "tab"])
def test_a_key_that_is_none_is_400_in_every_dialect(house: House, name: str) -> None:
    before = house.asked()
    for dialect in PROVIDERS:
        found = house.post(*ask(dialect, f"{dialect}/echo", "x", stream=False), name)
        assert found.status == 400 and "printable ASCII" in found.message, found
    assert house.asked() == before
    assert house.chat("chat/echo", "x" * 255).status == 200


def test_what_failed_for_nothing_frees_its_key(house: House) -> None:
    before = house.asked()
    for _ in range(2):
        assert house.chat("chat/status-400", "failing").status == 400
    assert house.asked() == before + 2
    unknown = [house.chat("chat/nothing", "early").status, house.chat("chat/echo", "early").status]
    assert unknown == [404, 200]
    for text in ("one", "two"):  # broken off by the provider, nothing charged, and another body may have the key
        broken = house.chat("chat/cut-after-2", "broken", text, stream=True)
        assert broken.status == 200 and b"broke off" in broken.body


def test_who_has_no_credit_has_claimed_nothing(house: House) -> None:
    house.gateway.cli("accounts", "create", "poor")
    key = house.gateway.cli_json("keys", "create", "--name", "poor", "--account", "poor")["key"]
    assert house.chat("chat/echo", "too dear", key=key).status == 402
    house.gateway.cli("credit", "poor", "1")
    assert house.chat("chat/echo", "too dear", "another", key=key).status == 200


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_hundred_at_once_are_one_call_and_one_charge(house: House, stream: bool) -> None:
    before, paid = house.asked(), house.charged()
    name = f"crowd {stream}"
    with ThreadPoolExecutor(PARALLEL) as pool:
        found = list(pool.map(lambda _: house.chat(f"chat/{SLOW}", name, stream=stream), range(PARALLEL)))
    statuses = Counter((each.status, each.replayed) for each in found)
    assert statuses[200, False] == 1 and set(statuses) <= {(200, False), (200, True), (409, False)}, statuses
    assert all(each.conflicts("still runs") and each.fields["retry-after"] == "1" for each in found if each.status == 409 and not stream)
    assert house.asked() == before + 1
    now = house.charged()
    assert len(now) == len(paid) + 1
    again = house.chat(f"chat/{SLOW}", name, stream=stream)
    assert again.conflicts("ended as complete") if stream else again.replayed
    assert house.asked() == before + 1 and len(house.charged()) == len(now)


def test_a_client_that_left_finds_the_answer_that_was_paid(house: House) -> None:
    before = house.asked()
    body = json.dumps({"model": f"chat/{SLOW}", "messages": [{"role": "user", "content": "hello"}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {house.key}\r\nIdempotency-Key: left\r\n"
    with house.gateway.client() as client:
        client.send(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        until(lambda: house.asked() == before + 1, "nobody asked the provider")
    last: list[Got] = []

    def is_there() -> bool:
        with house.gateway.client() as client:
            reply = client.ask("POST", "/v1/chat/completions", body, key=house.key, fields={"Idempotency-Key": "left"})
            last.append(Got(reply.status, reply.fields, reply.body()))
        return last[-1].status == 200

    until(is_there, lambda: f"no answer: {last[-1]}")
    assert last[-1].replayed and all(each.conflicts("still runs") for each in last[:-1])
    assert house.asked() == before + 1


def test_a_body_that_goes_on_from_an_earlier_answer_is_known_by_its_own_words(house: House) -> None:
    first = json.loads(house.post("/v1/responses", {"model": "chat/echo", "input": "one"}, "conversation").body)
    body = {"model": "chat/echo", "input": "two", "previous_response_id": first["id"]}
    second, again = house.post("/v1/responses", body, "goes on"), house.post("/v1/responses", body, "goes on")
    assert second.status == 200 and (again.body, again.replayed) == (second.body, True)


def test_a_large_body_is_known_too(house: House) -> None:
    before = house.asked()
    text = "word " * 150_000
    first, again = house.chat("chat/tokens-5", "large", text), house.chat("chat/tokens-5", "large", text)
    assert first.status == 200, first
    assert (again.body, again.replayed) == (first.body, True)
    assert house.chat("chat/tokens-5", "large", text + "x").conflicts("another body")
    assert house.asked() == before + 1


def test_an_answer_too_long_to_be_kept_is_told_by_its_ending(house: House) -> None:
    text = "long " * 900_000
    first = house.chat("chat/echo", "very long", text)
    assert first.status == 200 and len(first.body) > 4 << 20
    assert house.chat("chat/echo", "very long", text).conflicts("too long to be kept")


def test_nothing_of_it_is_plain_on_the_disk(house: House) -> None:
    assert house.chat("chat/echo", f"key-{SECRET}", SECRET).status == 200
    assert house.chat("chat/echo", f"key-{SECRET}", SECRET).replayed
    for place in (house.gateway.home, house.gateway.journals):
        for path in place.rglob("*"):
            if path.is_file():
                assert SECRET.encode() not in path.read_bytes(), path


def test_a_killed_relay_costs_no_second_charge_and_blocks_no_key_for_long(house: House) -> None:
    before = house.asked()
    model = f"chat/{WAITING}"
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(house.chat, model, "killed")
        until(lambda: house.asked() == before + 1, "nobody asked the provider")
        for relay in ("relay-0", "relay-1"):
            house.gateway.kill(relay)
        assert isinstance(lost.exception(), (EOFError, ConnectionError))
    house.gateway.wait_ready()
    found: list[Got] = []

    def is_answered() -> bool:
        found.append(house.chat(model, "killed"))
        return found[-1].status == 200

    until(is_answered, lambda: f"the key stays blocked: {found[-1]}")
    assert not found[-1].replayed and all(each.conflicts("not known yet") for each in found[:-1])
    assert house.asked() == before + 2 and house.chat(model, "killed").replayed
    ended = [request for request in audit(house.gateway, house.simulator).requests if request.model == model]
    assert sorted((request.ending, request.charge > 0) for request in ended) == [("complete", True), ("crash", False)]


def test_what_a_killed_relay_had_delivered_is_paid_once_and_said(house: House) -> None:
    before, model = house.asked(), f"chat/{STREAM}"
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], "stream": True, "max_tokens": 60000}
    with house.gateway.client() as client:
        reply = client.ask("POST", "/v1/chat/completions", body, key=house.key, fields={"Idempotency-Key": "half"})
        lines = 0
        for piece in reply.pieces():
            lines += piece.count(b"data: ")
            if lines > 2500:  # beyond two records of progress
                break
        for relay in ("relay-0", "relay-1"):
            house.gateway.kill(relay)
    house.gateway.wait_ready()
    found: list[Got] = []

    def is_known() -> bool:
        found.append(house.post("/v1/chat/completions", body, "half"))
        return found[-1].conflicts("ended as crash and was charged 0.0")

    until(is_known, lambda: f"nothing is known: {found[-1]}")
    assert house.asked() == before + 1
    (row,) = (request for request in audit(house.gateway, house.simulator, unread={model}).requests if request.model == model)
    assert row.charge > 0 and row.id == reply.fields["x-request-id"]


def test_a_restart_and_a_killed_control_forget_nothing(house: House) -> None:
    first = house.chat("chat/echo", "lasting", "remember me")
    assert first.status == 200
    old = house.gateway.children()["control"]
    os.kill(old, signal.SIGKILL)
    until(lambda: house.gateway.children().get("control") not in (None, old), "control is not back")
    found: list[Got] = []

    def is_given() -> bool:
        found.append(house.chat("chat/echo", "lasting", "remember me"))
        assert found[-1].status == 503 or found[-1].replayed, found[-1]
        return found[-1].replayed

    until(is_given, "the answer is not given again")
    house.gateway.stop()
    house.gateway.start()
    again = house.chat("chat/echo", "lasting", "remember me")
    assert (again.body, again.replayed) == (first.body, True)


def test_a_claim_whose_relay_died_before_it_began_is_free(house: House) -> None:
    """The claim is in the store, and nothing follows: its relay is killed while control cannot answer it."""
    control = house.gateway.children()["control"]
    with ThreadPoolExecutor(4) as pool:
        os.kill(control, signal.SIGSTOP)
        try:
            waiting = [pool.submit(house.chat, "chat/echo", f"never begun {number}") for number in range(4)]
            time.sleep(0.3)  # the questions are in the link, unread
            for relay in ("relay-0", "relay-1"):
                os.kill(house.gateway.children()[relay], signal.SIGKILL)
        finally:
            os.kill(control, signal.SIGCONT)
        assert all(isinstance(each.exception(), (EOFError, ConnectionError)) for each in waiting)
    house.gateway.wait_ready()
    before = house.asked()
    for number in range(4):
        until(lambda number=number: house.chat("chat/echo", f"never begun {number}").status == 200, "the key stays blocked")
    assert house.asked() == before + 4


def test_without_control_a_request_with_a_key_is_503_and_all_others_are_served(house: House) -> None:
    relays: set[str] = set()

    def known_to_both() -> bool:
        """Each relay has a lease of its own; the beginning of an id is the relay's."""
        served = house.chat("chat/echo", None)
        assert served.status == 200
        relays.add(served.fields["x-request-id"][:22])
        return len(relays) == 2

    until(known_to_both, "one relay takes all connections")
    control = house.gateway.children()["control"]
    os.kill(control, signal.SIGSTOP)
    try:
        refused = house.chat("chat/echo", "away")
        assert refused.status == 503 and refused.fields["retry-after"] == "1"
        assert house.chat("chat/echo", None).status == 200
    finally:
        os.kill(control, signal.SIGCONT)
    # What was refused has claimed nothing, although control heard of it in the end.
    until(lambda: house.chat("chat/echo", "away", "other").status == 200, "the key stays blocked")


def test_all_of_it_is_in_the_books(house: House) -> None:
    assert house.charged()
    with closing(sqlite3.connect(house.gateway.home / "halley.db")) as connection:
        assert connection.execute("SELECT count(*) FROM claims WHERE sealed IS NOT NULL").fetchone()[0] > 0
        assert connection.execute("SELECT count(*) FROM strays").fetchone()[0] == 0
        # A day and an hour later.
        connection.execute("UPDATE claims SET at = at - 90000")
        connection.commit()
    first = house.chat("chat/echo", "one", "hello")
    assert first.status == 200 and not first.replayed and re.fullmatch(r"req_\w{26}", first.fields["x-request-id"])


def test_keys_may_be_switched_off(tmp_path: Path) -> None:
    toml = "[retention]\nidempotency_hours = 0\n"
    with Simulator(tmp_path) as simulator, Gateway(tmp_path, configuration(simulator.url, toml)) as gateway:
        gateway.cli("credit", "default", "1")
        off = House(gateway, simulator, gateway.key(), "")
        for text in ("hello", "hello", "other"):
            found = off.chat("chat/echo", "one", text)
            assert found.status == 200 and not found.replayed
        assert len(off.charged()) == 3
