"""Nodes of one database: each ends its own relays and those of a node that is lost, and hears what the others say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec import structs

from halley.policy.budgets import Pot
from halley.store import alerts, fold, ledger, nodes
from halley.store.database import Store
from halley.store.journal import End, Start
from halley.store.replay import Position, Read
from halley.store.verify import verify

HERE, THERE = "node-a", "node-b"
LATER = nodes.LOST_S + 100.0


def test_a_home_keeps_its_id(tmp_path: Path) -> None:
    first = nodes.own_id(tmp_path)
    assert len(first) == 16 and nodes.own_id(tmp_path) == first


def test_relays_of_another_node_are_left_alone_until_it_is_lost(store: Store, pair: Callable[..., tuple[Start, End]]) -> None:
    start, end = pair()
    with store.begin() as connection:
        for node in (HERE, THERE):
            nodes.beat(connection, node, 10.0)
            nodes.introduce(connection, f"relay-of-{node}", node)
            ledger.grant(connection, "acme", f"relay-of-{node}", 10**6, 10.0)
        fold.fold(connection, f"relay-of-{THERE}", Read((start,), (), Position(1, 0, 1)), 10.0)
        # The first relay of the fixture was never introduced: somebody has to end it.
        mine = {"relay-0-1-1", f"relay-of-{HERE}"}
        assert nodes.borrowers(connection, HERE, 20.0) == mine
        assert nodes.overdue(connection, HERE, 15.0, 20.0) == set()
        assert nodes.overdue(connection, THERE, 15.0, 20.0) == {f"relay-of-{THERE}"}
        nodes.beat(connection, HERE, LATER)
        assert nodes.borrowers(connection, HERE, LATER) == {*mine, f"relay-of-{THERE}"}
        assert nodes.overdue(connection, HERE, 15.0, LATER) == {f"relay-of-{THERE}"}
        assert fold.end_of_relay(connection, f"relay-of-{THERE}", LATER) == 1
        assert nodes.borrowers(connection, HERE, LATER) == mine
        assert verify(connection).differences == ()
        # It comes back, and so does its relay with the end of that request: nothing is charged twice, and nothing is called lost.
        nodes.beat(connection, THERE, LATER + 1)
        nodes.introduce(connection, f"relay-of-{THERE}", THERE)
        late = structs.replace(pair()[0], request="req_of_late")
        assert fold.fold(connection, f"relay-of-{THERE}", Read((end, late), (), Position(2, 0, 2)), LATER + 2) == 0
        assert nodes.borrowers(connection, HERE, LATER + 3) == mine
        assert verify(connection).differences == ()


def test_on_a_database_of_its_own_every_relay_is_the_nodes(store: Store) -> None:
    with store.begin() as connection:
        nodes.introduce(connection, "relay-of-a", HERE)
        assert nodes.borrowers(connection, nodes.ALONE, 1.0) == {"relay-0-1-1", "relay-of-a"}


def test_a_node_hears_of_the_changes_and_wants_of_others_and_not_of_its_own(store: Store) -> None:
    pot = Pot("budget_1", 7, "ada")
    with store.begin() as connection:
        for node in (HERE, THERE):
            nodes.beat(connection, node, 10.0)
        nodes.announce(connection, THERE)
        nodes.announce(connection, THERE)
        nodes.want(connection, THERE, ("acme", pot))
        assert nodes.beat(connection, HERE, 11.0) == nodes.News(2, ("acme", pot))
        assert nodes.beat(connection, THERE, 11.0) == nodes.News(0, ())
        nodes.want(connection, THERE, ())
        assert nodes.beat(connection, HERE, 12.0) == nodes.News(2, ())
        nodes.want(connection, THERE, ("acme",))
        # Whoever is lost wants nothing.
        assert nodes.beat(connection, HERE, 10.0 + LATER).wanted == ()


def test_an_alert_is_sent_by_one_node_at_a_time(store: Store) -> None:
    with store.begin() as connection:
        for number in range(2):
            alerts.raise_alert(connection, alerts.SWEPT, {"number": number}, 1.0 + number)
        (first,) = alerts.take_due(connection, 5.0, 65.0)
        (second,) = alerts.take_due(connection, 5.0, 65.0)
        assert (b'"number":0' in first.body, b'"number":1' in second.body) == (True, True)
        assert alerts.take_due(connection, 64.0, 124.0) == []
        alerts.put_off(connection, first.id, None)
        # Who took the second has died.
        assert [each.id for each in alerts.take_due(connection, 65.0, 125.0)] == [second.id]
        assert alerts.was_raised(connection, alerts.SWEPT, 2.0) and not alerts.was_raised(connection, alerts.SWEPT, 2.5)
