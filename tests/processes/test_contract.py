"""`halley contract run` against a real gateway: every dialect it serves, whole and streamed, and its rate limit with a real 429."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.gateway import Gateway
from tests.harness.priced import configuration
from tests.harness.process import HALLEY, LIMIT_S, environment
from tests.harness.simulator import Simulator


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    place = tmp_path_factory.mktemp("contract")
    with Simulator(place) as simulator, Gateway(place, configuration(simulator.url, ("sim/echo",))) as running:
        yield running


def run(gateway: Gateway, place: Path, key: str, *words: str) -> dict[str, Any]:
    environ = {**environment(place / "home"), "COMETAPI_KEY": key}
    command = [*HALLEY, "contract", "run", "--base-url", gateway.url, "--model", "sim/echo", "--json", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=LIMIT_S, check=False)
    found = json.loads(done.stdout)
    assert (found["exit"], key in done.stdout + done.stderr) == (done.returncode, False)
    return found


def test_every_dialect_keeps_its_contract_whole_and_streamed(gateway: Gateway, tmp_path: Path) -> None:
    found = run(gateway, tmp_path, gateway.key(), "--profile", "text")
    assert (found["verdict"], found["findings"]) == ("go", [])
    passed = {each["contract"] for each in found["outcomes"] if each["result"] == "pass"}
    dialects = {name for dialect in ("chat", "responses", "messages", "gemini") for name in (dialect, f"{dialect}-stream")}
    assert passed == dialects | {"models", "catalogue", "chat-tools", "chat-structured"}
    assert {each["result"] for each in found["outcomes"]} == {"pass"}


def test_a_rate_limit_is_seen_last_and_judged(gateway: Gateway, tmp_path: Path) -> None:
    key = gateway.cli_json("keys", "create", "--name", "limited", "--rpm", "30")["key"]
    found = run(gateway, tmp_path, key, "--contract", "rate-limit", "--contract", "chat-tools", "--allow-load")
    assert (found["verdict"], found["findings"]) == ("go", [])
    refused = found["outcomes"][-1]
    assert (refused["contract"], refused["status"], refused["result"]) == ("rate-limit", 429, "pass")
    assert [each["result"] for each in found["outcomes"]] == ["pass"] * 5
