"""A disk that is full for a while, at a relay and at control: new work is refused, nothing that was promised is lost, and the books hold.

The disk is made full for one process alone: its files may not grow beyond where they are (RLIMIT_FSIZE), which the kernel answers as it
answers a full disk, with a short write and then an error.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.audit import audit
from tests.harness.crowd import Crowd
from tests.harness.gateway import Gateway
from tests.harness.http import ask
from tests.harness.mixed import QUICK, SLOW, over
from tests.harness.postgres import Server
from tests.harness.priced import configuration, customer, encoded
from tests.harness.process import until
from tests.harness.simulator import Simulator

STREAMS = 16


@contextmanager
def full(pid: int, most: int) -> Iterator[None]:
    """Meanwhile no file of the process grows beyond so many bytes."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def journal(gateway: Gateway) -> Path:
    (path,) = (gateway.home / "journal").glob("*.jsonl")
    return path


def test_a_relay_on_a_full_disk_refuses_new_work_and_writes_its_ends_when_there_is_room(tmp_path: Path) -> None:
    with Simulator(tmp_path) as simulator, Gateway(tmp_path, configuration(simulator.url, (QUICK, SLOW))) as gateway:
        key = customer(gateway, "crowded", "50")
        with Crowd(gateway.url) as crowd:
            for _ in range(STREAMS):
                crowd.ask(key, encoded(SLOW, stream=True))
            crowd.until(lambda member: member.flowing)
            # Room for half a record more: the next write is torn, and must be taken back.
            with full(gateway.children()["relay-0"], journal(gateway).stat().st_size + 100):
                status, body = ask(gateway.url, "POST", "/v1/chat/completions", encoded(QUICK), key=key)
                assert (status, b"journal" in body) == (503, True), body
                crowd.until(over)
                assert not any(b"[DONE]" in member.received for member in crowd), "the last bytes wait for their end record"
                assert journal(gateway).read_bytes().endswith(b"\n")
            found = audit(gateway, simulator)
            assert found.endings == {"complete": STREAMS}
        status, body = ask(gateway.url, "POST", "/v1/chat/completions", encoded(QUICK), key=key)
        assert status == 200, body
        assert audit(gateway, simulator).endings == {"complete": STREAMS + 1}


def test_control_on_a_full_disk_folds_nothing_and_catches_up(tmp_path: Path) -> None:
    with Simulator(tmp_path) as simulator, Gateway(tmp_path, configuration(simulator.url, (QUICK,))) as gateway:
        key = customer(gateway, "patient", "50")
        assert ask(gateway.url, "POST", "/v1/chat/completions", encoded(QUICK), key=key)[0] == 200
        audit(gateway, simulator)
        control = gateway.children()["control"]
        with full(control, 4096):
            for _ in range(STREAMS):
                assert ask(gateway.url, "POST", "/v1/chat/completions", encoded(QUICK), key=key)[0] == 200
            until(lambda: "the database is away" in gateway.logs(), lambda: f"nobody said it:\n{gateway.logs()}")
        assert audit(gateway, simulator).endings == {"complete": STREAMS + 1}
        assert gateway.children()["control"] == control, "it did not die of it"


_NO_ROOM = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full';
END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON requests FOR EACH ROW EXECUTE FUNCTION full_disk();
"""


def test_a_server_on_a_full_disk_is_named_in_the_log_and_caught_up_with(tmp_path: Path, postgres: Server) -> None:
    database = postgres.create()
    with Simulator(tmp_path) as simulator:
        gateway = Gateway(tmp_path, configuration(simulator.url, (QUICK,)))
        postgres.hold(gateway, database)
        with gateway:
            key = customer(gateway, "patient", "50")
            assert ask(gateway.url, "POST", "/v1/chat/completions", encoded(QUICK), key=key)[0] == 200
            audit(gateway, simulator)
            postgres.sql(_NO_ROOM, database)
            for _ in range(STREAMS):
                assert ask(gateway.url, "POST", "/v1/chat/completions", encoded(QUICK), key=key)[0] == 200
            until(lambda: '"ServerError: 53100"' in gateway.logs(), lambda: f"nobody said it:\n{gateway.logs()}")
            postgres.sql("DROP FUNCTION full_disk CASCADE", database)
            assert audit(gateway, simulator).endings == {"complete": STREAMS + 1}
        assert "could not extend" not in gateway.logs()
