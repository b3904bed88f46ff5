"""What schemathesis finds when it drives everything in the OpenAPI document: nothing; and nobody upstream hears of what was refused.

The facts come from `python/openapi.py`, which runs once. Nothing here sends a request but the fixtures.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.harness import books
from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.simulator import Simulator

from .environments import HERE, environment_of
from .upstreams import UPSTREAMS, settings

if "HALLEY_CLIENTS" not in os.environ:
    pytest.skip("schemathesis is run by script/clients", allow_module_level=True)

SCRIPTS = ("tokens-5", "echo")
SEED = 4
# With 18 cases it took 30 s on two cores.
CASE_SECONDS = 15
# Without these, by the last word of a path, few requests that fit the document would be answered: it cannot say what must go together.
SOUND: dict[str, Any] = {
    "completions": {"messages": [{"role": "user", "content": "Hello"}], "prompt": "Hello", "max_tokens": 9, "max_completion_tokens": 9},
    "chat": {"messages": [{"role": "user", "content": "Hello"}]},
    "compact": {"input": "Hello", "previous_response_id": None, "model": "responses/echo"},
    "responses": {"input": "Hello", "max_output_tokens": 9, "previous_response_id": None},
    "messages": {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 9},
    "count_tokens": {"messages": [{"role": "user", "content": "Hello"}]},
    "input_tokens": {"input": "Hello"},
    "generateContent": {"contents": [{"parts": [{"text": "Hello"}]}], "generationConfig": {}, "generation_config": None},
    "streamGenerateContent": {"contents": [{"parts": [{"text": "Hello"}]}]},
    "embedContent": {"content": {"parts": [{"text": "Hello"}]}, "model": None},
    "batchEmbedContents": {"requests": [{"content": {"parts": [{"text": "Hello"}]}}]},
    "embeddings": {"input": "Hello", "encoding_format": "float", "dimensions": 8},
    "moderations": {"input": "Hello", "model": "chat/echo"},
    "keys": {"name": "made", "models": None, "routes": None, "ips": None, "scopes": None, "expires_at": None},
    "": {"name": "made", "group": "", "unlimited_quota": True, "allow_ips": None},
    "rerank": {"model": "chat/echo", "query": "Hello", "documents": ["Hello", "Good-bye"]},
}


class Found(NamedTuple):
    """The driver's lines by operation, and how its process ended."""

    lines: dict[str, dict[str, Any]]
    code: int
    complaint: str

    def all(self, fact: str) -> Counter[str]:
        return sum((Counter(line[fact]) for line in self.lines.values()), Counter())


class House(NamedTuple):
    gateway: Gateway
    simulator: Simulator


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    environment_of("python-openapi")
    place = tmp_path_factory.mktemp("openapi")
    with Simulator(place) as simulator, Gateway(place, settings(simulator.url, SCRIPTS)) as gateway:
        gateway.cli("credit", "default", "1000")
        yield House(gateway, simulator)


@pytest.fixture(scope="module")
def found(house: House, request: pytest.FixtureRequest) -> Found:
    cases: int = request.config.getoption("--openapi-cases")
    runtime, _ = environment_of("python-openapi")
    models = [f"{upstream}/{script}" for upstream in UPSTREAMS for script in SCRIPTS]
    key = house.gateway.cli_json("keys", "create", "--name", "driver", "--scopes", "inference,usage-read,admin")["key"]
    # Not all of them are revoked before another operation asks for one.
    spare = [house.gateway.cli_json("keys", "create", "--name", f"spare-{number}")["name"] for number in range(6)]
    with house.gateway.client() as client:
        asked = client.ask("POST", "/v1/chat/completions", {"model": models[0], **SOUND["chat"]}, key=key)
        asked.body()
        kept = [client.ask("POST", "/v1/responses", {"model": model, "input": "Hello"}, key=key).json()["id"] for model in models]
    plan = {
        "url": house.gateway.url,
        "key": key,
        "known": {"model": models, "key": spare, "response": kept, "request_id": [asked.fields["x-request-id"]]},
        "cases": cases,
        "seed": SEED,
        "sound": SOUND,
    }
    done = subprocess.run(
        [runtime, str(HERE / "python" / "openapi.py")],
        input=json.dumps(plan),
        capture_output=True,
        text=True,
        timeout=cases * CASE_SECONDS,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return Found({line["operation"]: line for line in lines}, done.returncode, done.stderr[-4000:])


def test_the_document_is_valid_and_every_operation_of_it_was_driven(house: House, found: Found) -> None:
    assert found.code == 0, found.complaint
    with house.gateway.client() as client:
        paths = client.ask("GET", "/openapi.json").json()["paths"]
    assert set(found.lines) == {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def test_every_answer_is_as_the_document_says_and_none_is_a_servers_error(found: Found) -> None:
    """Status, type, fields of the head, and the body's schema: an error is in the words of its path's dialect."""
    failures = {name: line["failures"] for name, line in found.lines.items() if line["failures"]}
    assert failures == {}, "\n".join(f"{name}: {text}" for name, texts in failures.items() for text in texts.values())


def test_a_body_that_does_not_fit_the_document_is_refused(found: Found) -> None:
    assert {name: line["accepted_nonsense"] for name, line in found.lines.items() if line["accepted_nonsense"]} == {}


def test_without_a_key_nothing_is_answered_that_needs_one(found: Found) -> None:
    assert {name: line["keyless"] for name, line in found.lines.items() if line["keyless"].keys() - {"401"}} == {}
    assert found.all("keyless")["401"] > 20


def test_enough_was_answered_for_all_this_to_mean_something(found: Found) -> None:
    statuses = found.all("statuses")
    assert statuses["200"] > 50 and statuses["400"] > 200 and statuses["404"] > 20
    spoken = {name: line["statuses"] for name, line in found.lines.items() if " /v1" in name and "{response}/" not in name}
    assert {name: statuses for name, statuses in spoken.items() if "200" not in statuses} == {}


def test_what_was_refused_was_asked_of_nobody_and_cost_nothing(house: House, found: Found) -> None:
    refused = {id for line in found.lines.values() for id in line["refused"]}
    assert len(refused) > 200 and all(id.startswith("req_") for id in refused)
    audited = audit(house.gateway, house.simulator)
    assert not refused & {row["request_id"] for row in house.simulator.bill()["attempts"]}
    assert not {request.id for request in audited.requests if request.id in refused and request.charge}
    with books.store(house.gateway.home) as connection:
        assert all(row.ending for row in books.requests(connection))
