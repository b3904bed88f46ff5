"""LangChain's standard tests of chat models: ChatOpenAI (Chat and Responses), ChatAnthropic and ChatGoogleGenerativeAI on every dialect.

They run once, in an environment of their own; what they found is read from their report.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.simulator import Simulator

from .environments import HERE, environment_of
from .upstreams import PRICE, UPSTREAMS

if "HALLEY_CLIENTS" not in os.environ:
    pytest.skip("LangChain is driven by script/clients", allow_module_level=True)

# As the integration is called in `langchain_models.py`.
DIALECTS = ("chat", "responses", "messages", "gemini")
RUN_SECONDS = 300
# A provider of the client's own dialect says its own name of a model: here both sides call it the same.
MODELS = {upstream: {"main": f"sim/args-called+echo+id-{upstream}", "other": f"sim/tokens-5+id-{upstream}"} for upstream in UPSTREAMS}
# Integration and upstream (or all), test, and why it cannot pass. A test that passes in spite of its reason fails.
REASONS = (
    ("", "test_json_mode", "it takes a model that reads which keys are wanted; the simulator's JSON has its own"),
    (
        "messages_on_messages",
        "test_anthropic_inputs",
        "Anthropic signed its thought; the simulator takes its own signatures alone",
    ),
)
# Why a standard test skips itself.
SKIPS = {
    "VCR not set up.",  # its recordings measure LangChain's own speed
    "Model override not supported.",  # by ChatGoogleGenerativeAI
    "Model does not explicitly support Anthropic inputs.",  # but ChatAnthropic
    "Model does not support audio inputs.",  # nor do Messages and Responses
    "Model does not support image tool message.",  # nor Chat; ChatGoogleGenerativeAI
    "Model does not support PDF tool message.",
    "Test requires json mode support.",  # which ChatAnthropic and ChatGoogleGenerativeAI have not
}


class Case(NamedTuple):
    """`failed`, `skipped`: why; empty if it was not."""

    name: str
    failed: str
    skipped: str


class House(NamedTuple):
    gateway: Gateway
    simulator: Simulator


def settings(simulator: str) -> str:
    lines: list[str] = []
    for name, (kind, base) in UPSTREAMS.items():
        lines += ["[[providers]]", f'name = "{name}"', f'kind = "{kind}"', f'base_url = "{simulator}{base}"', 'api_key = "upstream-key"']
        for model in MODELS[name].values():
            lines += ["[[models]]", f'id = "{model}"', f'offers = [{{provider = "{name}", model = "{model}"}}]', "max_output = 64000"]
            lines.append(f"price = {PRICE}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    environment_of("python-langchain")
    place = tmp_path_factory.mktemp("langchain")
    with Simulator(place) as simulator, Gateway(place, settings(simulator.url)) as gateway:
        gateway.cli("credit", "default", "1000")
        yield House(gateway, simulator)


@pytest.fixture(scope="module")
def found(house: House, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Case]]:
    """What the standard tests found, by their class."""
    runtime, _ = environment_of("python-langchain")
    place = tmp_path_factory.mktemp("report")
    plan = {"url": house.gateway.url, "key": house.gateway.key(), "models": MODELS, "reasons": REASONS}
    # One loop for all: the integrations keep their asynchronous clients.
    loops = [f"asyncio_default_{what}_loop_scope=session" for what in ("test", "fixture")]
    options = [each for option in ("asyncio_mode=auto", *loops) for each in ("-o", option)]
    command = [runtime, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--noconftest", "--tb=short", "-c", os.devnull, *options]
    done = subprocess.run(
        [*command, f"--rootdir={place}", f"--junitxml={place}/report.xml", str(HERE / "python" / "langchain_models.py")],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
        cwd=place,
        env={"PATH": os.environ["PATH"], "HALLEY_PLAN": json.dumps(plan)},
    )
    assert (place / "report.xml").exists(), f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return read(place / "report.xml")


def read(report: Path) -> dict[str, list[Case]]:
    classes: dict[str, list[Case]] = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        told = {mark.tag: mark.get("message", "") + "\n" + (mark.text or "")[-1500:] for mark in case}
        failed = told.get("failure", "") + told.get("error", "")
        skipped = next((mark.get("message", "") for mark in case if mark.tag == "skipped"), "")
        classes.setdefault(case.get("classname", "").rpartition("Test_")[2], []).append(Case(case.get("name", ""), failed, skipped))
    return classes


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_langchains_standard_tests_pass(found: dict[str, list[Case]], dialect: str, upstream: str) -> None:
    pair = f"{dialect}_on_{upstream}"
    cases = found[pair]
    assert not [case for case in cases if case.failed], "\n\n".join(f"{case.name}: {case.failed}" for case in cases if case.failed)
    expected = {reason for which, _, reason in REASONS if which in ("", pair)}
    assert {case.skipped for case in cases if case.skipped} <= SKIPS | expected
    assert sum(1 for case in cases if not case.skipped) >= 40


def test_afterwards_the_books_agree(found: dict[str, list[Case]], house: House) -> None:
    assert len(found) == len(DIALECTS) * len(UPSTREAMS)
    assert audit(house.gateway, house.simulator).endings["complete"] > 500
