"""The control process as a whole: starts, crashes, restarts, and relays that die."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from halley import pricelist
from halley.chat.usage import Usage
from halley.config import Account, Key, Secrets, Settings, Upstream
from halley.money import Price
from halley.policy.budgets import Pot
from halley.policy.snapshot import Snapshot
from halley.secret import Secret
from halley.store import keytext
from halley.store.journal import End, Progress, Start, encode
from halley.store.messages import Folded, Granted, LeaseAsked, LeaseReturned, LeaseState, LeaseTold, LeaseWanted, PotWanted, Recall
from tests.store.raw import Database

# What is true of control is true on both databases.
pytestmark = pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)

Start_ = Callable[..., Any]
VERSION = pricelist.version(Price(input=6000, output=8000))


def started(number: int, hold: int = 1000, leased: bool = True, version: str = VERSION) -> Start:
    return Start(f"req_{number:026d}", 1.0, "default", "key_1", "chat", "m", version, hold, leased, True, 10)


def ended(number: int) -> End:
    return End(f"req_{number:026d}", 2.0, "unreported", 200, "p", Usage(10, 5), True, 100, 0, 1, 1, 1, 0.1, 0.2, 0.3)


def differences(control: Any, home: Path) -> list[object]:
    """What `ledger verify` finds, when the price that these requests name is one that there was: 6 and 8 nano-dollars a token."""
    database = Database(control.url, home)
    database.execute("INSERT INTO prices VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (VERSION, '{"input":6000,"output":8000}', 0.0))
    database.close()
    return control.admin("ledger.verify")["differences"]


def dying(home: Path, name: str, journal: bytes) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("fake_relay.py")), str(home / "journal" / name)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(journal)
    process.stdin.close()
    assert process.stdout.readline() == b"written\n"
    process.stdout.close()
    return process


def test_the_first_start_makes_a_starter_key_and_the_second_keeps_it(start: Start_, relay: Start_, short: Path) -> None:
    control = start()
    assert control.ready
    text = (short / "starter-key").read_text().strip()
    assert keytext.well_formed(text) and (short / "starter-key").stat().st_mode & 0o777 == 0o600
    snapshot = relay(control, "relay-0-1-1").next(Snapshot)
    assert keytext.digest(snapshot.pepper, Secret(text)) in {key.digest for key in snapshot.keys}
    assert snapshot.accounts[0].unlimited and [model.id for model in snapshot.models] == ["local/docs-assistant"]
    assert control.stop() == 0
    again = start()
    assert again.ready and (short / "starter-key").read_text().strip() == text
    assert relay(again, "relay-0-1-1").next(Snapshot).version > snapshot.version


def test_another_master_key_is_refused_with_a_reason(start: Start_, short: Path) -> None:
    assert start().stop() == 0
    (short / "other").write_text("ab" * 32)
    (short / "other").chmod(0o600)
    refused = start(Settings(secrets=Secrets(f"file:{short / 'other'}")))
    assert not refused.ready and "another master key" in refused.errors() and refused.process.returncode == 1


def test_file_and_store_may_not_name_the_same_account(start: Start_) -> None:
    control = start()
    control.admin("accounts.create", '{"name":"acme"}')
    control.stop()
    refused = start(Settings(accounts=(Account("acme"),)))
    assert not refused.ready and "acme" in refused.errors()


def test_a_key_of_the_file_reaches_relays_and_cannot_be_revoked(start: Start_, relay: Start_) -> None:
    text = keytext.make()
    control = start(Settings(accounts=(Account("team", "unlimited"),), keys=(Key("ops", Secret(text), "team", rpm=3),)))
    snapshot = relay(control, "relay-0-1-1").next(Snapshot)
    assert {key.name: key.rpm for key in snapshot.keys}["ops"] == 3
    assert control.http("admin.sock", "POST", "/keys.revoke", b'{"name":"ops"}')[0] == 409


def test_a_killed_relay_is_settled_by_its_last_progress(start: Start_, relay: Start_, short: Path) -> None:
    control = start()
    control.admin("credit", '{"account":"default","amount":1000000}')
    name = "relay-0-1-1"
    torn = encode([ended(3)])[:-20]
    records = [started(1), started(2), started(3), Progress(started(2).request, 1.5, "p", Usage(5, 5), 70), ended(1)]
    link = relay(control, name)
    link.send(LeaseWanted("default", 3000, 3000))
    assert link.next(Granted).granted == 50_000
    process = dying(short, name, encode(records) + torn)
    control.until(lambda: link.next(Folded).offset == len(encode(records)))
    assert control.admin("status")["figures"]["halley_open_holds"] == 2
    process.kill()
    process.wait(20)
    link.close()
    control.until(lambda: control.admin("status")["relays_with_journal"] == [])
    account = control.admin("accounts.show", '{"name":"default"}')["accounts"][0]
    assert (account["available"], account["held"]) == (1_000_000 - 100 - 70, 0)
    assert differences(control, short) == []
    assert list((short / "journal").iterdir()) == []


def test_leftovers_of_a_node_that_died_whole_are_settled_at_start(start: Start_, relay: Start_, short: Path) -> None:
    control = start()
    control.admin("credit", '{"account":"default","amount":1000000}')
    link = relay(control, "relay-0-1-1")
    link.send(LeaseWanted("default", 3000, 3000))
    link.next(Granted)
    process = dying(short, "relay-0-1-1", encode([started(1), started(2), ended(2)]))
    control.kill()
    process.kill()
    process.wait(20)
    again = start()
    account = again.admin("accounts.show", '{"name":"default"}')["accounts"][0]
    assert (account["available"], account["held"]) == (1_000_000 - 100, 0)
    assert differences(again, short) == []


def test_a_restarted_control_takes_the_greater_totals_of_both_sides(start: Start_, relay: Start_, short: Path) -> None:
    control = start()
    control.admin("credit", '{"account":"default","amount":1000000}')
    process = dying(short, "relay-0-1-1", b"")
    first = relay(control, "relay-0-1-1")
    first.send(LeaseWanted("default", 3000, 3000))
    granted = first.next(Granted).granted
    control.kill()
    again = start()
    link = relay(again, "relay-0-1-1", LeaseState("default", granted, 20_000))
    link.next(Snapshot)
    account = again.admin("accounts.show", '{"name":"default"}')["accounts"][0]
    assert (account["available"], account["held"]) == (1_000_000 - granted + 20_000, granted - 20_000)
    link.send(LeaseWanted("default", 10, 10))
    assert link.next(Granted).granted > granted
    process.kill()
    process.wait(20)


def test_credit_that_another_relay_does_not_use_is_recalled_before_refusing(start: Start_, relay: Start_, short: Path) -> None:
    control = start()
    control.admin("credit", '{"account":"default","amount":1000}')
    processes = [dying(short, name, b"") for name in ("relay-0-1-1", "relay-1-1-2")]
    rich, poor = relay(control, "relay-0-1-1"), relay(control, "relay-1-1-2")
    rich.send(LeaseWanted("default", 1000, 1000))
    assert rich.next(Granted).granted == 1000
    poor.send(LeaseWanted("default", 400, 400))
    rich.next(Recall)
    rich.send(LeaseReturned("default", 900))
    assert poor.next(Granted).granted == 400
    poor.send(LeaseWanted("default", 2000, 500))
    rich.next(Recall)
    rich.send(LeaseReturned("default", 900))
    assert poor.next(Granted).granted == 900
    poor.send(LeaseWanted("default", 2000, 500))
    assert poor.next(Granted).granted == 900, "unchanged: the account cannot cover it"
    assert differences(control, short) == []
    for process in processes:
        process.kill()
        process.wait(20)


def test_a_relay_that_has_forgotten_a_lease_is_told_its_totals_and_nothing_is_lent_by_it(start: Start_, relay: Start_, short: Path) -> None:
    control = start()
    control.admin("budgets.set", '{"account":"default","level":"user","subject":"","amount":1000,"reset":"none","anchor":null}')
    process = dying(short, "relay-0-1-1", b"")
    link = relay(control, "relay-0-1-1")
    (row,) = link.next(Snapshot).budgets
    pot, other = Pot(row.id, 0, "ada"), Pot(row.id, 0, "bob")
    link.send(LeaseWanted("default", 0, 0, (PotWanted(pot, 100, 100),)))
    ((_, granted),) = link.next(Granted).pots
    link.send(LeaseReturned(pot, granted - 10))
    for _ in "12":
        link.send(LeaseAsked("default", (pot, other)))
        assert link.next(LeaseTold) == LeaseTold("default", (LeaseState(pot, granted, granted - 10), LeaseState(other, 0, 0)))
    link.send(LeaseWanted("default", 0, 0, (PotWanted(pot, 990, 990),)))
    assert link.next(Granted).pots == ((pot, granted + 990),)
    assert differences(control, short) == []
    process.kill()
    process.wait(20)


def test_a_relay_that_returns_hears_what_was_folded_meanwhile(start: Start_, relay: Start_, short: Path) -> None:
    control = start()
    journal = encode([started(1, leased=False), ended(1)])
    process = dying(short, "relay-0-1-1", journal)
    control.until(lambda: control.admin("status")["figures"]["halley_folded_requests_total"] == 1)
    assert relay(control, "relay-0-1-1").next(Folded).offset == len(journal)
    control.kill()
    assert relay(start(), "relay-0-1-1").next(Folded).offset == len(journal)
    process.kill()
    process.wait(20)


def test_a_revocation_is_pushed_at_once(start: Start_, relay: Start_) -> None:
    control = start()
    link = relay(control, "relay-0-1-1")
    before = link.next(Snapshot)
    control.admin("keys.revoke", '{"name":"starter"}')
    after = link.next(Snapshot)
    assert after.version > before.version and len(before.keys) == 1 and after.keys == ()


def test_folding_and_admin_calls_run_side_by_side(start: Start_, short: Path) -> None:
    control = start()
    records = [record for number in range(3000) for record in (started(number, leased=False), ended(number))]
    process = dying(short, "relay-0-1-1", encode(records))
    faults: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            for number in range(10):
                control.admin("keys.create", f'{{"name":"k{worker}-{number}"}}')
                control.admin("credit", '{"account":"default","amount":7}')
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert faults == []
    control.until(lambda: control.admin("status")["figures"]["halley_folded_requests_total"] == 3000)
    account = control.admin("accounts.show", '{"name":"default"}')["accounts"][0]
    assert (account["available"], account["owed"]) == (210, 300_000)
    assert differences(control, short) == []
    process.kill()
    process.wait(20)


def test_an_end_folds_everything_first(start: Start_, short: Path) -> None:
    control = start()
    process = dying(short, "relay-0-1-1", encode([started(1, leased=False), ended(1)]))
    process.kill()
    process.wait(20)
    assert control.stop() == 0
    assert list((short / "journal").iterdir()) == []
    assert sorted(path.name for path in (short / "run").iterdir()) == []


def test_a_hold_past_its_deadline_is_ended_counted_and_told_and_what_comes_late_changes_nothing(
    start: Start_, relay: Start_, short: Path
) -> None:
    control = start(Settings(upstream=Upstream(total_seconds=0.5)))
    control.admin("credit", '{"account":"default","amount":1000000}')
    name, journal = "relay-0-1-1", short / "journal" / "relay-0-1-1.0.jsonl"
    records = [started(1), started(2), Progress(started(2).request, 1.5, "p", Usage(5, 5), 70), msgspec.structs.replace(started(3), at=2e9)]
    process = dying(short, name, encode(records))
    link = relay(control, name)
    link.send(LeaseWanted("default", 3000, 3000))
    granted = link.next(Granted).granted
    control.until(lambda: control.admin("status")["figures"]["halley_swept_holds_total"] == 2)
    assert control.admin("status")["figures"]["halley_open_holds"] == 1, "one is not past its deadline"
    account = control.admin("accounts.show", '{"name":"default"}')["accounts"][0]
    assert (account["available"], account["held"]) == (1_000_000 - granted, granted - 70)
    with journal.open("ab") as late:
        late.write(encode([ended(1), ended(2)]))
    control.until(lambda: link.next(Folded).offset == journal.stat().st_size)
    assert control.admin("accounts.show", '{"name":"default"}')["accounts"][0]["held"] == granted - 70
    assert differences(control, short) == []
    process.kill()
    process.wait(20)
    link.close()
    control.until(lambda: control.admin("status")["relays_with_journal"] == [])
    account = control.admin("accounts.show", '{"name":"default"}')["accounts"][0]
    assert (account["available"], account["held"]) == (1_000_000 - 70, 0)
    assert differences(control, short) == []
    assert control.stop() == 0
    assert "holds past their deadline were ended" in control.errors()


def test_an_end_that_waits_in_the_journal_comes_before_the_sweeper(start: Start_, short: Path) -> None:
    control = start(Settings(upstream=Upstream(total_seconds=0.5)))
    assert control.stop() == 0
    process = dying(
        short, "relay-0-1-1", encode([record for number in range(5000) for record in (started(number, leased=False), ended(number))])
    )
    again = start(Settings(upstream=Upstream(total_seconds=0.01)))
    again.until(lambda: again.admin("status")["figures"]["halley_folded_requests_total"] == 5000)
    assert again.admin("status")["figures"]["halley_swept_holds_total"] == 0
    process.kill()
    process.wait(20)


def test_a_relay_whose_files_are_lost_is_closed_and_files_that_come_back_are_booked_once(start: Start_, relay: Start_, short: Path) -> None:
    control = start()
    control.admin("credit", '{"account":"default","amount":1000000}')
    name = "relay-0-1-1"
    process = dying(short, name, encode([started(1), ended(1), started(2), started(4)]))
    link = relay(control, name)
    link.send(LeaseWanted("default", 3000, 3000))
    link.next(Granted)
    control.until(lambda: control.admin("status")["figures"]["halley_open_holds"] == 2)
    process.kill()
    process.wait(20)
    control.kill()
    kept = (short / "journal" / f"{name}.0.jsonl").read_bytes() + encode([ended(2), started(3), ended(3)])
    for path in (short / "journal").iterdir():
        path.unlink()
    again = start()
    again.until(lambda: again.admin("status")["figures"]["halley_open_holds"] == 0)
    account = again.admin("accounts.show", '{"name":"default"}')["accounts"][0]
    assert (account["available"], account["held"]) == (1_000_000 - 100, 0), "two were released, nobody knew better"
    for _ in range(2):
        (short / "journal" / f"{name}.0.jsonl").write_bytes(kept)
        again.until(lambda: again.admin("status")["relays_with_journal"] == [])
        account = again.admin("accounts.show", '{"name":"default"}')["accounts"][0]
        assert (account["available"], account["held"]) == (1_000_000 - 200, 0), "the third is booked once; the second had ended"
        assert differences(again, short) == []
