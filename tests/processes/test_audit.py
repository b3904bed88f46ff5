"""The auditor's own command: it agrees with books that agree, and names what was planted in the journal, the ledger or the bill."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halley import pricelist
from halley.chat.usage import Usage
from halley.policy import pricing
from tests.harness.audit import per_unit
from tests.harness.gateway import Gateway
from tests.harness.mixed import QUICK, SLOW
from tests.harness.postgres import Server
from tests.harness.priced import configuration, customer, encoded
from tests.harness.process import ROOT, environment, until
from tests.harness.settlement import price as priced
from tests.harness.simulator import Simulator

COUNT = 6


def run(home: Path, bill: str | None = None, *more: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "tests.harness.audit", str(home), *(["--bill", bill] if bill else []), *more]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(home), cwd=ROOT, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home at rest, with the journal of the relay that is gone beside it, and the bill."""
    place = tmp_path_factory.mktemp("books")
    with Simulator(place) as simulator, Gateway(place, configuration(simulator.url, (QUICK, SLOW))) as gateway:
        key = customer(gateway, "careful", "5")
        with gateway.client() as client:
            for turn in range(COUNT):
                assert client.ask("POST", "/v1/chat/completions", encoded(QUICK, stream=turn % 2 == 0), key=key).body()
        until(lambda: json.loads(run(gateway.home, simulator.url)[1] or "{}").get("requests") == COUNT, lambda: "not folded")
        code, said, fault = run(gateway.home, simulator.url)
        assert code == 0, fault
        figures = json.loads(said)
        assert (figures["journal_starts"], figures["journal_ends"], figures["journal_unwitnessed"]) == (COUNT, COUNT, 0)
        assert figures["bill_nano"] == figures["charges_nano"] > 0
        (place / "bill.json").write_text(json.dumps(simulator.bill()))
        gateway.stop()
        for path in gateway.journals.iterdir():
            shutil.copy(path, gateway.home / "journal" / path.name)
    return place


def test_a_home_at_rest_is_audited_with_a_bill_from_a_file(books: Path) -> None:
    code, said, fault = run(books / "home", str(books / "bill.json"))
    assert (code, json.loads(said)["journal_ends"]) == (0, COUNT), fault


def test_a_store_in_postgresql_is_audited_too(tmp_path: Path, postgres: Server) -> None:
    database = postgres.create()
    url = postgres.url(database)
    with (
        Simulator(tmp_path) as simulator,
        Gateway(tmp_path, configuration(simulator.url, (QUICK,)), environ={"HALLEY_STORE_URL": url}) as gateway,
    ):
        assert gateway.client().ask("POST", "/v1/chat/completions", encoded(QUICK), key=gateway.key()).body()
        store = ("--store", url)
        until(lambda: json.loads(run(gateway.home, simulator.url, *store)[1] or "{}").get("requests") == 1, lambda: "not folded")
        code, said, fault = run(gateway.home, simulator.url, *store)
        assert (code, json.loads(said)["journal_ends"], "1 requests" in fault) == (0, 1, True), fault
        postgres.sql("SET session_replication_role = replica; UPDATE requests SET charge = charge + 1", database)
        code, _, fault = run(gateway.home, simulator.url, *store)
        assert code == 1 and "req_" in fault.rpartition("script/audit: ")[2], fault
    assert "psql does not read the store" in run(tmp_path / "home", None, "--store", f"{url}x")[2]


def in_store(statement: str) -> Callable[[Path], None]:
    def plant(place: Path) -> None:
        with sqlite3.connect(place / "home" / "halley.db") as store:
            for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
                store.execute(f"DROP TRIGGER {name}")
            assert store.execute(statement).rowcount
        store.close()

    return plant


def in_journal(old: bytes, new: bytes) -> Callable[[Path], None]:
    def plant(place: Path) -> None:
        (path,) = (place / "home" / "journal").glob("*.jsonl")
        data = path.read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new, 1))

    return plant


def in_bill(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def plant(place: Path) -> None:
        bill = json.loads((place / "bill.json").read_text())
        change(next(row for row in bill["attempts"] if row["request_id"].startswith("req_")))
        (place / "bill.json").write_text(json.dumps(bill))

    return plant


PLANTED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a charge in the ledger": (in_store("UPDATE requests SET charge = charge + 1 WHERE rowid = 1"), "req_"),
    "an ending that the journal has": (in_store("UPDATE requests SET ending = NULL WHERE rowid = 1"), "req_"),
    "a balance": (in_store("UPDATE balances SET amount = amount - 1 WHERE ledger_account = 'available:careful'"), "careful: credit"),
    "an end in the journal": (in_journal(b'"complete",200', b'"left",200'), "req_"),
    "a hold in the journal": (in_journal(b'["start"', b'["progress"'), "no journal has the start of"),
    "a report in the bill": (in_bill(lambda row: row["reported"].update(completion_tokens=77)), "the row's usage is not the report"),  # type: ignore[attr-defined]
    "a call in the bill": (in_bill(lambda row: row.update(request_id="req_unknown")), "req_"),
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_contradiction_is_named(books: Path, tmp_path: Path, what: str) -> None:
    plant, words = PLANTED[what]
    place = tmp_path / "copy"
    shutil.copytree(books, place)
    plant(place)
    code, _, fault = run(place / "home", str(place / "bill.json"))
    assert code == 1
    assert words in fault.rpartition("script/audit: ")[2], fault


EVERYTHING = {
    "input": "0.1505", "output": "0.6015", "cache_read": "0.0333", "reasoning": "0.7", "audio_in": "4", "image_out": "30",
    "per_request": "0.001", "per_image": "0.04", "per_second": "0.10", "per_character": "0.000015", "per_page": "0.001",
    "image": {"1024x1024/high": "0.167", "512x512": "0.02"}, "tool": {"web_search": "0.01"}, "vendor": {"credits": "0.005"},
    "service_tier": {"flex": "0.5", "fast": "1.7"},
    "tier": [{"above": 100, "input": "2.0001", "cache_read": "0.5"}, {"above": 200, "output": "9"}],
}  # fmt: skip
COUNTS = st.integers(0, 300)
USAGES = st.builds(
    Usage,
    input=COUNTS,
    output=COUNTS,
    cache_read=COUNTS,
    cache_write_5m=COUNTS,
    reasoning=COUNTS,
    audio_in=COUNTS,
    image_out=COUNTS,
    images=COUNTS,
    milliseconds=COUNTS,
    characters=COUNTS,
    pages=COUNTS,
    tools=st.dictionaries(st.sampled_from(["web_search", "other"]), COUNTS),
    service_tier=st.sampled_from(["", "flex", "fast", "other"]),
    sizes=st.none() | st.dictionaries(st.sampled_from(["1024x1024/high", "1024x1024", "512x512/low", "64x64"]), st.integers(0, 9)),
    vendor=st.none() | st.dictionaries(st.sampled_from(["credits", "other"]), COUNTS),
)


@settings(deadline=None)
@given(USAGES, st.sets(st.sampled_from(sorted(EVERYTHING.keys() - {"input", "output"}))))
def test_the_auditor_prices_every_unit_as_the_ledger_does(usage: Usage, left_out: set[str]) -> None:
    price = pricelist.of({name: rate for name, rate in EVERYTHING.items() if name not in left_out})
    rates = per_unit(json.loads(msgspec.json.encode(price)))
    assert priced(json.loads(msgspec.json.encode(usage)), rates) == pricing.charge(price, usage)
