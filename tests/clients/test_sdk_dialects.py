"""What the official SDKs for Python and Node see on models of every dialect: said once for all of them.

The facts come from `node/dialects.mjs` and `python/dialects.py`, run once for each SDK and major in its own process. Nothing here sends a
request but the fixtures.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.simulator import Simulator

from .environments import HERE, RUN_SECONDS, environment_of
from .plan import TRICKY
from .upstreams import UPSTREAMS, settings

if "HALLEY_CLIENTS" not in os.environ:
    pytest.skip("the SDKs are driven by script/clients", allow_module_level=True)

SCRIPTS = {
    "words": "tokens-5",
    "echo": "echo",
    "tool": "tool-weather+echo",
    "parallel": "tool-weather+calls-2+echo",
    "thinking": "think-6+tool-weather+rounds-2+echo",
    "cut": "tokens-50+cut-after-2",
    "error_frame": "tokens-50+error-frame-after-2",
    "long": "tokens-50",
    "slow": "tokens-200+slow-20ms",
    "refusal": "refusal",
    "filter": "filter",
    "status_400": "status-400",
    "status_429": "status-429",
    "status_500": "status-500",
}
# How providers really write streams.
SHAPES = (
    "echo+one-byte-writes",
    "echo+write-7",
    "echo+crlf",
    "echo+comments",
    "echo+pings",
    "echo+unknown-events",
    "echo+usage-early",
    "echo+usage-late",
    "echo+no-usage",
    "echo+eof-body",
    "echo+early-close",
)
# Which the client waits for, and hears heartbeats meanwhile: of one upstream, because it takes its time.
LATE = {"chat": ["echo+head-delay-2300ms"]}
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
HEARTBEATS = "[server]\nheartbeat_seconds = 1\n"
MODELS = (*SCRIPTS.values(), *SHAPES, *LATE["chat"])
PAPER = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"


class Sdk(NamedTuple):
    """One SDK of one major. `script` is its file beside the driver, `endings` are its words for a natural end and one by the cap.
    `client` is `async` where Python's asynchronous client is driven; Node's is always."""

    script: str
    directory: str
    major: str
    dialect: str
    endings: tuple[str, str]
    client: str = ""

    @property
    def language(self) -> str:
        return self.directory.partition("-")[0]

    def command(self) -> list[str]:
        runtime, directory = environment_of(self.directory)
        if self.language == "python":
            return [runtime, str(HERE / "python" / "dialects.py"), self.script, *([self.client] if self.client else [])]
        return [runtime, str(HERE / "node" / "dialects.mjs"), self.script, str(directory)]


# Of @anthropic-ai/sdk, the generation before 1.x is the last of 0.x: most programs still have that one.
_SYNCHRONOUS = tuple(
    Sdk(script, directory, major, dialect, endings)
    for script, dialect, endings, majors in (
        ("openai_chat", "chat", ("stop", "length"), ("7", "6", "3", "2")),
        ("openai_responses", "responses", ("completed", "incomplete"), ("7", "6", "3", "2")),
        ("anthropic_messages", "messages", ("end_turn", "max_tokens"), ("1", "0", "2", "1")),
        ("google_gemini", "gemini", ("STOP", "MAX_TOKENS"), ("3", "2", "3", "2")),
    )
    for directory, major in zip(("node-current", "node-previous", "python-current", "python-previous"), majors, strict=True)
)


SDKS = (*_SYNCHRONOUS, *(sdk._replace(client="async") for sdk in _SYNCHRONOUS if sdk.language == "python"))


class House(NamedTuple):
    gateway: Gateway
    simulator: Simulator


class Seen:
    """The facts of one SDK, by upstream and case."""

    def __init__(self, sdk: Sdk, lines: list[dict[str, Any]]) -> None:
        self.sdk = sdk
        self._lines = {(line["upstream"], line["case"]): line for line in lines}

    def __call__(self, upstream: str, case: str) -> dict[str, Any]:
        line = self._lines.get((upstream, case), {"failed": "no line"})
        if "failed" in line:
            pytest.fail(f"{self.sdk.directory}, {self.sdk.script}, {upstream}, {case}: {line['failed']}", pytrace=False)
        return line["seen"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("dialects")
    with Simulator(place) as simulator, Gateway(place, HEARTBEATS + settings(simulator.url, MODELS)) as gateway:
        gateway.cli("credit", "default", "1000")
        yield House(gateway, simulator)


@pytest.fixture(scope="module", params=SDKS, ids=lambda sdk: "-".join(filter(None, (sdk.language, sdk.script, sdk.major, sdk.client))))
def seen(request: pytest.FixtureRequest, house: House) -> Seen:
    sdk: Sdk = request.param
    plan = {
        "url": house.gateway.url,
        "keys": {"main": house.gateway.key(), "wrong": "sk-wrong"},
        "upstreams": list(UPSTREAMS),
        "scripts": SCRIPTS,
        "shapes": SHAPES,
        "late": LATE,
        "tricky": TRICKY,
    }
    done = subprocess.run(
        sdk.command(),
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return Seen(sdk, [json.loads(line) for line in done.stdout.splitlines()])


# SDKs without a loop of their own.
NO_LOOP = {("node", "responses"), ("python", "responses"), ("python", "chat")}
# google-genai for Python cannot read comments in a stream, which Google's own servers never send, nor does Halley in translating.
UNREADABLE = ("python", "gemini", "gemini"), {"echo+comments", "echo+pings"}

OUR_REQUEST_ID = re.compile(r"req_[0-9A-HJKMNP-TV-Z]{26}")
every_upstream = pytest.mark.parametrize("upstream", UPSTREAMS)


def test_the_sdk_is_of_the_major_its_environment_promises(seen: Seen) -> None:
    assert seen("", "version")["version"].split(".")[0] == seen.sdk.major


@every_upstream
def test_a_text_comes_whole_and_in_pieces_and_costs_the_same(seen: Seen, upstream: str) -> None:
    plain = seen(upstream, "text")
    assert (len(plain["text"].split()), plain["finish"], plain["input"], plain["output"]) == (5, seen.sdk.endings[0], 5, 5)
    for case in ("stream", "stream_helper"):
        stream = seen(upstream, case)
        assert stream == {**plain, "pieces": 5, "request_id": stream["request_id"]}


@every_upstream
def test_every_answer_names_its_request_where_the_sdk_shows_it(seen: Seen, upstream: str) -> None:
    shown = ["text", "stream", "stream_helper"]
    if seen.sdk.dialect in ("chat", "responses"):
        assert seen(upstream, shown.pop())["request_id"] is None  # OpenAI's helpers have no place for it
    ids = [seen(upstream, case)["request_id"] for case in shown]
    assert all(OUR_REQUEST_ID.fullmatch(id) for id in ids), ids
    assert len(set(ids)) == len(ids)


@every_upstream
def test_text_that_looks_like_the_protocol_arrives_whole(seen: Seen, upstream: str) -> None:
    assert seen(upstream, "stream_of_tricky_text")["text"] == f"You said: {TRICKY}"


@every_upstream
def test_a_stream_of_every_shape_is_the_same_text(seen: Seen, upstream: str) -> None:
    found = seen(upstream, "stream_of_every_shape")
    who, shapes = UNREADABLE
    if (seen.sdk.language, seen.sdk.dialect, upstream) == who:
        found = {shape: text for shape, text in found.items() if shape not in shapes}
    assert {shape: text for shape, text in found.items() if text != "You said: Grüße, 世界 🌍"} == {}


@every_upstream
def test_a_program_may_leave_a_stream_early_and_go_on(seen: Seen, upstream: str) -> None:
    assert seen(upstream, "stream_left_early") == {"pieces": 2, "text_after": seen(upstream, "text")["text"]}


@pytest.mark.parametrize("case", ["refusal", "refusal_streamed", "filter", "filter_streamed"])
@every_upstream
def test_what_a_model_will_not_say(seen: Seen, upstream: str, case: str) -> None:
    """OpenAI's dialects end naturally behind a refusal that is said as one, and have no such word for what others say as text."""
    said = seen(upstream, case)
    natural = upstream in ("chat", "responses") and case.startswith("refusal")
    filtered = {"chat": "content_filter", "responses": "incomplete", "messages": "refusal", "gemini": "SAFETY"}[seen.sdk.dialect]
    in_words = seen.sdk.dialect in ("chat", "responses") and natural
    assert said["finish"] == (seen.sdk.endings[0] if in_words else filtered)
    assert said["text"] == ("I cannot help with that." if case.startswith("refusal") and not in_words else "")


