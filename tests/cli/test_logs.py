"""`halley logs` and `halley balance`: of a running gateway and of a store at rest."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import pytest

from halley.cli import logs
from halley.control.asks import Log, Logged
from halley.store.values import Entry
from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.priced import chat, configuration
from tests.harness.process import HALLEY, until
from tests.harness.simulator import Simulator

FAST, REFUSED, SLOW = "sim/tokens-5", "sim/status-429", "sim/tokens-100+slow-30ms"


class House(NamedTuple):
    gateway: Gateway
    simulator: Simulator
    ids: dict[str, str]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("logs")
    with Simulator(place) as simulator, Gateway(place, configuration(simulator.url, (FAST, REFUSED, SLOW))) as gateway:
        gateway.cli("credit", "default", "5")
        ids: dict[str, str] = {}
        for name, model in (("first", FAST), ("refused", REFUSED), ("last", FAST)):
            with gateway.client() as client:
                reply = client.ask("POST", "/v1/chat/completions", chat(model), key=gateway.key())
                ids[name] = reply.fields["x-request-id"]
                reply.body()
        audit(gateway, simulator)
        yield House(gateway, simulator, ids)


def lines(house: House, *arguments: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in house.gateway.cli("logs", "--json", *arguments).stdout.splitlines()]


def test_requests_stand_in_the_order_in_which_they_came(house: House) -> None:
    assert [line["id"] for line in lines(house)] == list(house.ids.values())
    assert [line["id"] for line in lines(house, "--limit", "1")] == [house.ids["last"]]
    text = house.gateway.cli("logs").stdout.splitlines()
    assert len(text) == 3 and "429" in text[1] and "failed" in text[1] and "5 tokens" in text[2]


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--status", "429"], ["refused"]),
        (["--model", FAST], ["first", "last"]),
        (["--since", "1h", "--status", "200"], ["first", "last"]),
        (["--since", "2099-01-01"], []),
    ],
)
def test_they_are_chosen_by_what_they_are(house: House, arguments: list[str], names: list[str]) -> None:
    assert [line["id"] for line in lines(house, *arguments)] == [house.ids[name] for name in names]


def test_one_is_shown_whole_and_an_unknown_one_is_said(house: House) -> None:
    shown = house.gateway.cli("logs", house.ids["first"]).stdout
    assert house.ids["first"] in shown and "complete" in shown and "USD" in shown
    assert house.gateway.cli("logs", "req_NOBODY", check=False).returncode == 1
    assert house.gateway.cli("logs", "--key", "nobody", check=False).returncode == 1
    assert house.gateway.cli("logs", "--account", "nobody", check=False).returncode == 1
    assert house.gateway.cli("logs", "--since", "yesterday", check=False).returncode == 2


def test_what_ends_later_is_followed_however_long_ago_it_began(house: House) -> None:
    with house.gateway.client() as client:
        slow = client.ask("POST", "/v1/chat/completions", chat(SLOW) | {"stream": True}, key=house.gateway.key())
        assert slow.status == 200, slow.body()
        until(lambda: len(lines(house)) == 4, lambda: "the running one is not in the log")
        with subprocess.Popen(
            [*HALLEY, "logs", "--json", "--follow", "--limit", "2"], stdout=subprocess.PIPE, text=True, env=house.gateway.environ
        ) as following:
            assert following.stdout is not None
            shown = [json.loads(following.stdout.readline()) for _ in range(2)]
            assert [(line["id"], line["ending"]) for line in shown] == [
                (house.ids["last"], "complete"),
                (slow.fields["x-request-id"], None),
            ]
            with house.gateway.client() as other:
                quick = other.ask("POST", "/v1/chat/completions", chat(REFUSED), key=house.gateway.key())
                quick.body()
            line = json.loads(following.stdout.readline())
            assert (line["id"], line["status"]) == (quick.fields["x-request-id"], 429)
            slow.body()
            line = json.loads(following.stdout.readline())
            following.kill()
    assert (line["id"], line["ending"]) == (slow.fields["x-request-id"], "complete")


def test_no_request_is_missed_or_shown_twice_among_thousands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of one account, as the office reads it: pages of a thousand, the newest first."""
    now = time.time()
    stored = {f"req_{number:05}": entry(f"req_{number:05}", now + number / 1000) for number in range(5000)}

    def office(operation: str, asked: Log, answer: type[Logged]) -> Logged:
        assert operation == "logs"
        found = (
            [stored[each] for each in asked.requests] if asked.requests else [each for each in stored.values() if each.at >= asked.since]
        )
        found = [each for each in found if not asked.running or each.ending is None]
        found = [each for each in found if asked.before is None or (each.at, each.id) < asked.before]
        page = sorted(found, key=lambda each: (each.at, each.id), reverse=True)[: asked.limit]
        return answer(tuple(page), (page[-1].at, page[-1].id) if len(page) == asked.limit and not asked.requests else None)

    monkeypatch.setattr(logs, "ask", office)
    follower = logs.Follower(Log("default"))
    assert follower.ended() == []
    ended = sorted(stored)[::2]
    stored.update({each: end(stored[each], now + 10) for each in ended})
    late = entry("req_late", now + 2)
    stored[late.id] = end(late, now + 11)
    assert [each.id for each in follower.ended()] == [*ended, late.id]
    assert follower.ended() == []
    stored.update({each: end(stored[each], now + 12) for each in stored if stored[each].ending is None})
    assert len(follower.ended()) == 2500


