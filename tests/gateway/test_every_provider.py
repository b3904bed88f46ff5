"""Every row of the provider table is called by a real gateway, in each dialect that it speaks: text, streams, tools, errors, and the money.

The simulator stands where each host would be. It checks what the clouds check, by code of its own: signatures of AWS, assertions and tokens
of Google, versions and members that must or must not be in a body.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from halley.providers.compatible import KINDS
from halley.providers.row import ProviderKind
from halley.simulator.identities import AWS_KEY_ID, AWS_SECRET, GOOGLE_EMAIL
from tests.harness import service_account
from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.simulator import Simulator

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = "tool-weather+echo"
ECHO = "status-422+echo-key"
BETAS = ("anthropic lax", "anthropic strict", "vertex lax", "bedrock lax", "bedrock strict")
SCRIPTS = ("echo-head", "tokens-5", TOOL, "status-429", ECHO, "error-frame-after-2", "cut-after-2")
# What is asked of each: the script, whether tools are offered, whether the answer is streamed.
CASES = {
    "whole": ("tokens-5", False, False),
    "stream": ("tokens-5", False, True),
    "tool": (TOOL, True, False),
    "tool streamed": (TOOL, True, True),
    "refused": ("status-429", False, False),
    "refused stream": ("status-429", False, True),
    "echoed": (ECHO, False, False),
    "failing stream": ("error-frame-after-2", False, True),
    "cut stream": ("cut-after-2", False, True),
}
DIALECTS = ("chat", "responses", "messages", "gemini")


class Heard(NamedTuple):
    status: int
    body: bytes


class House(NamedTuple):
    gateway: Gateway
    simulator: Simulator
    heard: dict[tuple[str, str, str], Heard]
    betas: dict[str, tuple[int, str | None, bytes]]


def place(kind: ProviderKind, root: str) -> str:
    """The base URL of a row at the simulator."""
    if kind.auth == "google-service-account":
        return f"{root}/v1/projects/p/locations/l/publishers/google"
    base = kind.speaks[kind.main].base
    return root + (base or ("" if kind.auth == "aws-sigv4" else "/v1"))


def secret(kind: ProviderKind, root: str) -> str:
    match kind.auth:
        case "aws-sigv4":
            return f"{AWS_KEY_ID}:{AWS_SECRET}"
        case "google-service-account":
            return service_account.key_file(GOOGLE_EMAIL, f"{root}/token")
        case _:
            return "sk-of-the-simulator"


# Clouds whose credentials are no good: what the caller hears.
WRONG = {
    "wrong-aws": ("bedrock", lambda root: f"{AWS_KEY_ID}:somebody-else-s"),
    "unknown-aws": ("bedrock", lambda root: f"NOBODYSKEYID:{AWS_SECRET}"),
    "wrong-google": ("vertex", lambda root: service_account.key_file("nobody@example.org", f"{root}/token")),
    "no-google": ("vertex", lambda root: service_account.key_file(GOOGLE_EMAIL, "http://127.0.0.1:9/token")),
}


def settings(root: str, secrets: Path) -> str:
    lines: list[str] = []
    for name, (kind, credential) in WRONG.items():
        (secrets / name).write_text(credential(root))
        lines += [
            "[[providers]]",
            f'name = "{name}"',
            f'kind = "{kind}"',
            f'base_url = "{place(KINDS[kind], root)}"',
            'region = "eu-test-1"',
        ]
        lines += [
            f'api_key = "file:{secrets / name}"',
            "[[models]]",
            f'id = "{name}/tokens-5"',
            'price = { input = "0.1505", output = "0.6015" }',
        ]
        lines.append(f'offers = [{{ provider = "{name}", model = "sim/tokens-5" }}]')
        lines += ["[[models]]", f'id = "{name}/then-another"', "max_output = 900", 'price = { input = "0.1505", output = "0.6015" }']
        lines.append(
            f'offers = [{{ provider = "{name}", model = "sim/tokens-5" }}, {{ provider = "groq", model = "sim/echo", priority = 2 }}]'
        )
    for name, kind in KINDS.items():
        if name == "local":
            continue
        (secrets / name).write_text(secret(kind, root))
        lines += ["[[providers]]", f'name = "{name}"', f'kind = "{name}"', f'base_url = "{place(kind, root)}"']
        lines += [f'api_key = "file:{secrets / name}"', *(['region = "eu-test-1"'] if kind.auth == "aws-sigv4" else [])]
        for script in SCRIPTS:
            lines += ["[[models]]", f'id = "{name}/{script}"', "max_output = 4000", 'price = { input = "0.1505", output = "0.6015" }']
            lines.append(f'offers = [{{ provider = "{name}", model = "sim/{script}" }}]')
    return "\n".join(lines)


def ask(dialect: str, model: str, tools: bool, stream: bool) -> tuple[str, dict[str, Any]]:
    text = "Weather?"
    match dialect:
        case "chat":
            given: Any = {"tools": [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]}
            said: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 900, "stream": stream}
            path = "/v1/chat/completions"
        case "responses":
            given = {"tools": [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}]}
            said = {"model": model, "input": text, "max_output_tokens": 900, "stream": stream, "store": False}
            path = "/v1/responses"
        case "messages":
            given = {"tools": [{"name": "weather", "input_schema": SCHEMA}]}
            said = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 900, "stream": stream}
            path = "/v1/messages"
        case _:
            given = {"tools": [{"functionDeclarations": [{"name": "weather", "parametersJsonSchema": SCHEMA}]}]}
            said = {"contents": [{"role": "user", "parts": [{"text": text}]}], "generationConfig": {"maxOutputTokens": 900}}
            path = f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")
    return path, said | (given if tools else {})


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    root = tmp_path_factory.mktemp("providers")
    secrets = root / "secrets"
    secrets.mkdir()
    with Simulator(root) as simulator, Gateway(root, settings(simulator.url, secrets)) as gateway, ThreadPoolExecutor(16) as pool:
        gateway.cli("credit", "default", "1000")
        key = gateway.key()

        def one(kind: str, dialect: str, case: str) -> Heard:
            script, tools, stream = CASES.get(case, (case, False, False))
            path, body = ask(dialect, f"{kind}/{script}", tools, stream)
            with gateway.client() as client:
                reply = client.ask("POST", path, body, fields={"Authorization": f"Bearer {key}", "anthropic-version": "2023-06-01"})
                return Heard(reply.status, reply.body())

        def named(case: str) -> tuple[int, str | None, bytes]:
            kind, strict = case.split()
            _, body = ask("messages", f"{kind}/echo-head", False, False)
            fields = {"Authorization": f"Bearer {key}", "anthropic-beta": "claude-code-20250219,effort-2025-11-24"}
            with gateway.client() as client:
                reply = client.ask("POST", "/v1/messages", body, fields=fields | ({"x-halley-strict": "1"} if strict == "strict" else {}))
                return reply.status, reply.fields.get("x-halley-lost"), reply.body()

        asked = {
            (kind, dialect, case): pool.submit(one, kind, dialect, case)
            for kind, row in KINDS.items()
            if kind != "local"
            for dialect in DIALECTS
            if dialect in row.speaks or dialect == "chat" or row.auth in ("aws-sigv4", "google-service-account")
            for case in CASES
        }
        asked |= {(name, "chat", case): pool.submit(one, name, "chat", case) for name in WRONG for case in ("tokens-5", "then-another")}
        betas = {case: pool.submit(named, case) for case in BETAS}
        yield House(
            gateway,
            simulator,
            {each: heard.result() for each, heard in asked.items()},
            {case: heard.result() for case, heard in betas.items()},
        )


def words(dialect: str, heard: Heard, stream: bool) -> str:
    """The text of an answer, and names of called tools."""
    raw = heard.body.decode()
    frames = (
        [json.loads(frame.rpartition("data: ")[2]) for frame in raw.split("\n\n") if frame and not frame.endswith("[DONE]")]
        if stream
        else []
    )
    if not stream:
        return json.dumps(json.loads(raw))
    match dialect:
        case "chat":
            assert raw.endswith("data: [DONE]\n\n")
            deltas = [chunk["choices"][0]["delta"] for chunk in frames if chunk["choices"]]
            return "".join((d.get("content") or "") + json.dumps(d.get("tool_calls") or "") for d in deltas)
        case "responses":
            assert frames[-1]["type"] == "response.completed"
            return json.dumps(frames[-1]["response"]["output"])
        case "messages":
            assert (frames[0]["type"], frames[-1]["type"]) == ("message_start", "message_stop")
            return json.dumps(frames)
        case _:
            return json.dumps(frames)


each = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "local"])


def of(house: House, kind: str) -> list[tuple[str, str, Heard]]:
    return [(dialect, case, heard) for (name, dialect, case), heard in house.heard.items() if name == kind]


@each
def test_text_and_tools_come_whole_and_streamed(house: House, kind: str) -> None:
    for dialect, case, heard in of(house, kind):
        if case in ("whole", "stream", "tool", "tool streamed"):
            assert heard.status == 200, (dialect, case, heard)
            said = words(dialect, heard, case in ("stream", "tool streamed"))
            assert ("weather" in said) == case.startswith("tool"), (dialect, case, said)


@each
def test_a_refusal_has_its_status_and_the_client_s_words(house: House, kind: str) -> None:
    for dialect, case, heard in of(house, kind):
        if case.startswith("refused"):
            assert heard.status == 429, (dialect, case, heard)
            error = json.loads(heard.body)["error"]
            assert error["message"] and "no error object" not in error["message"], (dialect, heard)


@each
def test_a_credential_that_is_repeated_stays_here(house: House, kind: str) -> None:
    """Also a token that was fetched for it, and the private words of a cloud's key."""
    for dialect, case, heard in of(house, kind):
        if case == "echoed":
            assert heard.status in (400, 422), (dialect, heard)
            message = json.loads(heard.body)["error"]["message"]
            carried = "Bearer of-the-cloud" if KINDS[kind].auth == "aws-sigv4" else "***"
            assert message.endswith((f"Credential: {carried}", "Credential: Bearer ***", "Credential: ")), (dialect, heard)


