"""A run stays with what was asked of it: one attempt a case, the same model, endpoint and key, whatever comes back."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.contract.gateways import CHAT, HEALTHY, gateway
from tests.contract.servers import GOOD_KEY, reply, serving
from tests.contract.test_contract import cli

Answer = Callable[[bytes], bytes | None]
ELSEWHERE = "Location: http://127.0.0.1:9/v1/chat/completions\r\n"
TEMPTING: dict[str, Answer] = {
    "the model is not there, another one is": gateway(
        chat=reply(404, {"error": {"code": "model_not_found", "message": "try other"}}),
        models=reply(200, {"data": [{"id": "other"}]}),
    ),
    "a redirect": gateway(chat=reply(307, "", extra=ELSEWHERE)),
    "busy, come again": gateway(chat=reply(429, {"error": {"message": "x"}}, extra="Retry-After: 0\r\n")),
    "down for a moment": gateway(chat=reply(503, {"error": {"message": "x"}}, extra="Retry-After: 0\r\n")),
    "a field is refused": gateway(chat=reply(400, {"error": {"message": "x", "param": "stream"}})),
    "no answer": gateway(chat=b""),
    "another model answers": gateway(chat=reply(200, {**CHAT, "model": "other"})),
    "all is well": gateway(),
}


@pytest.mark.parametrize("name", TEMPTING)
def test_nothing_is_tried_twice_or_otherwise_to_get_a_pass(name: str, tmp_path: Path) -> None:
    posts: list[bytes] = []

    def answer(request: bytes) -> bytes | None:
        if request.startswith(b"POST"):
            posts.append(request)
        return TEMPTING[name](request)

    with serving(answer) as url:
        result = cli(tmp_path, "run", "--base-url", url, "--model", "m", "--contract", "chat", "--json", http_proxy=None, HTTP_PROXY=None)
    assert (result.exit_code == 0) == (name == "all is well")
    keys = [next((line for line in post.split(b"\r\n") if line.lower().startswith(b"authorization:")), b"") for post in posts]
    assert keys == [b"Authorization: Bearer " + GOOD_KEY.encode(), b"", b"Authorization: Bearer sk-invalid-token-smoke-test"]
    bodies = [json.loads(post.partition(b"\r\n\r\n")[2]) for post in posts]
    assert bodies == [bodies[0]] * 3 and (bodies[0]["model"], bodies[0]["stream"]) == ("m", False)
    assert {post.split(b" ")[1] for post in posts} == {b"/v1/chat/completions"}


def test_what_may_be_missing_for_the_model_or_altogether_is_not_guessed(tmp_path: Path) -> None:
    absent = {name: HEALTHY["nothing"] for name in ("messages", "gemini")}
    with serving(gateway(models=reply(200, {"data": [{"id": "other"}]}), **absent)) as url:
        asked = ("run", "--base-url", url, "--model", "m", "--without", "embeddings", "--json")
        run = json.loads(cli(tmp_path, *asked, http_proxy=None, HTTP_PROXY=None).stdout)
    reasons = {each["contract"]: each["reason"] for each in run["not_run"]}
    assert reasons["messages"] == "messages is not served here (404), or not for this model, which is not in the list"


def test_headers_of_the_operators_own_are_named_as_what_a_refusal_does_not_prove(tmp_path: Path) -> None:
    with serving(gateway()) as url:
        asked = ("run", "--base-url", url, "--model", "m", "--contract", "chat", "--header", "x-team=blue", "--json")
        run = json.loads(cli(tmp_path, *asked, http_proxy=None, HTTP_PROXY=None).stdout)
    assert "x-team went with every request, also with those that had to be refused for their key" in run["uncertainty"]


def codes(home: Path, *words: str, **more: str | None) -> set[str]:
    asked = ("run", "--model", "m", "--contract", "chat", "--timeout", "0.5", "--json", *words)
    result = cli(home, *asked, http_proxy=None, HTTP_PROXY=None, all_proxy=None, ALL_PROXY=None, **more)
    return {each["code"] for each in json.loads(result.stdout)["findings"]}


def test_an_address_that_takes_nobody_and_one_that_nobody_reaches(tmp_path: Path) -> None:
    assert "unreachable" in codes(tmp_path, "--base-url", "http://255.255.255.255")
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, ExitStack() as waiting:
        for _ in range(4):  # nobody accepts, so the next one is not even queued
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        assert "connect-timeout" in codes(tmp_path, "--base-url", f"http://127.0.0.1:{full.getsockname()[1]}")


def test_what_is_odd_before_anything_is_sent_is_said_and_stops_nothing(tmp_path: Path) -> None:
    with serving(gateway()) as url:
        assert codes(tmp_path, "--base-url", url) == set()
        assert codes(tmp_path, "--base-url", url, "--environment", "production") == {"environment-mismatch"}
        assert codes(tmp_path, "--base-url", url, COMET_API_KEY="another-key-0123456") == {"several-keys"}
    with serving(gateway(models=reply(200, {"data": [{"id": "other"}]}))) as url:
        assert codes(tmp_path, "--base-url", url) == {"model-not-listed"}
    assert "plain-http" in codes(tmp_path, "--base-url", "http://255.255.255.255")


def test_what_cannot_be_kept_is_no_go(tmp_path: Path) -> None:
    with serving(gateway()) as url:
        assert codes(tmp_path, "--base-url", url, "--record", f"rows={tmp_path}") == {"record-failed"}
    home = tmp_path / "home"

    def answer(request: bytes) -> bytes:
        shutil.rmtree(home / "evidence", ignore_errors=True)
        return reply(503, "")

    with serving(answer) as url:
        assert {"capture-failed", "record-failed"} <= codes(home, "--base-url", url)


@pytest.mark.parametrize("name", ["m\x1b[31m", "x\r\nEvil: 1", "m\u202ex", "m" * 300_000])
def test_what_no_id_can_be_is_not_taken_from_a_list(name: str, tmp_path: Path) -> None:
    with serving(gateway(models=reply(200, {"data": [{"id": name}, {"id": "m"}]}), catalogue=HEALTHY["nothing"])) as url:
        result = cli(tmp_path, "run", "--base-url", url, "--contract", "chat")
        left = cli(tmp_path, "report", "--shape", "html").stdout
    assert result.exit_code == 0 and "model for text: m (the first" in result.stdout
    assert name not in result.output + left


@pytest.mark.parametrize("named, carrier, path", [("messages", "x-api-key", "/v1"), ("gemini", "x-goog-api-key", "/v1beta")])
def test_a_vendors_own_surface_is_asked_for_its_list_in_its_own_way(named: str, carrier: str, path: str, tmp_path: Path) -> None:
    listed = reply(200, {"models": [{"name": "models/m", "supportedGenerationMethods": ["generateContent"]}], "data": [{"id": "m"}]})

    def answer(request: bytes) -> bytes | None:
        if f"\r\n{carrier}: {GOOD_KEY}".encode() not in request:
            return reply(401, {"error": {"message": "no key"}})
        return listed if request.startswith(f"GET {path}/models".encode()) else gateway()(request)

    with serving(answer) as url:
        host = url.removesuffix("/v1")
        result = cli(tmp_path, "run", "--base-url", host + path, "--contract", f"{named}-stream")
    assert (result.exit_code, "FAIL" in result.stdout) == (0, False), result.output


def test_a_run_pays_for_no_more_requests_than_its_page_says(tmp_path: Path) -> None:
    paid: list[bytes] = []

    def answer(request: bytes) -> bytes | None:
        if request.startswith(b"POST") and GOOD_KEY.encode() in request:
            paid.append(request.partition(b"\r\n\r\n")[2])
        return gateway()(request)

    with serving(answer) as url:
        for profile, most in (("chat", 1), ("text", 11)):
            paid.clear()
            result = cli(tmp_path, "run", "--base-url", url, "--model", "m", "--model-for", "embeddings=m", "--profile", profile)
            assert (result.exit_code, len(paid)) == (0, most), result.output
            assert max(map(len, paid)) < 1000


def told(home: Path, answer: Answer, *flags: str) -> tuple[int, dict[str, str], list[str]]:
    """Exit code, the cause of each finding, and what the run does not prove."""
    with serving(answer) as url:
        words = ("run", "--base-url", url, "--model", "m", "--json", *flags)
        result = cli(home, *words, http_proxy=None, HTTP_PROXY=None)
    document = json.loads(result.stdout)
    return result.exit_code, {each["code"]: each["cause"] for each in document["findings"]}, document["uncertainty"]


def test_what_the_first_contract_proved_is_not_doubted_again(tmp_path: Path) -> None:
    refused, failed = HEALTHY["refusal"], reply(500, {"error": {"message": "x"}})
    extra = reply(400, {"error": {"message": "x", "param": "priority", "code": "invalid_value"}})
    answer = gateway(models=failed, responses=extra, messages=refused, embeddings=failed)
    code, causes, _ = told(tmp_path, answer, "--profile", "text", "--model-for", "embeddings=m")
    assert code == 1 and "server-error" not in causes and "key-refused" not in causes
    refusal = "the key that the first contract passed with was refused here with 401 (it was sent in x-api-key)"
    assert causes["key-refused-here"] == f"messages: {refusal}"
    assert causes["request-rejected"].endswith("names a field that was not sent: it is missed, or added on the way")
    failure = "this surface fails with 500, but the first contract passed at the same base URL"
    assert causes["surface-fails"] in (f"models: {failure}", f"embeddings: {failure}")
    assert causes["request-rejected"].startswith("responses: the request was rejected with 400")


def test_where_nothing_is_a_refusals_shape_is_nobodys(tmp_path: Path) -> None:
    code, causes, unproved = told(tmp_path, lambda _: reply(404, {"detail": "Not Found"}), "--contract", "chat")
    assert (code, set(causes)) == (1, {"model-list-missing", "wrong-base-url"})
    assert "whether a bad key is told from a good one was not seen: the good key got no further" not in unproved


def test_a_refusal_proves_little_where_the_good_key_was_refused_too(tmp_path: Path) -> None:
    code, causes, unproved = told(tmp_path, lambda _: reply(400, {"message": "which provider?"}), "--contract", "chat")
    assert code == 1 and "(--header NAME=VALUE)" in causes["request-rejected"]
    assert "whether a bad key is told from a good one was not seen: the good key got no further" in unproved


def test_a_model_for_another_kind_is_named_by_its_own_option(tmp_path: Path) -> None:
    with serving(gateway(models=reply(500, {"error": {"message": "x"}}), catalogue=HEALTHY["nothing"])) as url:
        words = ("run", "--base-url", url, "--model", "m", "--contract", "chat", "--contract", "embeddings", "--json")
        result = cli(tmp_path, *words, http_proxy=None, HTTP_PROXY=None)
    (left,) = json.loads(result.stdout)["not_run"]
    assert left["reason"] == "no usable model list at /models (500): name a model with --model-for embeddings=ID"
