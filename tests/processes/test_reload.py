"""A reload of the whole gateway: new settings, new code, new processes, and nobody is refused, cut off or charged wrongly."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness.audit import audit
from tests.harness.crowd import Crowd
from tests.harness.gateway import Gateway
from tests.harness.http import Client, ask
from tests.harness.priced import chat, configuration, encoded
from tests.harness.process import until
from tests.harness.simulator import Simulator

QUICK, OTHER = "sim/tokens-5", "sim/tokens-6"
SLOW = "sim/tokens-60+slow-50ms"


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with Simulator(tmp_path_factory.mktemp("simulator")) as found:
        yield found


class Callers:
    """Requests without end from two clients: one dials anew each time, the other keeps its connection as long as it is kept."""

    def __init__(self, url: str, key: str) -> None:
        self.served = 0
        self.failures: list[str] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(url, key, keep)) for keep in (False, True)]

    def _call(self, url: str, key: str, keep: bool) -> None:
        client: Client | None = None
        while not self._over.is_set():
            try:
                client = client or Client(url)
                reply = client.ask("POST", "/v1/chat/completions", chat(QUICK), key=key)
                body = reply.body()
                if reply.status == 200:
                    self.served += 1
                else:
                    self.failures.append(f"{reply.status} {body!r}")
                if not keep or reply.fields.get("connection") == "close":
                    client.close()
                    client = None
            except (OSError, EOFError) as fault:
                self.failures.append(repr(fault))
                client = None
            time.sleep(0.005)

    @contextmanager
    def calling(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join(30.0)


def test_a_reload_takes_up_settings_and_workers_and_fails_nobody(tmp_path: Path, simulator: Simulator) -> None:
    with Gateway(tmp_path, configuration(simulator.url, (QUICK, SLOW)), workers=None) as gateway, Crowd(gateway.url) as crowd:
        key = gateway.key()
        gateway.cli("credit", "default", "5000")
        before = gateway.children()
        for _ in range(4):
            crowd.ask(key, encoded(SLOW, stream=True))
        crowd.until(lambda member: member.flowing)
        callers = Callers(gateway.url, key)
        with callers.calling():
            until(lambda: callers.served >= 10, lambda: f"{callers.failures}")
            assert ask(gateway.url, "POST", "/v1/chat/completions", chat(OTHER), key=key)[0] == 404
            gateway.config.write_text(configuration(simulator.url, (QUICK, SLOW, OTHER), server="workers = 2"))
            gateway.cli("reload")
            after = gateway.children()
            assert set(after) == {"upstream", "control", "relay-0", "relay-1"}
            assert after["upstream"] == before["upstream"]
            assert not {before["control"], before["relay-0"]} & set(after.values())
            assert ask(gateway.url, "POST", "/v1/chat/completions", chat(OTHER), key=key)[0] == 200
            # The same once more: what has not changed stays, and a worker less is one that leaves.
            gateway.config.write_text(configuration(simulator.url, (QUICK, SLOW, OTHER), server="workers = 1"))
            gateway.cli("reload")
            again = gateway.children()
            assert (set(again), again["control"]) == ({"upstream", "control", "relay-0"}, after["control"])
            until(lambda: not Path(f"/proc/{after['relay-1']}").exists(), lambda: "relay-1 does not leave")
            enough = callers.served + 20
            until(lambda: callers.served >= enough, lambda: f"{callers.failures}")
        crowd.until(lambda member: member.whole)
        assert callers.failures == []
        assert all(b"[DONE]" in member.received for member in crowd)
        assert gateway.pid == gateway.status()["pid"]
        found = audit(gateway, simulator)
        assert found.endings == {"complete": callers.served + 5}
        assert gateway.stop() == 0


def test_a_configuration_that_cannot_be_used_is_refused_with_its_line_and_nothing_changes(tmp_path: Path, simulator: Simulator) -> None:
    good = configuration(simulator.url, (QUICK,))
    with Gateway(tmp_path, good, workers=None) as gateway:
        before = gateway.children()
        gateway.config.write_text("[server]\nworkers = 0\n" + good.removeprefix("[server]"))
        done = gateway.cli("reload", check=False)
        assert done.returncode == 1
        assert "halley.toml:2: [server] workers" in done.stderr
        assert "halley.toml:2: [server] workers" in gateway.logs()
        gateway.config.write_text(good.replace('"sk-any"', '"env:NOT_THERE"'))
        done = gateway.cli("reload", check=False)
        assert (done.returncode, "NOT_THERE is not set" in done.stderr) == (1, True)
        assert gateway.children() == before
        assert ask(gateway.url, "GET", "/readyz")[0] == 200
        # What is told while the next start is rehearsed is not lost.
        gateway.config.write_text(good)
        os.kill(gateway.pid, signal.SIGHUP)
        assert gateway.stop() == 0


def test_without_a_gateway_there_is_nothing_to_reload(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    gateway.home.mkdir()
    done = gateway.cli("reload", check=False)
    assert done.returncode == 1 and "No gateway runs on" in done.stderr