@each
def test_a_stream_that_breaks_ends_with_an_error(house: House, kind: str) -> None:
    for dialect, case, heard in of(house, kind):
        if case in ("failing stream", "cut stream"):
            assert heard.status in (200, 502), (dialect, case, heard)
            last = "".join(heard.body.decode().rstrip().split("\n\n")[-2:])  # Gemini's unfinished frame follows it
            assert '"error"' in last and "[DONE]" not in last, (dialect, case, last)


def test_betas_reach_a_host_in_its_head_or_in_its_body(house: House) -> None:
    both = "claude-code-20250219,effort-2025-11-24"
    for case in ("anthropic lax", "anthropic strict", "vertex lax"):
        status, lost, body = house.betas[case]
        assert (status, lost) == (200, None) and both in body.decode(), case
    status, lost, body = house.betas["bedrock lax"]
    assert (status, lost) == (200, "anthropic-beta.claude-code-20250219"), body
    assert "effort-2025-11-24" in body.decode() and "claude-code" not in body.decode()
    status, lost, body = house.betas["bedrock strict"]
    assert status == 400 and "anthropic-beta.claude-code-20250219" in json.loads(body)["error"]["message"]


def test_every_kind_was_asked_in_every_dialect_that_it_speaks(house: House) -> None:
    asked = {(kind, dialect) for kind, dialect, _ in house.heard}
    assert len({kind for kind, _ in asked}) >= 30
    assert {(kind, dialect) for kind, row in KINDS.items() if kind != "local" for dialect in row.speaks} <= asked


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("wrong-aws", 403, "does not match the signature"),
        ("unknown-aws", 403, "security token"),
        ("wrong-google", 502, "could not be reached"),
        ("no-google", 502, "could not be reached"),
    ],
)
def test_a_cloud_that_does_not_know_us_costs_nothing(house: House, name: str, status: int, words: str) -> None:
    heard = house.heard[name, "chat", "tokens-5"]
    assert (heard.status, words in heard.body.decode()) == (status, True), heard
    assert AWS_SECRET not in house.gateway.logs() and "PRIVATE KEY" not in house.gateway.logs()


@pytest.mark.parametrize("name", ["wrong-google", "no-google"])
def test_without_a_token_the_next_offer_is_asked(house: House, name: str) -> None:
    assert house.heard[name, "chat", "then-another"].status == 200


def test_the_books_add_up(house: House) -> None:
    found = audit(house.gateway, house.simulator)
    rows = sum(1 for kind, _, _ in house.heard if kind in KINDS)
    assert len(found.requests) == len(house.heard) + len(BETAS)
    assert found.endings["complete"] == 4 * rows // len(CASES) + 2 + len(BETAS) - 1
    assert found.endings["failed"] >= 3 * rows // len(CASES)
