"""Budgets of every level are never passed, however many ask at once of several relays, and start anew at their second."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.harness.audit import audit
from tests.harness.crowd import Crowd, Member
from tests.harness.gateway import Gateway
from tests.harness.priced import chat, configuration, customer, encoded
from tests.harness.process import until
from tests.harness.settlement import worst
from tests.harness.simulator import Simulator

MODEL = "sim/tokens-60+slow-50ms"
QUICK = "sim/tokens-5"
CAP = 1000
COVERED = 10
ASKING = 500
CHAT = "/v1/chat/completions"
LEVELS = ("account", "team", "key", "user")


def usd(nano: int) -> str:
    return str(Decimal(nano).scaleb(-9))


def house(place: Path, simulator: Simulator, workers: int = 2) -> Gateway:
    return Gateway(place, configuration(simulator.url, (MODEL, QUICK)), workers=workers)


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Simulator]]:
    """For tests that end nothing of it: each has an account of its own."""
    place = tmp_path_factory.mktemp("standing")
    with Simulator(place) as simulator, house(place, simulator) as gateway:
        yield gateway, simulator


def endow(gateway: Gateway, account: str = "acme") -> str:
    """An account with a team and a key in it; the key."""
    customer(gateway, account, "1000")
    gateway.cli("teams", "create", "crew", "--account", account)
    return str(gateway.cli_json("keys", "create", "--name", f"member-{account}", "--account", account, "--team", "crew")["key"])


def limit(gateway: Gateway, level: str, nano: int, *more: str, account: str = "acme") -> dict[str, Any]:
    whose = {"team": ("--of", "crew"), "key": ("--of", f"member-{account}")}.get(level, ())
    (made,) = gateway.cli_json("budgets", "set", level, usd(nano), "--account", account, *whose, *more)["budgets"]
    return made


def shown(gateway: Gateway) -> dict[str, dict[str, Any]]:
    return {each["level"]: each for each in gateway.cli_json("budgets", "list")["budgets"]}


@pytest.mark.parametrize("level", LEVELS)
def test_a_budget_of_ten_worst_cases_admits_ten_of_five_hundred(standing: tuple[Gateway, Simulator], level: str) -> None:
    gateway, simulator = standing
    body = encoded(MODEL, stream=True, max_tokens=CAP, user="ada")
    account = f"ten-of-{level}"
    before = audit(gateway, simulator)
    key = endow(gateway, account)
    made = limit(gateway, level, COVERED * worst(body, CAP), "--reset", "month", account=account)
    running: list[int] = []
    with Crowd(gateway.url) as crowd:
        statuses = crowd.rush(key, body, ASKING, lambda: running.append(simulator.state()["open_streams"]))
        refused = next(member for member in crowd if member.status == 402)
    assert running == [COVERED] and statuses == [200] * COVERED + [402] * (ASKING - COVERED)
    error = json.loads(bytes(refused.received).partition(b"\r\n\r\n")[2])["error"]
    assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
    whose = {"account": f'account "{account}"', "team": 'team "crew"', "user": 'end user "ada"'}.get(level, "key")
    assert f"the budget of {whose}" in error["message"] and f"{Decimal(usd(made['amount'])).normalize()} USD a month" in error["message"]
    assert time.strftime("until %Y-%m-01T00:00:00Z", time.gmtime(made["until"])) in error["message"]
    found = audit(gateway, simulator).since(before)
    assert found.endings == {"complete": COVERED}
    assert spent(gateway, account) == {level: found.charges}


def test_all_levels_hold_at_once_and_what_one_refuses_is_held_on_none(tmp_path: Path) -> None:
    """Members of two teams, each with budgets of their own, over two relays: every level is used up to what it covers, and no further."""
    body = encoded(MODEL, stream=True, max_tokens=CAP, user="ada")
    other = encoded(MODEL, stream=True, max_tokens=CAP, user="bob")
    one = worst(body, CAP)
    with Simulator(tmp_path) as simulator, house(tmp_path, simulator) as gateway:
        key = endow(gateway)
        second = str(gateway.cli_json("keys", "create", "--name", "second", "--account", "acme", "--team", "crew")["key"])
        third = str(gateway.cli_json("keys", "create", "--name", "third", "--account", "acme")["key"])
        for level, covered in (("account", 12), ("team", 8), ("key", 5), ("user", 6)):
            limit(gateway, level, covered * one, "--reset", "day")
        with Crowd(gateway.url) as crowd:
            for _ in range(60):  # the key lets 5 pass
                crowd.ask(key, body)
            crowd.until(lambda member: member.status != 0)
            assert simulator.state()["open_streams"] == 5
            for _ in range(60):  # of ada 1 is left, of the team 3
                crowd.ask(second, body)
                crowd.ask(second, other)
            crowd.until(lambda member: member.status != 0)
            assert simulator.state()["open_streams"] == 8
            for _ in range(60):  # of the account 4 are left
                crowd.ask(third, other)
            crowd.until(lambda member: member.status != 0)
            assert simulator.state()["open_streams"] == 12
            crowd.until(lambda member: member.whole)
            assert sorted(member.status for member in crowd) == [200] * 12 + [402] * (len(crowd.members) - 12)
        found = audit(gateway, simulator)
        assert found.endings == {"complete": 12}
        state = shown(gateway)
        assert state["account"]["spent"] == found.charges
        assert spent(gateway)["user"] == found.charges
        # What was set aside and not spent is free again on every level: the key has room for as many as its charges leave.
        with gateway.client() as client:
            assert client.ask("POST", CHAT, json.loads(body) | {"stream": False}, key=key).status == 200


def test_a_budget_starts_anew_at_its_second_and_open_requests_stay_in_their_period(tmp_path: Path) -> None:
    with Simulator(tmp_path) as simulator, house(tmp_path, simulator) as gateway:
        key = endow(gateway)
        question = chat("sim/tokens-60+slow-50ms", max_tokens=CAP, stream=True)
        body = json.dumps(question).encode()
        turn = int(time.time()) + 8
        anchor = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(turn))
        made = limit(gateway, "key", worst(body, CAP), "--reset", "1h", "--anchor", anchor)
        assert (made["since"], made["until"]) == (turn - 3600, turn)
        with Crowd(gateway.url) as crowd:
            crowd.until(lambda member: True)
            while time.time() < turn - 2.5:
                time.sleep(0.01)
            # Three seconds of answer: it begins in one period and ends in the next.
            first = crowd.ask(key, body)
            crowd.until(lambda member: member.status != 0)
            late: list[Member] = []
            while not late or late[-1].status == 402:
                late.append(crowd.ask(key, body))
                crowd.until(lambda member: member.status != 0)
                assert len(late) < 2000
            assert time.time() >= turn
            assert len(late) > 3
            crowd.until(lambda member: member.whole)
            assert not any(each.status == 200 for each in late[:-1]) and first.status == 200
        audit(gateway, simulator)
        with closing(sqlite3.connect(gateway.home / "halley.db")) as store:
            pots = store.execute("SELECT start, spent FROM pots ORDER BY start").fetchall()
            charges = dict(store.execute("SELECT id, charge FROM requests").fetchall())
            began = dict(store.execute("SELECT id, at FROM requests").fetchall())
        assert pots == [(turn - 3600, charges[first.id]), (turn, charges[late[-1].id])]
        assert turn <= began[late[-1].id] < turn + 1.5 and charges[first.id] > 0


def test_budgets_survive_the_death_of_relays_and_of_control(tmp_path: Path) -> None:
    body = encoded(MODEL, stream=True, max_tokens=CAP, user="ada")
    with Simulator(tmp_path) as simulator, house(tmp_path, simulator) as gateway:
        key = endow(gateway)
        for level in LEVELS:
            limit(gateway, level, COVERED * worst(body, CAP), "--reset", "month")
        for victims in (("relay-0",), ("control",), ("relay-1", "control"), ("relay-0", "relay-1")):
            with Crowd(gateway.url) as crowd:
                for _ in range(8):
                    crowd.ask(key, body)
                crowd.until(lambda member: member.flowing or member.status == 402)
                for victim in victims:
                    gateway.kill(victim)
                gateway.wait_ready()
                crowd.until(lambda member: member.whole or member.ended)
            found = audit(gateway, simulator, unread=(MODEL,))
            state = shown(gateway)
            for level in ("account", "team", "key"):
                assert state[level]["spent"] == found.charges, level
            assert spent(gateway) == dict.fromkeys(LEVELS, found.charges)
        # Nothing is set aside any more, and the rest of the budget is there for who asks for it.
        rest = COVERED * worst(body, CAP) - found.charges
        with Crowd(gateway.url) as crowd:
            for _ in range(40):
                crowd.ask(key, body)
            crowd.until(lambda member: member.status != 0)
            assert simulator.state()["open_streams"] == rest // worst(body, CAP)
            crowd.until(lambda member: member.whole)
        audit(gateway, simulator, unread=(MODEL,))


def test_a_difference_of_one_nano_dollar_in_a_pot_or_its_requests_is_found(tmp_path: Path) -> None:
    with Simulator(tmp_path) as simulator, house(tmp_path, simulator, workers=1) as gateway:
        key = endow(gateway)
        for level in LEVELS:
            limit(gateway, level, 10**9)
        with gateway.client() as client:
            for who in ("ada", "bob"):
                reply = client.ask("POST", CHAT, chat(QUICK, user=who), key=key)
                assert (reply.status, reply.body()[:1]) == (200, b"{")
        audit(gateway, simulator)
        plants = (
            (
                "UPDATE pots SET spent = spent + 1 WHERE user = 'bob'",
                "UPDATE pots SET spent = spent - 1 WHERE user = 'bob'",
                'end user "bob"',
            ),
            ("UPDATE pots SET lent = lent - 1 WHERE user = 'ada'", "UPDATE pots SET lent = lent + 1 WHERE user = 'ada'", 'end user "ada"'),
            (
                "UPDATE pot_leases SET charged = charged + 1 WHERE user = 'ada'",
                "UPDATE pot_leases SET charged = charged - 1 WHERE user = 'ada'",
                'end user "ada"',
            ),
        )
        for plant, pull, where in plants:
            change(gateway, plant)
            verified = gateway.cli("ledger", "verify", "--json", check=False)
            (difference,) = json.loads(verified.stdout)["differences"]
            assert verified.returncode == 1 and difference["check"] == "pots_are_their_requests" and where in difference["subject"]
            with pytest.raises(AssertionError):
                audit(gateway, simulator)
            change(gateway, pull)
        audit(gateway, simulator)


def test_an_end_user_is_named_in_each_dialect_and_by_a_field_of_our_own(standing: tuple[Gateway, Simulator]) -> None:
    gateway, simulator = standing
    key = endow(gateway, "named")
    limit(gateway, "user", 10**9, "--reset", "week", account="named")
    limit(gateway, "user", 0, "--reset", "week", "--of", "mallory", account="named")
    says = {"role": "user", "content": "hello"}
    messages = {"model": QUICK, "max_tokens": 100, "messages": [says]}
    responses = {"model": QUICK, "input": "hello", "max_output_tokens": 100}
    contents = {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}
    asked: list[tuple[str, dict[str, Any], dict[str, str], str]] = [
        (CHAT, chat(QUICK, user="u1"), {}, "u1"),
        (CHAT, chat(QUICK, user="u1", safety_identifier="u2"), {}, "u2"),
        (CHAT, chat(QUICK, user="u1"), {"x-halley-end-user": "u3"}, "u3"),
        ("/v1/responses", responses | {"safety_identifier": "u4"}, {}, "u4"),
        ("/v1/messages", messages | {"metadata": {"user_id": "u5"}}, {}, "u5"),
        ("/v1/messages", messages, {}, ""),
        (f"/v1beta/models/{QUICK}:generateContent", contents, {"x-halley-end-user": "u6"}, "u6"),
    ]
    with gateway.client() as client:
        for path, body, fields, _ in asked:
            reply = client.ask("POST", path, body, key=key, fields=fields)
            assert (reply.status, reply.body()[:1]) == (200, b"{")
        refused = client.ask("POST", "/v1/messages", messages | {"metadata": {"user_id": "mallory"}}, key=key)
        error = json.loads(refused.body())["error"]
        assert (refused.status, error["type"]) == (402, "billing_error") and 'end user "mallory" (0.00 USD a week)' in error["message"]
        for field in ("u" * 257, "a\tb"):
            bad = client.ask("POST", CHAT, chat(QUICK, user=field), key=key)
            assert (bad.status, json.loads(bad.body())["error"]["param"]) == (400, "user")
    audit(gateway, simulator)
    with closing(sqlite3.connect(gateway.home / "halley.db")) as store:
        query = "SELECT user FROM pots JOIN budgets ON budgets.id = pots.budget WHERE account = 'named' AND spent > 0"
        assert {name for (name,) in store.execute(query)} == {who for *_, who in asked}


def test_a_budget_that_is_raised_lowered_or_lifted_holds_from_then_on(standing: tuple[Gateway, Simulator]) -> None:
    gateway, simulator = standing
    question = chat(QUICK, max_tokens=CAP)
    body = json.dumps(question).encode()
    key = endow(gateway, "raised")
    limit(gateway, "team", 0, account="raised")
    with gateway.client() as client:

        def status() -> int:
            reply = client.ask("POST", CHAT, question, key=key)
            reply.body()
            return reply.status

        assert status() == 402
        made = limit(gateway, "team", worst(body, CAP), account="raised")
        assert status() == 200
        assert status() == 402  # what the first has spent is missing for the next worst case
        limit(gateway, "team", 10 * worst(body, CAP), account="raised")
        assert [status() for _ in range(5)] == [200] * 5
        limit(gateway, "team", 1, account="raised")
        until(lambda: status() == 402, lambda: "a lowered budget is not in force")
        gateway.cli("budgets", "remove", made["id"])
        assert status() == 200
        assert gateway.cli("teams", "remove", "crew", "--account", "raised", check=False).returncode == 1
        gateway.cli("keys", "revoke", "member-raised")
        gateway.cli("teams", "remove", "crew", "--account", "raised")
    audit(gateway, simulator)


def change(gateway: Gateway, statement: str) -> None:
    with closing(sqlite3.connect(gateway.home / "halley.db", timeout=20)) as store, store:
        store.execute(statement)


def spent(gateway: Gateway, account: str = "acme") -> dict[str, int]:
    """By level, what the store has as spent, whosever pots of the account it is."""
    with closing(sqlite3.connect(gateway.home / "halley.db")) as store:
        query = "SELECT level, SUM(spent) FROM pots JOIN budgets ON budgets.id = pots.budget WHERE account = ? GROUP BY level"
        return dict(store.execute(query, (account,)).fetchall())
