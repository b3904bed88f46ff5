"""Claude Code, Codex and Gemini CLI do a job on every model, whatever dialect its provider speaks: they write a file by their own tool.

Every run is a process of its own against one gateway; the simulator plays a model that calls the CLI's tool with what the prompt says, and
talks once it has seen the results.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.simulator import Simulator

from .coding_clis import CLIS, SIDE, Cli, Gate, Job, Ran, environment, run
from .upstreams import UPSTREAMS, settings

if "HALLEY_CLIENTS" not in os.environ:
    pytest.skip("the coding CLIs are driven by script/clients", allow_module_level=True)

AT_ONCE = 2
# How the model goes about it: the least, and all that a model does on its way: it thinks, talks, and calls twice at once, for two rounds.
WAYS = {"plain": "args-said+echo", "busy": "args-said+echo+think-6+preamble+calls-2+rounds-2"}


class Kind(NamedTuple):
    """One run among all. A broken one is cut when the model has seen its tool's result and begins to speak."""

    cli: Cli
    upstream: str
    way: str

    @property
    def script(self) -> str:
        return f"broken-{self.cli.tool}-{self.upstream}" if self.way == "broken" else f"tool-{self.cli.tool}+{WAYS[self.way]}"


class House(NamedTuple):
    gateway: Gateway
    simulator: Simulator
    ran: dict[Kind, Ran]


EVERY = [Kind(cli, upstream, way) for cli in CLIS for upstream in UPSTREAMS for way in (*WAYS, "broken")]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """All runs are done when the tests begin, a few at once."""
    environment()
    place = tmp_path_factory.mktemp("clis")
    with Simulator(place) as simulator:
        for kind in EVERY:
            if kind.way == "broken":
                simulator.script(f"sim/{kind.script}", {"cut_after": 3, "sequence": [{"tool": kind.cli.tool, "arguments": "said"}]})
        with Gateway(place, settings(simulator.url, sorted({SIDE, *(kind.script for kind in EVERY)}))) as gateway:
            gateway.cli("credit", "default", "1000")
            gate = Gate(gateway.url, gateway.key())

            def job(number: int, kind: Kind) -> tuple[Kind, Ran]:
                home = place / f"{number}-{kind.cli.name}"
                home.mkdir()
                return kind, run(kind.cli, Job(gate, f"{kind.upstream}/{kind.script}", home, f"amber-{number}"))

            with ThreadPoolExecutor(AT_ONCE) as pool:
                yield House(gateway, simulator, dict(pool.map(job, range(len(EVERY)), EVERY)))


def kinds(*ways: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "kind", [pytest.param(kind, id="-".join((kind.cli.name, kind.upstream, kind.way))) for kind in EVERY if kind.way in ways]
    )


def attempts(house: House, kind: Kind) -> list[dict[str, Any]]:
    return [
        attempt
        for attempt in house.simulator.bill()["attempts"]
        if (attempt["model"], attempt["surface"]) == (f"sim/{kind.script}", kind.upstream)
    ]


@kinds(*WAYS)
def test_the_job_is_done_and_the_model_has_seen_that_it_is(house: House, kind: Kind) -> None:
    ran = house.ran[kind]
    assert (ran.code, ran.error, ran.wrote) == (0, "", f"amber-{EVERY.index(kind)}")
    assert f"The tools answered: {kind.cli.tool} said" in ran.said
    made = attempts(house, kind)
    assert {(attempt["outcome"], attempt["streamed"]) for attempt in made} == {("complete", True)}
    assert len(made) == (2 if kind.way == "plain" else 3)


@kinds("broken")
def test_a_stream_that_breaks_is_no_end_of_the_job(house: House, kind: Kind) -> None:
    ran = house.ran[kind]
    assert (ran.wrote, [attempt["outcome"] for attempt in attempts(house, kind)]) == (f"amber-{EVERY.index(kind)}", ["complete", "cut"])
    assert ran.error and not ran.said


@pytest.mark.parametrize("cli", CLIS, ids=lambda cli: cli.name)
def test_a_refusal_reaches_who_sits_before_the_cli(house: House, tmp_path: Path, cli: Cli) -> None:
    gate = Gate(house.gateway.url, house.gateway.key())
    for name, at, model, why in (
        ("key", gate._replace(key="sk-wrong"), f"{cli.dialect}/{SIDE}", "key"),
        ("model", gate, "nobody/nothing", "nobody/nothing"),
    ):
        (tmp_path / name).mkdir()
        ran = run(cli, Job(at, model, tmp_path / name, "amber"))
        assert ran.code != 0 and why in ran.error and ran.wrote is None, ran


def test_afterwards_the_books_agree(house: House) -> None:
    found = audit(house.gateway, house.simulator)
    assert set(found.endings) == {"complete", "broke"}
