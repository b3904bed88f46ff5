"""Starts a simulator and a gateway, runs each SDK's case script once against them, and hands its facts to the tests."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tests.harness.gateway import Gateway
from tests.harness.simulator import Simulator

from .environments import CLIENTS, Client, Seen, Target, command_of, drive
from .plan import ALSO_DIRECTLY, MODELS, settings


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with Simulator() as running:
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
    command_of(request.param)  # Skips, or fails under CI=true, before any server is started.
    return request.param


@pytest.fixture(scope="session")
def seen(client: Client, gateway: Target, simulator: Simulator) -> Seen:
    # Put anew for each SDK: its first call fails, the next succeeds.
    simulator.script(MODELS["flaky"], {"sequence": [{"status": 503}]})
    return drive(client, gateway)


@pytest.fixture(scope="session")
def seen_directly(client: Client, simulator: Simulator) -> Seen:
    return drive(client, Target(f"{simulator.url}/v1", {"main": "sk-direct"}), ALSO_DIRECTLY)
