"""Starts a simulator and a gateway, runs each SDK's case script once against them, and hands its facts to the tests.

The SDK environments are made by `script/clients`, which names their directory in HALLEY_CLIENTS. An SDK whose environment is missing is
skipped, or fails when CI=true.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.harness.gateway import Gateway
from tests.harness.simulator import Simulator

HERE = Path(__file__).parent
TOO_LARGE = 2_000_000
RUN_SECONDS = 120


class Client(NamedTuple):
    """One SDK in one environment. `directory` is its name under HALLEY_CLIENTS."""

    directory: str
    language: str
    sdk: str
    major: str


CLIENTS = (
    Client("python-current", "python", "openai", "3"),
    Client("python-previous", "python", "openai", "2"),
    Client("python-cometapi", "python", "cometapi", "0"),
    Client("node-current", "node", "openai", "7"),
    Client("node-previous", "node", "openai", "6"),
    Client("node-cometapi", "node", "cometapi", "0"),
)
# What configures each SDK: the variables of its key and of its base URL.
VARIABLES = {"openai": ("OPENAI_API_KEY", "OPENAI_BASE_URL"), "cometapi": ("COMETAPI_KEY", "COMETAPI_BASE_URL")}

# What a case calls a model, and the scripted model of the simulator that serves it.
MODELS = {
    "chat": "sim/echo",
    "long": "sim/tokens-200",
    "slow": "sim/tokens-200+slow-20ms",
    "stalled": "sim/stall-after-0",
    "flaky": "sim/flaky",
    "unknown": "sim/no-such-model",
    "upstream_400": "sim/status-400",
    "upstream_429": "sim/status-429",
    "upstream_500": "sim/status-500",
    "upstream_502": "sim/status-502",
    "upstream_503": "sim/status-503",
    "upstream_500_stream": "sim/tokens-3+status-500",
    "upstream_html": "sim/html-502",
    "upstream_bad_json": "sim/bad-json",
    "upstream_cut": "sim/cut-at-600",
    "upstream_error_frame": "sim/error-frame-after-3",
}
# Models that misbehave have a provider row each, so that what is learnt about one never reaches another.
SOUND = ("chat", "long", "slow")


class Target(NamedTuple):
    """A server to drive: its base URL ends in /v1, and `keys` holds a key for every name that the case scripts use."""

    base_url: str
    keys: dict[str, str]


class Seen:
    """The facts that one SDK printed, by case."""

    def __init__(self, client: Client, lines: dict[str, dict[str, Any]]) -> None:
        self.client = client
        self.lines = lines

    def __call__(self, case: str) -> dict[str, Any]:
        if case.endswith("_async") and self.client.language == "node":
            pytest.skip("Node has one client, and it is asynchronous")
        line = self.lines.get(case)
        if line is None:
            pytest.fail(f"{self.client.directory} printed no line for {case}", pytrace=False)
        if "failed" in line:
            pytest.fail(f"{self.client.directory}, case {case}: {line['failed']}", pytrace=False)
        return line["seen"]


def node_binary(environments: Path) -> str | None:
    """A Node that the SDKs support: the system's own, else the one that `script/clients` fetched."""
    own = shutil.which("node")
    if own and int(subprocess.check_output([own, "-p", "process.versions.node"], text=True).split(".")[0]) >= 22:
        return own
    fetched = environments / "node-runtime" / "node_modules" / ".bin" / "node"
    return str(fetched) if fetched.exists() else None


def command_of(client: Client) -> list[str] | None:
    """How the case script of this SDK is started, or None when its environment is missing."""
    root = Path(os.environ.get("HALLEY_CLIENTS", ""))
    directory = root / client.directory
    if not os.environ.get("HALLEY_CLIENTS") or not (directory / ".stamp").exists():
        return None
    if client.language == "python":
        return [str(directory / "bin" / "python"), str(HERE / "python" / "cases.py"), client.sdk]
    node = node_binary(root)
    return None if node is None else [node, str(HERE / "node" / "cases.mjs"), client.sdk, str(directory)]


def drive(client: Client, target: Target, only: list[str] | None = None) -> Seen:
    command = command_of(client)
    if command is None:
        complaint = f"the environment {client.directory} is missing: run script/clients"
        if os.environ.get("CI") == "true":
            pytest.fail(complaint, pytrace=False)
        pytest.skip(complaint)
    key, url = VARIABLES[client.sdk]
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment |= {key: target.keys["main"], url: target.base_url}
    plan = json.dumps({"models": MODELS, "keys": target.keys, "too_large": TOO_LARGE, "only": only})
    done = subprocess.run(command, input=plan, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    if done.returncode != 0:
        pytest.fail(f"{client.directory} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}", pytrace=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return Seen(client, {line["case"]: line for line in lines})


def settings(upstream: str) -> str:
    """The gateway's halley.toml: the simulator as provider `sim`, and once more for each model that misbehaves."""
    lines = ["[limits]", f"json_bytes = {TOO_LARGE // 2}"]
    providers = {"sim": upstream}
    for name, model in MODELS.items():
        if name == "unknown":
            continue
        provider = "sim" if name in SOUND else name.replace("_", "-")
        providers[provider] = upstream
        lines += ["[[models]]", f'id = "{model}"', f'offers = [{{provider = "{provider}"}}]', "max_output = 4096",
                  'price = {input = "1", output = "2"}']  # fmt: skip
    for provider, url in providers.items():
        lines += ["[[providers]]", f'name = "{provider}"', 'kind = "openai-compatible"', f'base_url = "{url}"', 'api_key = "upstream-key"']
    lines += ["[[accounts]]", 'name = "penniless"']
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
        running.script(MODELS["flaky"], {"sequence": [{"status": 503}, {}]})
        yield running


@pytest.fixture(scope="session")
def gateway(simulator: Simulator) -> Iterator[Target]:
    with Gateway(settings(f"{simulator.url}/v1")) as running:
        running.cli("credit", "default", "10")

        def key(name: str, *flags: str) -> str:
            return json.loads(running.cli("keys", "create", "--name", name, *flags, "--json"))["key"]

        keys = {
            "main": key("main"),
            "restricted": key("restricted", "--models", MODELS["chat"]),
            "limited": key("limited", "--rpm", "1"),
            "penniless": key("penniless", "--account", "penniless"),
        }
        keys["wrong"] = keys["main"][:-1] + ("a" if keys["main"][-1] != "a" else "b")
        yield Target(f"{running.url}/v1", keys)


@pytest.fixture(scope="session", params=CLIENTS, ids=lambda client: client.directory)
def client(request: pytest.FixtureRequest) -> Client:
    return request.param


@pytest.fixture(scope="session")
def seen(client: Client, gateway: Target) -> Seen:
    return drive(client, gateway)


@pytest.fixture(scope="session")
def seen_directly(client: Client, simulator: Simulator) -> Seen:
    return drive(client, Target(f"{simulator.url}/v1", {"main": "sk-direct"}), only=None)
