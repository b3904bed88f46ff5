"""Claude Code, Codex and Gemini CLI do a job on every model, whatever dialect its provider speaks, by the tools that they bring.

Every run is a process of its own against one gateway; the simulator plays a model that calls the CLI's tool with what the prompt says, and
talks once it has seen the results.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.simulator import Simulator

from .coding_clis import CLIS, SIDE, Cli, Gate, Job, Ran, environment, run
from .upstreams import PRICE, UPSTREAMS, settings

if "HALLEY_CLIENTS" not in os.environ:
    pytest.skip("the coding CLIs are driven by script/clients", allow_module_level=True)

AT_ONCE = 2
# How the model goes about it: the least, and all that a model does on its way: it thinks, talks, and calls twice at once, for two rounds.
PLAIN = "args-said+echo"
WAYS = {"plain": PLAIN, "look": PLAIN, "busy": f"{PLAIN}+think-6+preamble+calls-2+rounds-2"}
JOURNEY = f"{PLAIN}+think-6+preamble"
# One conversation at one provider after the other. Gemini CLI 0.61 says the results of tools twice when it resumes, which Google refuses.
JOURNEYS = {
    "claude": ("messages", "gemini", "responses", "chat", "messages"),
    "codex": ("messages", "gemini", "responses", "chat", "responses"),
    "gemini": ("gemini", "responses", "messages", "chat"),
}
# A tool of Codex that stands in a namespace, by the names that it has at providers.
INSIDE = {"responses": f"tool-close_agent+{PLAIN}", "flat": f"tool-multi_agent_v1__close_agent+{PLAIN}"}
SEARCH = f"tool-ToolSearch+{PLAIN}"
# Gemini CLI has the web searched by this model, whatever model it is told to use.
GOOGLE, GOOGLING = "gemini-3-flash-preview", f"tool-google_web_search+{PLAIN}"
PICTURE = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


class Kind(NamedTuple):
    """One run among all. A broken one is cut when the model has seen its tool's result and begins to speak."""

    cli: Cli
    upstream: str
    way: str

    @property
    def script(self) -> str:
        if self.way == "broken":
            return f"broken-{self.cli.writes.name}-{self.upstream}"
        return f"tool-{(self.cli.looks if self.way == 'look' else self.cli.writes).name}+{WAYS[self.way]}"


class House(NamedTuple):
    """`wrote` is what a run has left in its file."""

    gateway: Gateway
    simulator: Simulator
    ran: dict[Kind, Ran]
    wrote: dict[Kind, str]

    @property
    def gate(self) -> Gate:
        return Gate(self.gateway.url, self.gateway.key())

    def outcomes(self, kind: Kind) -> list[str]:
        """How the provider's answers ended."""
        wanted = (f"sim/{kind.script}", kind.upstream)
        return [each["outcome"] for each in self.simulator.bill()["attempts"] if (each["model"], each["surface"]) == wanted]


EVERY = [Kind(cli, upstream, way) for cli in CLIS for upstream in UPSTREAMS for way in (*WAYS, "broken")]


def writing(cli: Cli, file: Path, text: str) -> str:
    return f"Write a file with {cli.writes.arguments.format(file=file, text=text)}"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """All runs but the journeys are done when the tests begin, a few at once."""
    environment()
    place = tmp_path_factory.mktemp("clis")
    journeys = {f"tool-{cli.writes.name}+{JOURNEY}" for cli in CLIS}
    with Simulator(place) as simulator:
        for kind in EVERY:
            if kind.way == "broken":
                simulator.script(f"sim/{kind.script}", {"cut_after": 3, "sequence": [{"tool": kind.cli.writes.name, "arguments": "said"}]})
        scripts = {SIDE, SEARCH, GOOGLING, *INSIDE.values(), *journeys, *(kind.script for kind in EVERY)}
        searcher = f'[[models]]\nid = "{GOOGLE}"\noffers = [{{provider = "responses", model = "sim/{SIDE}"}}]\nprice = {PRICE}\n'
        with Gateway(place, searcher + settings(simulator.url, sorted(scripts))) as gateway:
            gateway.cli("credit", "default", "1000")
            house = House(gateway, simulator, {}, {})
            gate = house.gate

            def go(number: int, kind: Kind) -> None:
                home = place / f"{number}-{kind.cli.name}"
                (home / "work").mkdir(parents=True)
                picture, notes = home / "work" / "picture.png", home / "work" / "notes.txt"
                picture.write_bytes(PICTURE)
                prompt = writing(kind.cli, notes, f"amber-{number}")
                if kind.way == "look":
                    prompt = f"Look at {kind.cli.looks.arguments.format(file=picture)}"
                house.ran[kind] = run(kind.cli, Job(gate, f"{kind.upstream}/{kind.script}", home, prompt))
                house.wrote[kind] = notes.read_text() if notes.exists() else ""

            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(go, range(len(EVERY)), EVERY))
            yield house


def kinds(*ways: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "kind", [pytest.param(kind, id="-".join((kind.cli.name, kind.upstream, kind.way))) for kind in EVERY if kind.way in ways]
    )


