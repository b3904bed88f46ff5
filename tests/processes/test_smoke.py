"""`halley smoke` against a real gateway, with the key in the environment as a person would have it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.harness.gateway import Gateway
from tests.harness.priced import configuration
from tests.harness.process import HALLEY, LIMIT_S, environment
from tests.harness.simulator import Simulator

GOOD, EMPTY, HTML, STREAMED = "sim/echo", "sim/empty-choices", "sim/html-502", "sim/sse-anyway"


class Smoked(NamedTuple):
    exit: int
    out: dict[str, Any]
    said: str


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    place = tmp_path_factory.mktemp("smoke")
    with Simulator(place) as simulator, Gateway(place, configuration(simulator.url, (GOOD, EMPTY, HTML, STREAMED))) as running:
        yield running


def smoke(gateway: Gateway, model: str, place: Path, key: str | None = None) -> Smoked:
    environ = {**environment(place / "home"), "COMETAPI_KEY": key or gateway.key()}
    command = [*HALLEY, "smoke", "--base-url", gateway.url, "--model", model, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=LIMIT_S, check=False)
    assert (key or gateway.key()) not in done.stdout + done.stderr
    return Smoked(done.returncode, json.loads(done.stdout), done.stderr)


@pytest.mark.parametrize("model", [GOOD, "local/docs-assistant"])
def test_a_gateway_that_keeps_the_contract_is_a_go(gateway: Gateway, tmp_path: Path, model: str) -> None:
    smoked = smoke(gateway, model, tmp_path)
    assert (smoked.exit, smoked.out["verdict"], smoked.out["findings"]) == (0, "go", [])
    run = smoked.out["smoke_test_run"]
    assert len(run) == 15
    assert (run["http_status"], run["auth_rejection_status"], run["pass_fail"]) == (200, 401, "PASS")
    assert [len(row) for row in smoked.out["rows"]] == [7, 7, 7]


@pytest.mark.parametrize("model, exit_code", [(EMPTY, 1), (HTML, 5), ("sim/not-there", 1)])
def test_a_broken_answer_is_a_no_go(gateway: Gateway, tmp_path: Path, model: str, exit_code: int) -> None:
    smoked = smoke(gateway, model, tmp_path)
    assert smoked.exit == exit_code
    assert smoked.out["smoke_test_run"]["pass_fail"] == "FAIL"
    assert smoked.out["findings"]
    (place,) = (tmp_path / "home" / "evidence").iterdir()
    assert all(os.stat(kept).st_mode & 0o077 == 0 for kept in place.iterdir())


def test_a_refused_good_key_has_an_exit_code_of_its_own(gateway: Gateway, tmp_path: Path) -> None:
    assert smoke(gateway, GOOD, tmp_path, key="sk-" + "0" * 38).exit == 4
