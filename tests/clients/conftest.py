"""Starts a simulator and a gateway, runs each SDK's case script once against them, and hands its facts to the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.gateway import Gateway
from tests.harness.simulator import Simulator

from .environments import CLIENTS, Client, Seen, Target, command_of, drive
from .plan import ALSO_DIRECTLY, MODELS, settings


def pytest_addoption(parser: pytest.Parser) -> None:
    told = "requests that schemathesis makes of each operation and kind, fitting or not (default: 18; with 170, about 20,000 in all)"
    parser.addoption("--openapi-cases", type=int, default=18, metavar="N", help=told)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Node has one client, and it is asynchronous: the cases of Python's second client are none of Node's."""
    items[:] = [item for item in items if not ("node-" in item.name and "_async" in item.name)]


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator(tmp_path_factory.mktemp("simulator")) as running:
        yield running


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory, simulator: Simulator) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("gateway"), settings(f"{simulator.url}/v1")) as running:
        yield running


@pytest.fixture(scope="session")
def target(gateway: Gateway) -> Target:
    """The gateway with a key for every name that the case scripts use."""

    def key(name: str, *flags: str) -> str:
        return gateway.cli_json("keys", "create", "--name", name, *flags)["key"]

    gateway.cli("accounts", "create", "spender")
    gateway.cli("credit", "spender", "2")
    # `default` is unlimited until credit is added to it; then it spends from leases like any customer.
    gateway.cli("credit", "default", "10")
    keys = {
        "main": key("main"),
        "restricted": key("restricted", "--models", MODELS["chat"]),
        "limited": key("limited", "--rpm", "1"),
        "one_at_a_time": key("one_at_a_time", "--concurrency", "1"),
        "penniless": key("penniless", "--account", "penniless"),
        "expired": key("expired", "--expires", "2026-01-01"),
        "revoked": key("revoked"),
        "admin": key("admin", "--account", "spender", "--scopes", "inference,usage-read,admin"),
    }
    gateway.cli("keys", "revoke", "revoked")
    keys["wrong"] = keys["main"][:-1] + ("a" if keys["main"][-1] != "a" else "b")
    return Target(f"{gateway.url}/v1", keys)


@pytest.fixture(scope="session", params=CLIENTS, ids=lambda client: client.directory)
def client(request: pytest.FixtureRequest) -> Client:
    command_of(request.param)  # Skips, or fails under CI=true, before any server is started.
    return request.param


@pytest.fixture(scope="session")
def seen(client: Client, target: Target, simulator: Simulator) -> Seen:
    # Put anew for each SDK: its first call fails, the next succeeds.
    simulator.script(MODELS["flaky"], {"sequence": [{"status": 503}]})
    return drive(client, target)


@pytest.fixture(scope="session")
def seen_directly(client: Client, simulator: Simulator) -> Seen:
    return drive(client, Target(f"{simulator.url}/v1", {"main": "sk-direct"}), ALSO_DIRECTLY)
