"""Clients that go away, at every moment and in every way: the upstream is let go, and each request is in the ledger once."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from tests.harness.audit import Audited, audit
from tests.harness.crowd import WAYS, Crowd, request
from tests.harness.gateway import Gateway
from tests.harness.priced import configuration, customer, encoded
from tests.harness.process import until
from tests.harness.simulator import Simulator

MANY = 1000
SLOW = "sim/tokens-2000+slow-1000ms"
STEADY = "sim/tokens-400+slow-10ms"
REPORTING = "sim/tokens-400+slow-10ms+usage-each-chunk"
TEACHER = "sim/tokens-60"
LATE = "sim/tokens-5+head-delay-20000ms"
STUBBORN = "sim/tokens-40+slow-10ms+bills-to-end"
CROWDED = "sim/tokens-40+slow-20ms+bills-to-end+id-crowded"
WHOLE = "sim/tokens-60+id-whole"
MODELS = (SLOW, STEADY, REPORTING, TEACHER, WHOLE, LATE)


class House(NamedTuple):
    """A gateway and its upstream, with what was in the books before the test."""

    gateway: Gateway
    simulator: Simulator
    key: str
    before: Audited

    def let_go(self) -> float:
        """Seconds until no upstream stream is open."""
        begun = time.monotonic()
        until(lambda: self.simulator.state()["open_streams"] == 0, lambda: f"still open: {self.simulator.state()}", 10.0)
        return time.monotonic() - begun

    def audit(self) -> Audited:
        return audit(self.gateway, self.simulator, unread=(CROWDED,)).since(self.before)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("hang-ups")
    with Simulator(place) as simulator:
        gateway = Gateway(place, configuration(simulator.url, MODELS, bills_to_end=(STUBBORN, CROWDED)))
        with descriptors(256), gateway, descriptors(4096):
            yield House(gateway, simulator, customer(gateway, "leaver", "5000"), Audited(()))


@pytest.fixture
def house(started: House) -> House:
    return started._replace(before=audit(started.gateway, started.simulator, unread=(CROWDED,)))


@contextmanager
def descriptors(count: int) -> Iterator[None]:
    """Lets this process, and what it starts, have so many open files: a gateway must ask for more by itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_clients_that_hang_up_leave_nothing_open_and_one_ending_each(house: House) -> None:
    with Crowd(house.gateway.url) as crowd:
        for _ in range(MANY):
            crowd.ask(house.key, encoded(SLOW, stream=True))
        crowd.until(lambda member: bool(member.id))
        assert house.simulator.state()["open_streams"] == MANY
        ids = {member.id for member in crowd}
        crowd.part()
        took = house.let_go()
    # The promise is one second; the bound of a test is ten times that.
    assert took < 10.0
    found = house.audit()
    assert {request.id for request in found.requests} == ids
    assert found.endings == {"left": MANY}


@pytest.mark.parametrize("model", [STEADY, REPORTING])
@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_leaves_pays_for_what_it_was_sent(house: House, way: str, model: str) -> None:
    with Crowd(house.gateway.url) as crowd:
        for _ in range(20):
            crowd.ask(house.key, encoded(model, stream=True))
        crowd.until(lambda member: member.received.count(b"data: ") > 10)
        crowd.part(WAYS[way])
        house.let_go()
    found = house.audit()
    assert found.endings == {"left": 20}
    assert all(request.charge > 0 for request in found.requests)


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_leaves_in_mid_request_was_never_there(house: House, way: str) -> None:
    data = request(house.key, encoded(STEADY, stream=True))
    dice = random.Random(7)
    with Crowd(house.gateway.url) as crowd:
        for cut in [1, 30, data.index(b"\r\n\r\n") + 2, len(data) - 1, *(dice.randrange(1, len(data)) for _ in range(20))]:
            crowd.join(data[:cut])
        crowd.listen(0.2)
        crowd.part(WAYS[way])
    found = house.audit()
    assert found.requests == ()


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_leaves_before_the_answers_head_lets_the_upstream_go(house: House, way: str) -> None:
    with Crowd(house.gateway.url) as crowd:
        for _ in range(20):
            crowd.ask(house.key, encoded(LATE, stream=True))
        until(lambda: house.simulator.state()["open_streams"] == 20, lambda: "not all calls came to the upstream")
        crowd.part(WAYS[way])
        house.let_go()
    assert house.audit().endings == {"left": 20}


def test_an_upstream_that_bills_to_the_end_is_read_to_the_end(house: House) -> None:
    with Crowd(house.gateway.url) as crowd:
        for _ in range(20):
            crowd.ask(house.key, encoded(STUBBORN, stream=True))
        crowd.until(lambda member: member.received.count(b"data: ") > 5)
        crowd.part()
    found = house.audit()
    assert found.endings == {"drained": 20}
    assert found.loss == 0
    assert {request.usage.output for request in found.requests} == {40}


def test_only_so_many_answers_are_read_for_nobody(house: House) -> None:
    with Crowd(house.gateway.url) as crowd:
        for _ in range(80):
            crowd.ask(house.key, encoded(CROWDED, stream=True))
        crowd.until(lambda member: member.flowing)
        crowd.part()
    found = house.audit()
    assert found.endings == {"drained": 64, "left": 16}
    assert found.loss > 0


def test_a_whole_answer_for_a_client_that_left_is_read_to_its_end(house: House) -> None:
    with Crowd(house.gateway.url) as crowd:
        for _ in range(10):
            crowd.ask(house.key, encoded(WHOLE))
            crowd.ask(house.key, encoded(STUBBORN))
        until(lambda: house.simulator.state()["open_streams"] >= 10, lambda: "not all calls came to the upstream")
        crowd.part()
    found = house.audit()
    assert sum(found.endings[ending] for ending in ("complete", "drained")) == 20
    assert found.endings["drained"] >= 10
    assert found.loss == 0


def test_an_own_count_is_learned_from_reports(house: House) -> None:
    """After some whole answers of a model the count of a cut one is close."""
    with house.gateway.client() as client:
        for _ in range(30):
            assert client.ask("POST", "/v1/chat/completions", encoded(TEACHER, stream=True), key=house.key).body()
    house.simulator.script(TEACHER, {"answer": "words", "tokens": 400, "chunk_delay_ms": 10})
    with Crowd(house.gateway.url) as crowd:
        for _ in range(10):
            crowd.ask(house.key, encoded(TEACHER, stream=True))
        crowd.until(lambda member: member.received.count(b"data: ") > 60)
        crowd.part()
        house.let_go()
    left = [each for each in house.audit().requests if each.ending == "left"]
    assert len(left) == 10
    for each in left:
        generated = each.attempts[0].generated
        assert abs(each.usage.output - generated.output) <= 0.1 * generated.output + 2
        assert abs(each.usage.input - generated.input) <= 0.1 * generated.input + 1