@every_upstream
def test_an_answer_by_the_cap_says_so(seen: Seen, upstream: str) -> None:
    cut = seen(upstream, "length")
    assert (len(cut["text"].split()), cut["finish"], cut["output"]) == (20, seen.sdk.endings[1], 20)


@pytest.mark.parametrize("case", ["tools", "tools_streamed"])
@every_upstream
def test_a_tool_is_called_and_its_result_is_answered(seen: Seen, upstream: str, case: str) -> None:
    loop = seen(upstream, case)
    assert loop["calls"] == [[["weather", {"city": "sample", "days": 1}]]]
    assert 'The tools answered: weather said "rain 0"' in loop["text"]
    assert (loop["turns"], loop["ids"], loop["finish"]) == (2, 1, seen.sdk.endings[0])


@pytest.mark.parametrize("case", ["parallel_tools", "parallel_tools_streamed"])
@every_upstream
def test_two_tools_at_once_have_an_id_and_a_result_each(seen: Seen, upstream: str, case: str) -> None:
    loop = seen(upstream, case)
    assert loop["calls"] == [[["weather", {"city": "sample", "days": 1}]] * 2]
    assert 'weather said "rain 0"; weather said "rain 1"' in loop["text"]
    assert (loop["turns"], loop["ids"]) == (2, 2)


