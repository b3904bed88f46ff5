"""The end of a whole node and of its parts: nobody who could be answered is cut off, and everything is in the ledger."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.audit import Audited, audit
from tests.harness.crowd import Crowd, Member
from tests.harness.gateway import Gateway
from tests.harness.http import ask
from tests.harness.priced import chat, configuration, encoded
from tests.harness.process import until
from tests.harness.simulator import Simulator

QUICK = "sim/tokens-5"
SLOW = "sim/tokens-40+slow-50ms"
LONG = "sim/tokens-1000+slow-50ms"
WAITS = "sim/head-delay-20000ms"
STREAMS = 8


class House:
    def __init__(self, gateway: Gateway, simulator: Simulator) -> None:
        self.gateway = gateway
        self.simulator = simulator
        self.key = gateway.key()
        gateway.cli("credit", "default", "5000")
        self.url = gateway.url

    def audit(self) -> Audited:
        """What it came to, after a new start: the node has ended by now."""
        self.gateway.start()
        return audit(self.gateway, self.simulator)


@contextmanager
def house(place: Path, server: str, workers: int = 1) -> Iterator[House]:
    with Simulator(place) as simulator:
        toml = configuration(simulator.url, (QUICK, SLOW, LONG, WAITS), bills_to_end=(f"{LONG}+write-7",), server=server)
        with Gateway(place, toml, workers=workers) as gateway:
            yield House(gateway, simulator)


def flowing(crowd: Crowd) -> None:
    crowd.until(lambda member: member.flowing)


def errors(member: Member) -> int:
    return member.received.count(b'data: {"error"')


def readiness(url: str) -> int:
    return ask(url, "GET", "/readyz")[0]


def test_readiness_fails_first_then_newcomers_are_turned_away_and_open_streams_end_whole(tmp_path: Path) -> None:
    with house(tmp_path, "drain_seconds = 20\ndrain_notice_seconds = 1") as found, Crowd(found.url) as crowd:
        kept = found.gateway.client()
        assert kept.ask("POST", "/v1/chat/completions", chat(QUICK), key=found.key).json()
        for _ in range(STREAMS):
            crowd.ask(found.key, encoded(SLOW, stream=True))
        flowing(crowd)
        os.kill(found.gateway.pid, signal.SIGTERM)
        until(lambda: readiness(found.url) == 503, lambda: "still ready")
        # Nothing else has changed: both a newcomer and who has a connection are served.
        assert ask(found.url, "POST", "/v1/chat/completions", chat(QUICK), key=found.key)[0] == 200
        reply = kept.ask("POST", "/v1/chat/completions", chat(QUICK), key=found.key)
        assert (reply.status, "connection" in reply.fields, bool(reply.body())) == (200, False, True)
        served = 3

        def turned_away() -> bool:
            nonlocal served
            status, body = ask(found.url, "POST", "/v1/chat/completions", chat(QUICK), key=found.key)
            served += status == 200
            return status == 503 and json.loads(body)["error"]["code"] == "overloaded"

        until(turned_away, lambda: "newcomers are still served")
        reply = kept.ask("POST", "/v1/chat/completions", chat(QUICK), key=found.key)
        assert (reply.status, reply.fields["connection"], reply.fields["retry-after"]) == (503, "close", "1")
        assert (readiness(found.url), ask(found.url, "GET", "/healthz")[0]) == (503, 200)
        crowd.until(lambda member: member.whole)
        assert found.gateway.wait_end() == 0
        assert all(b"[DONE]" in member.received and errors(member) == 0 for member in crowd)
        kept.close()
        assert found.audit().endings == {"complete": STREAMS + served}


def test_at_the_limit_each_stage_gets_its_one_answer_and_the_node_is_gone(tmp_path: Path) -> None:
    with house(tmp_path, "drain_seconds = 1\ndrain_notice_seconds = 0", workers=2) as found:
        stubborn = f"{LONG}+write-7"
        with Crowd(found.url) as streams, Crowd(found.url) as waiting, Crowd(found.url) as leaving:
            for _ in range(STREAMS):
                streams.ask(found.key, encoded(LONG, stream=True))
                leaving.ask(found.key, encoded(stubborn, stream=True))
            waiting.ask(found.key, encoded(WAITS, stream=True))
            waiting.ask(found.key, encoded(WAITS))
            waiting.ask(found.key, encoded(LONG))
            halfway = waiting.join(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
            flowing(streams)
            flowing(leaving)
            ids = {member.id for member in leaving}
            os.kill(found.gateway.pid, signal.SIGTERM)
            begun = time.monotonic()
            leaving.part(Member.reset)
            streams.until(lambda member: member.whole)
            waiting.until(lambda member: member.whole)
            assert time.monotonic() - begun >= 0.9
            assert found.gateway.wait_end() == 0
            assert time.monotonic() - begun < 1 + 10
            for member in streams:
                assert (errors(member), b"[DONE]" in member.received) == (1, False)
            assert [member.status for member in waiting] == [503] * 4
            assert halfway.received.count(b'"code":"overloaded"') == 1
        audited = found.audit()
        assert {request.ending for request in audited.requests if request.id in ids} == {"left"}
        assert audited.endings == {"broke": STREAMS, "left": STREAMS, "failed": 3}


def test_ctrl_c_twice_ends_open_streams_at_once_and_in_order(tmp_path: Path) -> None:
    with house(tmp_path, "drain_seconds = 60\ndrain_notice_seconds = 30") as found, Crowd(found.url) as crowd:
        for _ in range(STREAMS):
            crowd.ask(found.key, encoded(LONG, stream=True))
        flowing(crowd)
        os.kill(found.gateway.pid, signal.SIGINT)
        until(lambda: readiness(found.url) == 503, lambda: "still ready")
        assert not any(member.whole for member in crowd)
        os.kill(found.gateway.pid, signal.SIGINT)
        crowd.until(lambda member: member.whole)
        assert found.gateway.wait_end() == 0
        assert [errors(member) for member in crowd] == [1] * STREAMS
        assert found.audit().endings == {"broke": STREAMS}


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A node that stays; the tests end parts of it."""
    with house(tmp_path_factory.mktemp("standing"), "drain_seconds = 60") as found:
        yield found


