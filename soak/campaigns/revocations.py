"""A key is revoked while every relay serves it: four relays of a node, and on PostgreSQL those of another node on the same database too.

Each relay is asked on a connection that it has had open from before, which nothing of the revocation has gone through.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from soak.campaign import Campaign, Effort, Figures
from soak.nodes import knows, nodes
from tests.harness import books
from tests.harness.gateway import Gateway
from tests.harness.http import Client
from tests.harness.priced import chat, configuration
from tests.harness.process import until
from tests.harness.simulator import Simulator

RELAYS = 4
# Ten times what is promised: the figure says what it took.
LIMIT_S = 50.0
_MODEL = "sim/tokens-5"
_MOST_CONNECTIONS = 400


def run(place: Path, effort: Effort) -> Figures:
    """`rounds` keys, revoked at each node in turn."""
    dice = random.Random(effort.seed)
    workers = (RELAYS,) if effort.postgres is None else (RELAYS, RELAYS)
    own: list[float] = []
    others: list[float] = []
    with Simulator(place) as simulator, nodes(place, configuration(simulator.url, (_MODEL,)), workers, effort.postgres) as gateways:
        for turn in range(effort.rounds):
            name, where = f"key-{turn}", turn % len(gateways)
            key = str(dice.choice(gateways).cli_json("keys", "create", "--name", name)["key"])
            until(lambda key=key: all(knows(each, key) for each in gateways), lambda: "a new key is not known everywhere", LIMIT_S)
            with ExitStack() as stack:
                reached = [_one_of_each(stack, each, key) for each in gateways]
                began = time.monotonic()
                gateways[where].cli("keys", "revoke", name)
                told = time.monotonic()
                everybody = [(number, client) for number, clients in enumerate(reached) for client in clients]
                with ThreadPoolExecutor(len(everybody)) as threads:
                    seen = list(threads.map(lambda each, key=key, limit=began + LIMIT_S: _refused(each[1], key, limit), everybody))
                for (number, _), at in zip(everybody, seen, strict=True):
                    (own if number == where else others).append(max(at - told, 0.0))
                # Whoever has refused it once takes it no more.
                assert {_status(client, key) for clients in reached for client in clients} == {401}
    figures: dict[str, int | float] = {"keys": effort.rounds, "relays": sum(workers), "nodes": len(workers)}
    return figures | _told("own_node", own) | _told("other_node", others)


def _told(whose: str, taken: Sequence[float]) -> dict[str, int | float]:
    if not taken:
        return {}
    return {
        f"{whose}_refusals": len(taken),
        f"{whose}_median_ms": round(statistics.median(taken) * 1e3),
        f"{whose}_slowest_ms": round(max(taken) * 1e3),
    }


def _one_of_each(stack: ExitStack, node: Gateway, key: str) -> list[Client]:
    """An open connection to every relay of the node, each of which has served the key on it."""
    found: dict[str, Client] = {}
    account = {f"relay-{number}" for number in range(RELAYS)}
    for _ in range(_MOST_CONNECTIONS // 20):
        asked = {}
        for _ in range(20):
            client = stack.enter_context(node.client())
            reply = client.ask("POST", "/v1/chat/completions", chat(_MODEL), key=key)
            assert reply.status == 200, reply.body()
            asked[reply.fields["x-request-id"]] = client
            reply.body()
        served = {}

        def booked(asked: dict[str, Client] = asked, served: dict[str, str] = served) -> bool:
            with books.store(node.home) as connection:
                served |= {row.id: row.relay for row in books.requests(connection) if row.id in asked}
            return len(served) == len(asked)

        until(booked, lambda: "not everything is booked")
        found = {served[request].rpartition("-")[0].rpartition("-")[0]: client for request, client in asked.items()} | found
        if found.keys() == account:
            return list(found.values())
    raise AssertionError(f"of {sorted(account)} only {sorted(found)} have taken connections")


def _status(client: Client, key: str) -> int:
    reply = client.ask("GET", "/v1/models", key=key)
    reply.body()
    return reply.status


def _refused(client: Client, key: str, limit: float) -> float:
    """When the relay at the other end refused the key for the first time."""
    while (status := _status(client, key)) != 401:
        assert status == 200, status
        assert time.monotonic() < limit, "a relay still takes the key"
        time.sleep(0.005)
    return time.monotonic()


_ABOUT = "a revoked key at four relays, and at those of another node"
CAMPAIGN = Campaign("revocations", "G13", _ABOUT, Effort(rounds=2), Effort(rounds=40), run, on_postgres=True)