@pytest.mark.parametrize("case", ["thinking", "thinking_streamed"])
@every_upstream
def test_thoughts_are_shown_and_come_back_over_two_rounds_of_tools(seen: Seen, upstream: str, case: str) -> None:
    """The simulator refuses thoughts that were changed, and of Messages a turn without its own. Chat has no word for a wish to see them:
    it shows what its provider shows unasked."""
    loop = seen(upstream, case)
    unasked = upstream in ("chat", "messages")
    assert len(loop["thoughts"].split()) == (18 if unasked or seen.sdk.dialect != "chat" else 0)
    assert (loop["turns"], [len(round) for round in loop["calls"]]) == (3, [1, 1])
    assert 'weather said "rain 0"' in loop["text"]


@every_upstream
def test_the_loop_of_the_sdk_itself_comes_to_its_end(seen: Seen, upstream: str) -> None:
    """That of @anthropic-ai/sdk 1.x would leave the conversation with the server, until it hears that nobody keeps it."""
    loop = seen(upstream, "loop_of_the_sdk")
    if (seen.sdk.language, seen.sdk.dialect) in NO_LOOP:
        assert loop is None
    else:
        assert loop["called"] == [{"city": "sample", "days": 1}]
        assert 'The tools answered: weather said "rain"' in loop["text"]


@pytest.mark.parametrize(
    "case, kind, data", [("picture", "image image/png", base64.b64decode(PICTURE)), ("paper", "document application/pdf", PAPER)]
)
@every_upstream
def test_a_medium_arrives_byte_for_byte(seen: Seen, upstream: str, case: str, kind: str, data: bytes) -> None:
    assert f"[{kind} {len(data)} bytes sha256:{hashlib.sha256(data).hexdigest()[:16]}]" in seen(upstream, case)["text"]


@every_upstream
def test_a_schema_is_kept_and_parsed_by_the_sdk(seen: Seen, upstream: str) -> None:
    assert seen(upstream, "structured") == {"fits": True, "value": {"name": "sample", "people": 1}}


def test_the_list_of_models_has_the_shape_of_the_client(seen: Seen) -> None:
    """Whose it is, `GET /v1/models` can tell by the fields of the head alone."""
    ids = seen("chat", "models")["ids"]
    assert {f"{upstream}/{script}" for upstream in UPSTREAMS for script in SCRIPTS.values()} <= set(ids)


@every_upstream
def test_the_tokens_of_a_request_are_counted(seen: Seen, upstream: str) -> None:
    """By the provider if it can, and else roughly by Halley. Chat has no question for it."""
    tokens = seen(upstream, "count")["tokens"]
    if seen.sdk.dialect == "chat":
        assert tokens is None
    elif upstream == "chat":
        assert 5 <= tokens <= 20
    else:
        assert tokens == 5