def test_a_relay_that_is_told_to_end_by_itself_gets_a_successor_and_nobody_notices(standing: House) -> None:
    before = audit(standing.gateway, standing.simulator)
    with Crowd(standing.url) as crowd:
        for _ in range(STREAMS):
            crowd.ask(standing.key, encoded(SLOW, stream=True))
        flowing(crowd)
        old = standing.gateway.children()["relay-0"]
        os.kill(old, signal.SIGTERM)
        served = 0
        while Path(f"/proc/{old}").exists():
            status, _ = ask(standing.url, "POST", "/v1/chat/completions", chat(QUICK), key=standing.key)
            assert status == 200
            served += 1
        crowd.until(lambda member: member.whole)
        assert [errors(member) for member in crowd] == [0] * STREAMS
    standing.gateway.wait_ready()
    assert standing.gateway.children()["relay-0"] != old
    assert audit(standing.gateway, standing.simulator).since(before).endings == {"complete": STREAMS + served}


def test_a_second_sigterm_to_a_relay_ends_its_streams_at_once(standing: House) -> None:
    before = audit(standing.gateway, standing.simulator)
    with Crowd(standing.url) as crowd:
        for _ in range(STREAMS):
            crowd.ask(standing.key, encoded(LONG, stream=True))
        flowing(crowd)
        old = standing.gateway.children()["relay-0"]
        os.kill(old, signal.SIGTERM)
        until(lambda: standing.gateway.children().get("relay-0", old) != old, lambda: "no successor")
        assert not any(member.whole for member in crowd)
        os.kill(old, signal.SIGTERM)
        crowd.until(lambda member: member.whole)
        assert [errors(member) for member in crowd] == [1] * STREAMS
    assert audit(standing.gateway, standing.simulator).since(before).endings == {"broke": STREAMS}


def test_control_that_is_told_to_end_by_itself_folds_everything_and_comes_back(standing: House) -> None:
    before = audit(standing.gateway, standing.simulator)
    assert ask(standing.url, "POST", "/v1/chat/completions", chat(QUICK), key=standing.key)[0] == 200
    old = standing.gateway.children()["control"]
    os.kill(old, signal.SIGTERM)
    until(lambda: standing.gateway.children().get("control", old) != old, lambda: "control does not come back")
    assert "control ended with exit code 0" in standing.gateway.logs()
    assert audit(standing.gateway, standing.simulator).since(before).endings == {"complete": 1}


def test_sigterm_to_every_process_at_once_ends_in_the_same_order(standing: House) -> None:
    before = audit(standing.gateway, standing.simulator)
    with Crowd(standing.url) as crowd:
        for _ in range(STREAMS):
            crowd.ask(standing.key, encoded(SLOW, stream=True))
        flowing(crowd)
        for pid in (*standing.gateway.children().values(), standing.gateway.pid):
            os.kill(pid, signal.SIGTERM)
        crowd.until(lambda member: member.whole)
        assert [errors(member) for member in crowd] == [0] * STREAMS
        assert standing.gateway.wait_end() == 0
    assert standing.audit().since(before).endings == {"complete": STREAMS}


def test_whoever_comes_while_the_node_ends_is_answered_or_refused_never_reset(tmp_path: Path) -> None:
    with house(tmp_path, "drain_seconds = 20\ndrain_notice_seconds = 0", 2) as found, Crowd(found.url) as crowd:
        crowd.ask(found.key, encoded(SLOW, stream=True))
        flowing(crowd)
        place = found.gateway.client().host

        def come() -> list[int]:
            statuses: list[int] = []
            while True:
                connection = http.client.HTTPConnection(place, timeout=20)
                try:
                    connection.connect()
                except ConnectionRefusedError:
                    return statuses
                connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {found.key}"})
                statuses.append(connection.getresponse().status)
                connection.close()

        os.kill(found.gateway.pid, signal.SIGTERM)
        with ThreadPoolExecutor(STREAMS) as comers:
            statuses = [status for come in [comers.submit(come) for _ in range(STREAMS)] for status in come.result()]
        crowd.until(lambda member: member.whole)
        assert found.gateway.wait_end() == 0
        assert len(statuses) > STREAMS and set(statuses) == {200}
