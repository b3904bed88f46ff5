"""Alerts reach a real receiver, signed, with one id each, through refusals and kill -9."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import signal
import sqlite3
import threading
import time
from collections.abc import Generator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from tests.harness.gateway import Gateway
from tests.harness.mixed import SLOW
from tests.harness.priced import chat, configuration, customer
from tests.harness.process import until
from tests.harness.simulator import Simulator

MODEL = "sim/tokens-400"
KEY = b"a webhook secret of 32 bytes ..."


class Event(NamedTuple):
    id: str
    type: str
    data: dict[str, Any]


class Receiver:
    """Takes events, or refuses them while `status` says so; checks every signature itself."""

    def __init__(self) -> None:
        self.status = 200
        self.seen: list[Event] = []
        self.wrong: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                event, at = self.headers["webhook-id"], self.headers["webhook-timestamp"]
                digest = hmac.new(KEY, f"{event}.{at}.".encode() + body, hashlib.sha256).digest()
                if self.headers["webhook-signature"] != "v1," + base64.b64encode(digest).decode() or abs(time.time() - int(at)) > 60:
                    receiver.wrong.append(event)
                said = json.loads(body)
                receiver.seen.append(Event(event, said["type"], said["data"]))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                del format, args

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/hook"

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.seen if event.type == kind]


@contextmanager
def receiving() -> Generator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()


def settings(url: str, receiver: Receiver, *, private: bool) -> str:
    secret = "whsec_" + base64.b64encode(KEY).decode()
    more = f'[alerts]\nwebhook_url = "{receiver.url}"\nwebhook_secrets = ["{secret}"]\nledger_check_hours = 0.0015\n'
    return configuration(url, (MODEL, SLOW)) + more + f"allow_private = {str(private).lower()}\n"


def spend(gateway: Gateway, key: str) -> int:
    with gateway.client() as client:
        reply = client.ask("POST", "/v1/chat/completions", chat(MODEL, max_tokens=400), key=key)
        reply.body()
        return reply.status


def test_shares_of_a_budget_are_told_once_each_through_refusals_and_the_death_of_control(tmp_path: Path) -> None:
    with receiving() as receiver, Simulator(tmp_path) as simulator:
        receiver.status = 500
        with Gateway(tmp_path, settings(simulator.url, receiver, private=True)) as gateway:
            key = customer(gateway, "acme", "10")
            gateway.cli("budgets", "set", "account", "0.00245", "--account", "acme", "--reset", "month")
            statuses: list[int] = []
            while not statuses or statuses[-1] == 200:
                statuses.append(spend(gateway, key))
            assert statuses[-1] == 402 and len(statuses) > 8
            until(lambda: len(receiver.of("budget.threshold")) >= 2, lambda: f"no alerts: {receiver.seen}")
            gateway.kill("control")
            gateway.wait_ready()
            receiver.status = 200
            before = len(receiver.seen)
            until(lambda: len(receiver.seen) >= before + 2, lambda: f"not sent again: {receiver.seen}")
            time.sleep(2.0)  # nothing more comes
            told = receiver.of("budget.threshold")
            by_id = {event.id: event.data["percent"] for event in told}
            assert sorted(by_id.values()) == [50, 80]
            assert all(len([event for event in told if event.id == each]) >= 2 for each in by_id)
            assert {event.data["level"] for event in told} == {"account"} and {event.data["of"] for event in told} == {"acme"}
            assert all(event.data["spent_nano"] * 100 >= event.data["amount_nano"] * event.data["percent"] for event in told)
            with closing(sqlite3.connect(gateway.home / "halley.db", timeout=20)) as store, store:
                store.execute("UPDATE pots SET spent = spent + 1")
            until(
                lambda: bool(receiver.of("ledger.difference")), lambda: f"no difference is told: {receiver.seen}\n{gateway.logs()[-2000:]}"
            )
            assert receiver.of("ledger.difference")[0].data["check"] == "pots_are_their_requests"
            assert receiver.wrong == []
            assert '"event":"an alert"' in gateway.logs()


def test_an_inner_address_is_not_sent_to_unless_the_settings_allow_it(tmp_path: Path) -> None:
    with (
        receiving() as receiver,
        Simulator(tmp_path) as simulator,
        Gateway(tmp_path, settings(simulator.url, receiver, private=False)) as gateway,
    ):
        key = customer(gateway, "acme", "10")
        gateway.cli("budgets", "set", "account", "0.00045", "--account", "acme")
        assert spend(gateway, key) == 200
        until(lambda: "an alert could not be delivered" in gateway.logs(), lambda: gateway.logs()[-2000:])
        assert receiver.seen == []


def test_a_hold_of_a_relay_that_stands_still_is_swept_told_of_and_settled_once(tmp_path: Path) -> None:
    # A request may take two seconds, so that a hold is swept after four.
    more = "[upstream]\ntotal_seconds = 2.0\nfirst_byte_seconds = 1.0\n"
    with (
        receiving() as receiver,
        Simulator(tmp_path) as simulator,
        Gateway(tmp_path, settings(simulator.url, receiver, private=True) + more) as gateway,
    ):
        key = customer(gateway, "acme", "10")
        assert spend(gateway, key) == 200
        with gateway.client() as client:
            reply = client.ask("POST", "/v1/chat/completions", chat(SLOW, max_tokens=400, stream=True), key=key)
            assert reply.status == 200
            assert next(reply.pieces())
            gateway.kill("relay-0", signal.SIGSTOP)
            try:
                until(lambda: bool(receiver.of("hold.swept")), lambda: f"{receiver.seen}\n{gateway.logs()[-2000:]}", 40.0)
            finally:
                gateway.kill("relay-0", signal.SIGCONT)
        (told,) = {event.id: event.data for event in receiver.of("hold.swept")}.values()
        assert told["count"] == 1 and told["relay"].startswith("relay-0")
        assert receiver.wrong == []
        until(lambda: spend(gateway, key) == 200, lambda: gateway.logs()[-2000:])

        def endings() -> list[str]:
            return [json.loads(row)["ending"] for row in gateway.cli("logs", "--json", "--account", "acme").stdout.splitlines()]

        until(lambda: endings() == ["complete", "expired", "complete"], lambda: f"{endings()}")
        assert gateway.cli_json("ledger", "verify")["clean"] is True