every_cli = pytest.mark.parametrize("cli", CLIS, ids=lambda cli: cli.name)


@kinds("plain", "busy")
def test_the_job_is_done_and_the_model_has_seen_that_it_is(house: House, kind: Kind) -> None:
    ran = house.ran[kind]
    assert (ran.code, ran.error, house.wrote[kind]) == (0, "", f"amber-{EVERY.index(kind)}")
    assert f"The tools answered: {kind.cli.writes.name} said" in ran.said
    assert house.outcomes(kind) == ["complete"] * (2 if kind.way == "plain" else 3)


@kinds("look")
def test_a_picture_that_a_tool_shows_reaches_the_model(house: House, kind: Kind) -> None:
    """Chat has no pictures in results, nor have older Gemini models: there it stands behind them."""
    ran = house.ran[kind]
    assert (ran.code, ran.error) == (0, "")
    assert f"{kind.cli.looks.name} said" in ran.said
    assert f"[image image/png {len(PICTURE)} bytes sha256:{hashlib.sha256(PICTURE).hexdigest()[:16]}]" in ran.said


@kinds("broken")
def test_a_stream_that_breaks_is_no_end_of_the_job(house: House, kind: Kind) -> None:
    ran = house.ran[kind]
    assert (house.wrote[kind], house.outcomes(kind)) == (f"amber-{EVERY.index(kind)}", ["complete", "cut"])
    assert ran.error and not ran.said


@every_cli
def test_one_conversation_goes_on_at_one_provider_after_the_other(house: House, tmp_path: Path, cli: Cli) -> None:
    """What one has sealed is no other's business, and comes back to it when its turn comes again."""
    for number, upstream in enumerate(JOURNEYS[cli.name]):
        file = tmp_path / "work" / f"{number}.txt"
        model = f"{upstream}/tool-{cli.writes.name}+{JOURNEY}"
        ran = run(cli, Job(house.gate, model, tmp_path, writing(cli, file, f"amber-{number}"), resumed=number > 0))
        assert (ran.code, ran.error, file.exists() and file.read_text()) == (0, "", f"amber-{number}"), (upstream, ran)
        assert f"The tools answered: {cli.writes.name} said" in ran.said


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_codex_finds_its_namespace_in_a_call(house: House, tmp_path: Path, upstream: str) -> None:
    """Where a dialect has no namespaces the model calls a flat name. Codex does not know a call that has lost its namespace."""
    (codex,) = [cli for cli in CLIS if cli.name == "codex"]
    prompt = 'Close an agent: {"target": "nobody"}'
    ran = run(codex, Job(house.gate, f"{upstream}/{INSIDE['responses' if upstream == 'responses' else 'flat']}", tmp_path, prompt))
    assert (ran.code, ran.error) == (0, "")
    assert "close_agent said" in ran.said and "invalid agent id nobody" in ran.said


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_claude_code_finds_a_tool_that_it_had_not_told_of(house: House, tmp_path: Path, upstream: str) -> None:
    """The reference to it in the result means something to Anthropic's models alone; others are told in words. A refusal would cost four
    more requests, until Claude Code gives up its search and tells of all tools."""
    (claude,) = [cli for cli in CLIS if cli.name == "claude"]
    before = len(house.simulator.bill()["attempts"])
    ran = run(claude, Job(house.gate, f"{upstream}/{SEARCH}", tmp_path, 'Find {"query": "select:WebFetch", "max_results": 1}'))
    assert (ran.code, ran.error) == (0, "")
    assert "ToolSearch said" in ran.said
    assert ("[tool WebFetch]" if upstream == "messages" else "The tool WebFetch has been found") in ran.said
    assert len(house.simulator.bill()["attempts"]) == before + 2


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_gemini_cli_searches_the_web_by_the_model_that_has_its_name(house: House, tmp_path: Path, upstream: str) -> None:
    """Google's search becomes that of the provider, here OpenAI's."""
    (gemini,) = [cli for cli in CLIS if cli.name == "gemini"]
    ran = run(gemini, Job(house.gate, f"{upstream}/{GOOGLING}", tmp_path, 'Find {"query": "harbour weather"}'))
    assert (ran.code, ran.error) == (0, "")
    assert "google_web_search said" in ran.said and "You said: harbour weather" in ran.said


@every_cli
def test_a_refusal_reaches_who_sits_before_the_cli(house: House, tmp_path: Path, cli: Cli) -> None:
    for name, gate, model, why in (
        ("key", house.gate._replace(key="sk-wrong"), f"{cli.dialect}/{SIDE}", "key"),
        ("model", house.gate, "nobody/nothing", "nobody/nothing"),
    ):
        (tmp_path / name).mkdir()
        ran = run(cli, Job(gate, model, tmp_path / name, "Say hello."))
        assert ran.code != 0 and why in ran.error and not ran.said, ran


def test_afterwards_the_books_agree(house: House) -> None:
    """What failed is free: Gemini CLI has tokens of a tool's picture counted without the call, which providers refuse, and then guesses."""
    found = audit(house.gateway, house.simulator)
    assert set(found.endings) == {"complete", "broke", "failed"}
