"""A gateway under siege: mixed traffic of rich and poor customers, processes that die in the middle of it, and the books afterwards.

A siege keeps one home for a number of rounds; it may lose every process of it, and what it must never lose is a nano-dollar.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import random
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from halley.config import run_directory
from tests.harness.audit import Audited, audit
from tests.harness.crowd import Crowd
from tests.harness.gateway import Gateway
from tests.harness.http import Client
from tests.harness.mixed import MIXED, QUICK, STUBBORN, strike
from tests.harness.payments import event, fields
from tests.harness.postgres import Server, stored
from tests.harness.priced import configuration, encoded
from tests.harness.process import LIMIT_S, until
from tests.harness.simulator import Simulator

# Long enough for two progress records by the count of frames.
LONG = "sim/tokens-2400"
# Answers that come without pauses: who leaves has not read what was on its way.
_AT_ONCE = frozenset(model for model in (*MIXED, LONG) if "slow" not in model)
# What each may spend, USD: no end of it, a few worst cases (lent in shares), and less than twenty (lent one by one, recalled, refused).
CREDIT = {"rich": "5000", "modest": "0.4", "poor": "0.03"}
WITHIN_S = 30.0
# Who pays while processes die. It asks for nothing, so that what it has is what it paid.
_PAYER = "payer"
_PAYMENT_SECRET = base64.b64encode(b"p" * 32).decode()
_PAYMENT_USD = "1.50"
_PAYMENTS = f"""
[[payments]]
name = "shop"
secrets = ["whsec_{_PAYMENT_SECRET}"]
"""


class Siege:
    """`slowest_s` is the longest time from a blow until everything had ended on both sides, up to now."""

    def __init__(self, gateway: Gateway, simulator: Simulator, workers: int) -> None:
        self.gateway = gateway
        self.simulator = simulator
        self.relays = tuple(f"relay-{index}" for index in range(workers))
        self.keys: tuple[str, ...] = ()
        self.slowest_s = 0.0
        self._orders = 0
        self._unheard: list[str] = []

    def settle_in(self) -> None:
        """The customers of a home that serves for the first time."""
        keys: list[str] = []
        for name, usd in CREDIT.items():
            self.office("accounts.create", name=name)
            self.office("credit", account=name, amount=round(float(usd) * 10**9))
            keys.append(self.office("keys.create", name=name, account=name)["key"])
        self.keys = tuple(keys)
        self.office("accounts.create", name=_PAYER)

    def pay(self) -> None:
        """One more order is paid. Whoever tells it may not be heard."""
        self._orders += 1
        order = f"order-{self._orders}"
        self._unheard.append(order)
        with contextlib.suppress(OSError, EOFError):
            self._tell(order)

    def _tell(self, order: str) -> None:
        body = event(order, _PAYMENT_USD, account=_PAYER)
        with Client(self.gateway.url) as client:
            told = {"Content-Type": "application/json", **fields(body, _PAYMENT_SECRET)}
            if client.ask("POST", "/api/payments/shop", body, fields=told).status == 200:
                self._unheard.remove(order)

    def _check_payments(self) -> None:
        """Told until it is heard, as a payment service does, every order is credited once."""
        for order in tuple(self._unheard):
            self._tell(order)
        assert not self._unheard, f"not taken: {self._unheard}"
        paid = self.office("accounts.show", name=_PAYER)["accounts"][0]["available"]
        assert paid == self._orders * round(float(_PAYMENT_USD) * 10**9), f"{self._orders} orders, {paid} nano-dollars"

    def office(self, operation: str, **asked: object) -> Any:
        """What an operator's command asks of control, without the second that a command takes to start. Raises OSError, HTTPException."""
        connection = http.client.HTTPConnection("halley", timeout=LIMIT_S)
        connection.sock = socket.socket(socket.AF_UNIX)
        with contextlib.closing(connection):
            connection.sock.settimeout(LIMIT_S)
            connection.sock.connect(str(run_directory(self.gateway.home) / "admin.sock"))
            connection.request("POST", f"/{operation}", json.dumps(asked))
            reply = connection.getresponse()
            body = reply.read()
        assert reply.status == 200, body
        return json.loads(body)

    def serves(self) -> bool:
        """Whether every child is up and a request goes through."""
        if {"upstream", "control", *self.relays} - self.gateway.children().keys():
            return False
        try:
            with Client(self.gateway.url) as client:
                return client.ask("POST", "/v1/chat/completions", encoded(QUICK), key=self.keys[0]).status == 200
        except (OSError, EOFError):
            return False

    def audit(self, blow: float) -> Audited:
        """The gateway serves again and the books hold, within the limit after the blow at `blow`, `time.monotonic()`."""
        until(self.serves, lambda: f"the gateway did not come back:\n{self.gateway.logs()[-8000:]}")
        self.gateway.wait_ready()  # keeps the journals of relays that are new
        found = audit(self.gateway, self.simulator, unread=_AT_ONCE)
        took = time.monotonic() - blow
        assert took < WITHIN_S, f"{took:.1f} s until everything was settled"
        self.slowest_s = max(self.slowest_s, took)
        self._check_payments()
        figures = self.office("status")["figures"]
        assert figures["halley_open_holds"] == 0, figures
        return found

    def strike(self, what: str, dice: random.Random) -> None:
        """kill -9 of a relay, control, the supervisor, or two of them at once; a supervisor is started again."""
        names = {"relay": 1, "relays": 2, "control": 0, "control+relay": 1, "supervisor": 0, "supervisor+relay": 1}
        victims = dice.sample(self.relays, min(names[what], len(self.relays)))
        strike(self.gateway.children(), *victims, *(("control",) if what.startswith("control") else ()))
        if what.startswith("supervisor"):
            self.gateway.stop(signal.SIGKILL)
            self.gateway.start()


BLOWS = ("relay", "relays", "control", "control+relay", "supervisor", "supervisor+relay")


@contextmanager
def siege(place: Path, simulator: Simulator, workers: int, postgres: Server | None = None) -> Iterator[Siege]:
    """A home of its own, not started yet; it has ended when the block ends. Where there is a server, its store is a new database there."""
    place.mkdir()
    simulator.reset()
    toml = configuration(simulator.url, (*MIXED, LONG), bills_to_end=(STUBBORN,), server="drain_seconds = 5") + _PAYMENTS
    gateway = stored(Gateway(place, toml, workers=workers), postgres)
    gateway.home.mkdir()
    gateway.config.write_text(toml)
    try:
        yield Siege(gateway, simulator, workers)
    finally:
        gateway.__exit__()


def hold_out(crowd: Crowd, seconds: float) -> None:
    """Everybody reads for so long."""
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        crowd.listen(0.02)