@every_upstream
def test_a_conversation_goes_on_from_an_id_until_it_is_forgotten(seen: Seen, upstream: str) -> None:
    """By Halley where the provider keeps nothing; the other dialects have no word for it."""
    found = seen(upstream, "stored")
    if seen.sdk.dialect != "responses":
        assert found is None
        return
    assert found["grew"] and found["same"]
    assert upstream == "responses" or found["inputs"] == ["message", "message", "message"]
    assert found["read"] == ["NotFoundError", "not_found"]
    assert found["gone_on"] == ["BadRequestError", "previous_response_not_found"]


@every_upstream
def test_a_text_becomes_a_vector(seen: Seen, upstream: str) -> None:
    """Where the SDK has a word for it, and the provider too."""
    if seen.sdk.dialect not in ("chat", "gemini"):
        assert seen(upstream, "embedding") is None
    elif upstream in ("chat", "gemini"):
        assert seen(upstream, "embedding") == {"lengths": [64, 64], "differ": True}
    else:
        assert seen(upstream, "embedding") == {"refused": 400}


# The SDK's own class of an error by status, where it has one.
STATUSES = (400, 401, 404, 429, 502)
STAINLESS = dict(
    zip(STATUSES, ("BadRequestError", "AuthenticationError", "NotFoundError", "RateLimitError", "InternalServerError"), strict=True)
)
OPENAI = dict(zip(STATUSES, (*["invalid_request_error"] * 3, "rate_limit_error", "api_error"), strict=True))
CLASSES = {(language, dialect): STAINLESS for language in ("node", "python") for dialect in ("chat", "responses", "messages")} | {
    ("node", "gemini"): dict.fromkeys(STATUSES, "ApiError"),
    ("python", "gemini"): {status: "ServerError" if status >= 500 else "ClientError" for status in STATUSES},
}
KINDS = {
    "chat": OPENAI,
    "responses": OPENAI,
    "messages": {**OPENAI, 401: "authentication_error", 404: "not_found_error"},
    "gemini": dict(zip(STATUSES, ("INVALID_ARGUMENT", "UNAUTHENTICATED", "NOT_FOUND", "RESOURCE_EXHAUSTED", "INTERNAL"), strict=True)),
}


@pytest.mark.parametrize(
    "case, status",
    [
        ("refused_key", 401),
        ("refused_key_for_a_stream", 401),
        ("unknown_model", 404),
        ("upstream_400", 400),
        ("upstream_429", 429),
        ("upstream_500", 502),
        ("upstream_500_for_a_stream", 502),
    ],
)
@every_upstream
def test_a_refusal_is_the_sdks_own_exception(seen: Seen, upstream: str, case: str, status: int) -> None:
    error = seen(upstream, case)
    dialect = seen.sdk.dialect
    classes = CLASSES[seen.sdk.language, dialect]
    if upstream == dialect and error["status"] == 500:
        status = 500  # its own provider's words pass as they came
        assert error["class"] == classes[502]
    else:
        assert (error["class"], error["status"], error["kind"]) == (classes[status], status, KINDS[dialect][status])
    if dialect != "gemini":  # whose SDK does not show it
        assert OUR_REQUEST_ID.fullmatch(error["request_id"])


# What each SDK raises when a stream breaks. In Responses the response has failed, of which the SDKs make no exception.
BROKEN = {
    ("node", "chat"): "APIError",
    ("node", "messages"): "APIError",
    ("node", "gemini"): "ApiError",
    ("python", "chat"): "APIError",
    ("python", "messages"): "APIStatusError",
    ("python", "gemini"): "ServerError",
}


@pytest.mark.parametrize("case", ["broken_stream", "failed_stream"])
@every_upstream
def test_a_stream_that_breaks_is_an_exception_and_never_a_whole_answer(seen: Seen, upstream: str, case: str) -> None:
    error = seen(upstream, case)
    assert error["pieces"] <= 2
    if seen.sdk.dialect != "responses":
        assert error["class"] == BROKEN[seen.sdk.language, seen.sdk.dialect]
    elif upstream == "responses" and case == "failed_stream":  # OpenAI's own `error` event passes as it came
        newest = (seen.sdk.language, seen.sdk.major) == ("node", "7")
        assert (error["class"] if newest else error["answered"]["finish"]) == ("APIError" if newest else "error")
    else:
        assert (error["class"], error["answered"]["finish"]) == (None, "failed")


def test_afterwards_the_books_agree(house: House) -> None:
    found = audit(house.gateway, house.simulator)
    assert set(found.endings) == {"complete", "failed", "broke", "left", "drained", "unreported"}
