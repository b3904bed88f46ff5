"""The master key is rotated again and again under load, and killed in the middle; nobody is refused, and every key stays good."""

from __future__ import annotations

import random
import signal
import subprocess
import threading
import time
from collections import Counter
from pathlib import Path

from halley.crash import POINTS
from soak.campaign import Campaign, Effort, Figures, say
from tests.harness import books
from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.http import ask
from tests.harness.priced import chat, configuration, customer
from tests.harness.process import HALLEY, until
from tests.harness.simulator import Simulator

_MODEL = "sim/tokens-5"
_CALLERS = 4
_PAUSE_S = 0.02
_CRASHES = [point for point in POINTS if point.startswith("control.rotation.") and point != "control.rotation.backup"]


class Load:
    """Callers that ask one request after another until it is over; what came back, counted."""

    def __init__(self, gateway: Gateway, keys: list[str]) -> None:
        self._url, self._keys = gateway.url, keys
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(_CALLERS)]
        self.seen: Counter[str] = Counter()

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        until(lambda: self.seen["200"] > 0, lambda: f"nobody is served: {self.seen}")
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _call(self, number: int) -> None:
        while not self._over.is_set():
            key = self._keys[number % len(self._keys)]
            try:
                status, body = ask(self._url, "POST", "/v1/chat/completions", chat(_MODEL, stream=number % 2 == 0), key=key)
                whole = status == 200 and (b"[DONE]" in body or b'"usage"' in body)
                self.seen["200" if whole else f"{status} {body[:200]!r}"] += 1
            except OSError as fault:
                self.seen[repr(fault)] += 1
            time.sleep(_PAUSE_S)


def run(place: Path, effort: Effort) -> Figures:
    dice = random.Random(effort.seed)
    kills = restarts = 0
    old: list[tuple[str, bytes]] = []
    with Simulator(place) as simulator:
        toml = configuration(simulator.url, [_MODEL])
        gateway = Gateway(place, toml, workers=2, environ={"HALLEY_CRASH": ",".join(_CRASHES)})
        database = effort.postgres.create() if effort.postgres is not None else ""
        if effort.postgres is not None:
            effort.postgres.hold(gateway, database)
        with gateway:
            keys = [gateway.key(), customer(gateway, "steady", "5000")]
            key_file = gateway.home / "master.key"
            with Load(gateway, keys) as load:
                for turn in range(effort.rounds):
                    keys.append(str(gateway.cli_json("keys", "create", "--name", f"k{turn}")["key"]))
                    old.append((key_file.read_text().strip(), books.pepper(gateway.home)))
                    match turn % 3:
                        case 0:
                            gateway.cli("secrets", "rotate")
                        case 1:
                            _crash(gateway, dice.choice(_CRASHES))
                            kills += 1
                        case _:
                            _kill(gateway, dice)
                            kills += 1
                    # Whatever came of that one, the next is whole.
                    gateway.cli("secrets", "rotate")
                    _check(gateway.home, old)
                    if turn % 20 == 19:
                        say(f"{turn + 1} rounds, {load.seen['200']} requests")
            failed = {answer: count for answer, count in load.seen.items() if answer != "200"}
            assert not failed, f"requests failed: {failed}"
            for _ in range(2):
                gateway.stop()
                gateway.cli("secrets", "rotate")
                _check(gateway.home, old)
                gateway.start()
                restarts += 1
            for key in keys:
                status, body = ask(gateway.url, "POST", "/v1/chat/completions", chat(_MODEL), key=key)
                assert status == 200, f"a key is not good any more: {status} {body!r}"
            _refuse_the_old(gateway, place, old[0][0])
            if effort.postgres is not None:
                # What an operator does there to be rid of dead rows.
                effort.postgres.sql("VACUUM FULL secrets", database)
                effort.postgres.sql("CHECKPOINT")
                _check(effort.postgres.files(database), old)
            found = audit(gateway, simulator)
    return {
        "rotations": 2 * effort.rounds + restarts, "kills": kills, "restarts": restarts, "requests": len(found.requests), "not_served": 0,
        "keys": len(keys), "charges_nano": found.charges, "bill_nano": found.bill,
    }  # fmt: skip


def _crash(gateway: Gateway, point: str) -> None:
    """Control dies at a point of the rotation: once restarted so that it is armed, once by the point itself."""
    permits = gateway.home / "crash"
    permits.mkdir(exist_ok=True)
    (permits / point).touch()
    gateway.kill("control", signal.SIGKILL)
    gateway.wait_ready()
    gateway.cli("secrets", "rotate", check=False)
    until(lambda: not (permits / point).exists(), lambda: f"{point} was not passed:\n{gateway.logs()[-2000:]}")
    gateway.wait_ready()


def _kill(gateway: Gateway, dice: random.Random) -> None:
    """Control dies at whatever moment of the rotation comes."""
    command = [*HALLEY, "secrets", "rotate"]
    with subprocess.Popen(command, env=gateway.environ, cwd=gateway.place, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asked:
        time.sleep(dice.uniform(0.1, 0.5))  # not for luck: a moment of the dice
        gateway.kill("control", signal.SIGKILL)
        asked.communicate(timeout=60)
    gateway.wait_ready()


def _check(place: Path, old: list[tuple[str, bytes]]) -> None:
    """Of no earlier key and no earlier wrapping is a byte left in any file of the home, or of the database."""
    for path in place.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for key, wrapping in old:
                assert wrapping[:24] not in data and wrapping[-24:] not in data, f"{path.name} holds an old wrapping"
                assert key.encode() not in data and bytes.fromhex(key) not in data, f"{path.name} holds an old key"
    assert not (place / "master.key.next").exists()


def _refuse_the_old(gateway: Gateway, place: Path, key: str) -> None:
    old = place / "old.key"
    old.write_text(key)
    old.chmod(0o600)
    gateway.stop()
    more = {"HALLEY_SECRETS_MASTER_KEY": f"file:{old}"}
    refused = subprocess.run(
        [*HALLEY, "up", "--config", str(gateway.config), "--port", "0"],
        env={**gateway.environ, **more}, cwd=place, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert refused.returncode == 1 and "another master key" in refused.stderr, refused.stderr
    gateway.start()


_ABOUT = "the master key is rotated under load and killed in the middle"
CAMPAIGN = Campaign("rotations", "G13", _ABOUT, Effort(rounds=3), Effort(rounds=60), run, on_postgres=True)
