"""The SDKs under test: where their environments are, how their case scripts are run, and the facts these printed.

The environments are made by `script/clients`, which names their directory in HALLEY_CLIENTS and runs the tests.
Nothing here knows what a fact must be.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from .plan import MODELS, SHAPES, TOO_LARGE, TRICKY

HERE = Path(__file__).parent
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


def environment_of(name: str) -> tuple[str, Path]:
    """What runs scripts in this environment, and its directory. A test whose environment is missing is skipped, or fails when CI=true."""
    root = Path(os.environ["HALLEY_CLIENTS"])
    directory = root / name
    runtime = str(directory / "bin" / "python") if name.startswith("python-") else node_binary(root)
    if runtime is None or not (directory / ".stamp").exists():
        complaint = f"the environment {name} is missing: run script/clients"
        if os.environ.get("CI") == "true":
            pytest.fail(complaint, pytrace=False)
        pytest.skip(complaint)
    return runtime, directory


def command_of(client: Client) -> list[str]:
    """How the case script of this SDK is started."""
    runtime, directory = environment_of(client.directory)
    if client.language == "python":
        return [runtime, str(HERE / "python" / "cases.py"), client.sdk]
    return [runtime, str(HERE / "node" / "cases.mjs"), client.sdk, str(directory)]


def drive(client: Client, target: Target, only: tuple[str, ...] = ()) -> Seen:
    """Runs the case script of one SDK against `target`; `only` names the cases, and none means all."""
    key, url = VARIABLES[client.sdk]
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment |= {key: target.keys["main"], url: target.base_url}
    plan = json.dumps({"models": MODELS, "shapes": SHAPES, "keys": target.keys, "too_large": TOO_LARGE, "tricky": TRICKY, "only": only})
    done = subprocess.run(command_of(client), input=plan, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    if done.returncode != 0:
        pytest.fail(f"{client.directory} ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}", pytrace=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return Seen(client, {line["case"]: line for line in lines})