def test_a_search_that_finds_nothing_ends_and_says_how_far_it_came(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every page passes a day's requests and finds none of what is looked for."""
    asked: list[Log] = []
    clock = [0.0]

    def office(operation: str, wanted: Log, answer: type[Logged]) -> Logged:
        asked.append(wanted)
        clock[0] += 1.0
        at = wanted.before[0] if wanted.before is not None else 1e9
        return answer((), (at - 86400, "") if at - 86400 > wanted.since else None)

    monkeypatch.setattr(logs, "ask", office)
    monkeypatch.setattr(logs.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(logs.time, "time", lambda: 1e9)
    assert logs.newest(Log("default", model="x"), searches=True) == []
    assert len(asked) == 10 and {each.since for each in asked} == {1e9 - 30 * 86400}
    assert "Looked back to 2001-08-30" in capsys.readouterr().err
    # A few days can be looked through to their end, and then there is nothing more to say.
    assert logs.newest(Log("default", since=1e9 - 3 * 86400, model="x"), searches=True) == []
    assert capsys.readouterr().err == ""


def test_a_search_goes_on_where_another_one_ended(house: House) -> None:
    times = [str(line["at"]) for line in lines(house)]
    until_s = datetime.fromtimestamp(float(times[2]) - 1e-5, UTC).isoformat()
    assert [line["id"] for line in lines(house, "--until", until_s, "--model", FAST)] == [house.ids["first"]]
    assert house.gateway.cli("logs", "--until", "1h", "--follow", check=False).returncode == 2


def entry(request: str, at: float) -> Entry:
    blank: dict[str, Any] = dict.fromkeys(Entry.__struct_fields__) | {"id": request, "at": at}
    return Entry(**blank)


def end(running: Entry, at: float) -> Entry:
    return msgspec.structs.replace(running, ending="complete", ended_at=at)


def test_the_balance_is_that_of_the_account(house: House) -> None:
    shown = house.gateway.cli_json("balance")
    assert shown == house.gateway.cli_json("accounts", "show", "default")
    assert "USD available" in house.gateway.cli("balance").stdout
    assert house.gateway.cli("balance", "nobody", check=False).returncode == 1


def test_a_store_at_rest_is_read_too(house: House) -> None:
    before = len(lines(house))
    house.gateway.stop()
    assert len(lines(house)) == before
    assert house.gateway.cli_json("balance")["account"] == "default"
