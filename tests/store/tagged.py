"""Makes the stored fixture of a schema tag: `python -m tests.store.tagged TAG`, run once, by the version that the tag names.

A whole gateway serves some requests and is then killed in the middle of one, so that the store has what an operator's store has: several
accounts, keys that are good, limited and revoked, settled and free requests, and a hold that is still open. The journals are thrown away.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from halley.store.database import TAGS
from tests.harness import books
from tests.harness.audit import audit
from tests.harness.crowd import Crowd
from tests.harness.gateway import Gateway
from tests.harness.http import ask
from tests.harness.priced import configuration, customer, encoded
from tests.harness.process import until
from tests.harness.simulator import Simulator

STORES = Path(__file__).parents[2] / "fixtures" / "stores"
MODELS = ("sim/tokens-40", "sim/tokens-60+no-usage", "sim/status-503", "sim/tokens-60+cut-at-3000", "sim/tokens-3000+slow-1ms")
PREFIX = "sk-"
"""Of every key. The facts leave it away, for a key that looks real may stand in no file of the checkout."""


def main(tag: str) -> None:
    with tempfile.TemporaryDirectory() as name, Simulator(Path(name)) as simulator:
        place = Path(name)
        gateway = Gateway(place, configuration(simulator.url, MODELS))
        with gateway:
            facts = _use(gateway, simulator)
            os.kill(gateway.pid, signal.SIGKILL)
            gateway.wait_end()
        target = STORES / tag
        target.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(gateway.home / "halley.db")) as connection:
            (target / "store.sql").write_text("\n".join(connection.iterdump()) + "\n", encoding="utf-8")
        facts = {"revision": TAGS[tag], "master_key": (gateway.home / "master.key").read_text().strip(), **facts}
        (target / "facts.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def _use(gateway: Gateway, simulator: Simulator) -> dict[str, object]:
    keys = {"good": customer(gateway, "prepaid", "25"), "other": customer(gateway, "second", "10.5")}
    gateway.cli("accounts", "create", "free", "--unlimited")
    limits = ("--rpm", "1000", "--models", MODELS[0])
    keys["limited"] = str(gateway.cli_json("keys", "create", "--name", "limited", "--account", "free", *limits)["key"])
    keys["revoked"] = str(gateway.cli_json("keys", "create", "--name", "revoked", "--account", "prepaid")["key"])
    for model in MODELS[:4]:
        for key in keys.values() if model == MODELS[0] else (keys["good"], keys["other"]):
            for stream in (False, True):
                ask(gateway.url, "POST", "/v1/chat/completions", encoded(model, stream=stream), key=key)
    gateway.cli("keys", "revoke", "revoked")
    audit(gateway, simulator)
    with Crowd(gateway.url) as crowd:
        member = crowd.ask(keys["good"], encoded(MODELS[4], stream=True))
        crowd.until(lambda member: bool(member.id))
        until(lambda: _progress(gateway, member.id) > 0, lambda: "no progress was booked")
        return {
            "keys": {name: key.removeprefix(PREFIX) for name, key in keys.items()},
            "credit": {"prepaid": 25 * 10**9, "second": 105 * 10**8},
            "open": member.id,
        }


def _progress(gateway: Gateway, request: str) -> int:
    with books.store(gateway.home) as connection:
        found = connection.execute("SELECT progress_charge FROM requests WHERE id = ?", (request,)).fetchone()
    return (found and found[0]) or 0


if __name__ == "__main__":
    main(sys.argv[1])
