"""Whole gateways on a real PostgreSQL: processes and the server die under load, two nodes share one database, and the books hold."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from tests.harness.audit import audit
from tests.harness.crowd import Crowd
from tests.harness.gateway import Gateway
from tests.harness.mixed import MIXED, QUICK, SLOW, STUBBORN, over
from tests.harness.postgres import Server
from tests.harness.priced import chat, configuration, customer, encoded
from tests.harness.process import until
from tests.harness.settlement import worst as worst_case
from tests.harness.simulator import Simulator

STREAMS = 24
CAP = 1000


class Node(Gateway):
    """A gateway whose store is a database of the server."""

    def __init__(self, place: Path, toml: str, server: Server, database: str, *, workers: int = 1) -> None:
        place.mkdir(exist_ok=True)
        super().__init__(place, toml, workers=workers)
        server.hold(self, database)

    def ask(self, key: str, count: int = 1, model: str = QUICK) -> list[int]:
        """So many calls one after the other; their statuses."""
        found: list[int] = []
        with self.client() as client:
            for turn in range(count):
                reply = client.ask("POST", "/v1/chat/completions", encoded(model, stream=turn % 2 == 0), key=key)
                found.append(reply.status)
                reply.body()
        return found


@contextmanager
def pair(place: Path, toml: str, server: Server) -> Iterator[tuple[Node, Node]]:
    """Two nodes of one database, with the master key of the first."""
    database = server.create()
    with ExitStack() as stack:
        first = stack.enter_context(Node(place / "a", toml, server, database))
        (place / "b" / "home").mkdir(parents=True)
        shutil.copy(first.home / "master.key", place / "b" / "home")
        yield first, stack.enter_context(Node(place / "b", toml, server, database))


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator(tmp_path_factory.mktemp("upstream")) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory, simulator: Simulator, postgres: Server) -> Iterator[tuple[Node, Node]]:
    toml = configuration(simulator.url, MIXED, bills_to_end=(STUBBORN,))
    with pair(tmp_path_factory.mktemp("nodes"), toml, postgres) as both:
        yield both


def serves(node: Node, key: str) -> bool:
    try:
        return {"control", "relay-0"} <= node.children().keys() and node.ask(key) == [200]
    except (OSError, EOFError):
        return False


def test_relays_and_control_that_are_killed_lose_nothing(nodes: tuple[Node, Node], simulator: Simulator) -> None:
    node = nodes[0]
    key = customer(node, "survivor", "5000")
    assert node.ask(key, 4) == [200] * 4
    for victims in (("control",), ("relay-0",), ("control", "relay-0")):
        with Crowd(node.url) as crowd:
            for _ in range(STREAMS):
                crowd.ask(key, encoded(SLOW, stream=True))
            crowd.until(lambda member: member.flowing)
            for victim in victims:
                os.kill(node.children()[victim], signal.SIGKILL)
            crowd.until(over)
            if victims == ("control",):
                assert all(member.whole and member.status == 200 for member in crowd)
        until(lambda: serves(node, key), lambda: f"the node did not come back:\n{node.logs()[-4000:]}")
    found = audit(node, simulator)
    assert (found.endings["complete"] >= STREAMS, found.endings["crash"]) == (True, 2 * STREAMS)


def test_a_server_that_dies_under_load_is_not_noticed_by_clients_and_loses_nothing(
    nodes: tuple[Node, Node], simulator: Simulator, postgres: Server
) -> None:
    key = customer(nodes[0], "patient", "5000")
    until(lambda: nodes[1].ask(key) == [200], lambda: "the other node does not know the key")
    for node in nodes:
        assert node.ask(key, 3) == [200] * 3  # each has credit of the account now
    before = len(audit(nodes[0], simulator).requests)
    with Crowd(nodes[0].url) as here, Crowd(nodes[1].url) as there:
        for crowd in (here, there):
            for _ in range(STREAMS):
                crowd.ask(key, encoded(SLOW, stream=True))
            crowd.until(lambda member: member.flowing)
        postgres.stop()
        for node in nodes:
            assert node.ask(key, 5) == [200] * 5
            until(lambda node=node: "the database is away" in node.logs(), lambda: "nobody noticed")
        postgres.start()
        for crowd in (here, there):
            crowd.until(over)
            assert all(member.whole and member.status == 200 for member in crowd)
    for node in nodes:
        until(lambda node=node: "the database is back" in node.logs(), lambda node=node: node.logs()[-4000:])
        assert "Traceback" not in node.logs()
    found = audit(nodes[0], simulator)
    assert len(found.requests) == before + 2 * (STREAMS + 5)
    assert nodes[0].cli_json("ledger", "verify")["clean"] is True


def test_credit_for_exactly_ten_calls_admits_ten_at_two_nodes(nodes: tuple[Node, Node], simulator: Simulator) -> None:
    body = encoded(SLOW, stream=True, max_tokens=CAP)
    worst = worst_case(body, CAP)
    key = customer(nodes[0], "thrifty", str(Decimal(10 * worst).scaleb(-9)))
    until(lambda: _known(nodes[1], key), lambda: "the other node does not know the key")
    with Crowd(nodes[0].url) as here, Crowd(nodes[1].url) as there:
        for _ in range(40):
            for crowd in (here, there):
                crowd.ask(key, body)
        for crowd in (here, there):
            crowd.until(lambda member: member.whole)
        statuses = [[member.status for member in crowd] for crowd in (here, there)]
    accepted = [each.count(200) for each in statuses]
    assert sum(accepted) == 10, statuses
    assert {status for each in statuses for status in each} <= {200, 402, 503}
    found = audit(nodes[0], simulator)
    mine = [request for request in found.requests if request.account == "thrifty"]
    assert len(mine) == 10
    # What the calls did not spend is free again: also what lies idle at the relay of the other node.
    for node in nodes:
        with node.client() as client:
            reply = client.ask("POST", "/v1/chat/completions", encoded(SLOW, max_tokens=2 * CAP), key=key)
            assert (reply.status, reply.body() != b"") == (200, True), node.logs()[-2000:]
    audit(nodes[0], simulator)


def _known(node: Node, key: str) -> bool:
    with node.client() as client:
        reply = client.ask("GET", "/v1/models", key=key)
        reply.body()
        return reply.status == 200


def test_what_one_node_changes_the_other_hears(nodes: tuple[Node, Node]) -> None:
    key = customer(nodes[0], "told", "1")
    until(lambda: _known(nodes[1], key), lambda: "the other node does not know the key", 5.0)
    nodes[1].cli("keys", "revoke", "told")
    until(lambda: not _known(nodes[0], key), lambda: "the key is still good at the other node", 5.0)
    assert not _known(nodes[1], key)


def test_a_budget_is_never_passed_by_two_nodes_and_its_alerts_are_raised_once(nodes: tuple[Node, Node], simulator: Simulator) -> None:
    body = encoded(SLOW, stream=True, max_tokens=CAP)
    worst = worst_case(body, CAP)
    nodes[0].cli("accounts", "create", "bounded")
    nodes[0].cli("credit", "bounded", "500")
    nodes[0].cli("budgets", "set", "account", str(Decimal(6 * worst).scaleb(-9)), "--account", "bounded")
    # Who knows the key knows the budget, which was there before.
    key = str(nodes[0].cli_json("keys", "create", "--name", "bounded", "--account", "bounded")["key"])
    until(lambda: _known(nodes[1], key), lambda: "the other node does not know the key")
    accepted = 0
    with Crowd(nodes[0].url) as here, Crowd(nodes[1].url) as there:
        for crowd in (here, there):
            for _ in range(20):
                crowd.ask(key, body)
        for crowd in (here, there):
            crowd.until(lambda member: member.whole)
            accepted += sum(member.status == 200 for member in crowd)
    assert accepted == 6
    spent = sum(request.charge for request in audit(nodes[0], simulator).requests if request.account == "bounded")
    # From now on any call is past the half of it, and far from the next share.
    nodes[1].cli("budgets", "set", "account", str(Decimal(2 * spent).scaleb(-9)), "--account", "bounded")
    for node in nodes:
        assert node.ask(key, 1) == [200]
    audit(nodes[0], simulator)
    until(lambda: told(nodes), lambda: "no alert was told")
    assert len(told(nodes)) == 1


def test_an_answer_of_one_node_is_gone_on_from_and_given_again_at_the_other(nodes: tuple[Node, Node], simulator: Simulator) -> None:
    key = customer(nodes[0], "wanderer", "5")
    until(lambda: _known(nodes[1], key), lambda: "the other node does not know the key")
    with nodes[0].client() as here, nodes[1].client() as there:
        first = here.ask("POST", "/v1/responses", {"model": QUICK, "input": "Begin."}, key=key)
        answer = json.loads(first.body())
        more = {"model": QUICK, "input": "Go on.", "previous_response_id": answer["id"]}
        second = there.ask("POST", "/v1/responses", more, key=key)
        assert second.status == 200, second.body()
        assert json.loads(second.body())["previous_response_id"] == answer["id"]
        whose = {"idempotency-key": "once"}
        paid = here.ask("POST", "/v1/chat/completions", chat(QUICK), key=key, fields=whose)
        body = paid.body()
        again = there.ask("POST", "/v1/chat/completions", chat(QUICK), key=key, fields=whose)
        assert (paid.status, again.status, again.body()) == (200, 200, body)
        assert again.fields["idempotent-replayed"] == "true"
    found = audit(nodes[0], simulator)
    assert sum(request.account == "wanderer" for request in found.requests) == 3


def told(nodes: tuple[Node, Node]) -> list[str]:
    """Alerts of the budget in the logs of both nodes."""
    return [line for node in nodes for line in node.logs().splitlines() if "budget.threshold" in line and "bounded" in line]


def test_a_node_that_is_killed_does_not_hold_up_the_other(nodes: tuple[Node, Node], simulator: Simulator) -> None:
    first, second = nodes
    key = customer(first, "left", "5000")
    until(lambda: serves(second, key), lambda: "the other node does not serve")
    with Crowd(second.url) as crowd:
        for _ in range(STREAMS):
            crowd.ask(key, encoded(SLOW, stream=True))
        crowd.until(lambda member: member.flowing)
        second.stop(signal.SIGKILL)
        crowd.until(over)
    assert first.ask(key, 20) == [200] * 20
    second.start()
    assert second.ask(key, 2) == [200] * 2
    found = audit(first, simulator)
    assert sum(request.ending == "crash" for request in found.requests if request.account == "left") == STREAMS
