"""Every kind of wrong row is found, and named: in a real store with several requests, one of them or one of its figures is falsified."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import pytest

from halley import pricelist
from halley.chat.usage import Usage
from halley.money import Price
from halley.policy import pricing
from halley.policy.snapshot import ModelRow
from halley.store import fold, prices
from halley.store.database import Store
from halley.store.journal import End, Progress, Start
from halley.store.replay import Position, Read
from halley.store.verify import verify
from tests.store.conftest import MODEL
from tests.store.raw import Database, Raw

RELAY = "relay-0-1-1"
Pair = Callable[..., tuple[Start, End]]
MIDDLE = f"req_{3:026d}"


@pytest.fixture
def planted(store: Store, database: Database, pair: Pair) -> Iterator[Raw]:
    """Seven requests in two batches: leased, not leased, with a loss, and one that is open at a relay that lives."""
    first = [*pair(), *pair("free"), *pair(loss=77_000)]
    second = [*pair(tokens=123), *pair("free", tokens=7), *pair(tokens=55)]
    start, _ = pair()
    second += [start, Progress(start.request, 1.5, "p", Usage(5, 5), 25_000)]
    for number, records in enumerate((first, second)):
        with store.begin() as connection:
            fold.fold(connection, RELAY, Read(tuple(records), (), Position(number + 1, 0, number + 1)), 3.0)
    assert found(store) == {}
    with database.unguarded() as raw:
        yield raw


def found(store: Store) -> dict[str, str]:
    """Subject to checks, several joined."""
    named: dict[str, str] = {}
    with store.begin() as connection:
        for each in verify(connection).differences:
            named[each.subject] = f"{named[each.subject]} {each.check}" if each.subject in named else each.check
    return named


def one(raw: Raw, statement: str, *values: object) -> int:
    """An id that the statement selects."""
    return int(raw.execute(statement, values).scalars().all()[0])


def test_an_entry_that_is_off_by_a_nano_dollar_is_named_by_its_posting_and_its_account(store: Store, planted: Raw) -> None:
    entries = planted.execute("SELECT id, posting, ledger_account, amount FROM entries").fetchall()
    assert len(entries) > 8
    for entry, posting, account, amount in entries:
        for by in (1, -1):
            planted.execute("UPDATE entries SET amount = ? WHERE id = ?", (amount + by or 1, entry))
            named = found(store)
            assert "postings_sum_to_zero" in named[f"posting {posting}"], (entry, by)
            assert "balances_are_sums" in named[account], (entry, by)
        planted.execute("UPDATE entries SET amount = ? WHERE id = ?", (amount, entry))
    assert found(store) == {}


def test_a_missing_entry_is_named_by_its_posting_and_its_account(store: Store, planted: Raw) -> None:
    for entry in planted.execute("SELECT id, posting, ledger_account, amount FROM entries").fetchall():
        planted.execute("DELETE FROM entries WHERE id = ?", (entry[0],))
        named = found(store)
        assert "postings_sum_to_zero" in named[f"posting {entry[1]}"]
        assert "balances_are_sums" in named[entry[2]]
        planted.execute("INSERT INTO entries (id, posting, ledger_account, amount) VALUES (?, ?, ?, ?)", entry)
    assert found(store) == {}


def test_a_balance_that_is_off_is_named(store: Store, planted: Raw) -> None:
    for (name,) in planted.execute("SELECT ledger_account FROM balances").fetchall():
        planted.execute("UPDATE balances SET amount = amount - 1 WHERE ledger_account = ?", (name,))
        assert "balances_are_sums" in found(store)[name]
        planted.execute("UPDATE balances SET amount = amount + 1 WHERE ledger_account = ?", (name,))
    planted.execute("DELETE FROM balances WHERE ledger_account = 'revenue'")
    assert found(store) == {"revenue": "balances_are_sums"}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE leases SET granted = granted + 1 WHERE account = 'acme'",
        "UPDATE leases SET granted = granted - 1 WHERE account = 'acme'",
        "UPDATE leases SET returned = returned + 1 WHERE account = 'acme'",
        "UPDATE leases SET charged = charged + 1 WHERE account = 'acme'",
        "UPDATE leases SET charged = charged - 1 WHERE account = 'acme'",
        "DELETE FROM leases",
    ],
)
def test_a_lease_whose_totals_are_off_is_named(store: Store, planted: Raw, statement: str) -> None:
    planted.execute(statement)
    assert found(store) == {"held:acme": "leases_add_up"}


def test_a_closed_lease_with_something_left_is_named(store: Store, planted: Raw) -> None:
    planted.execute("UPDATE leases SET closed_at = 9 WHERE account = 'acme'")
    assert found(store) == {f"acme at {RELAY}": "leases_add_up"}


@pytest.mark.parametrize("by", [1, -1])
def test_a_charge_that_usage_and_price_do_not_give_is_named(store: Store, planted: Raw, by: int) -> None:
    planted.execute("UPDATE requests SET charge = charge + ? WHERE id = ?", (by, MIDDLE))
    named = found(store)
    assert "charges_are_recomputable" in named[MIDDLE]
    assert any(check == "settlements_are_their_endings" for check in named.values())


MEDIA = pricelist.of(
    {
        "input": "1",
        "image_out": "30",
        "per_request": "0.002",
        "per_image": "0.04",
        "image": {"1024x1024/high": "0.167"},
        "per_second": "0.1",
        "per_character": "0.000015",
        "per_page": "0.001",
        "tool": {"web_search": "0.01"},
        "vendor": {"credits": "0.005"},
        "service_tier": {"flex": "0.5"},
    }
)


@pytest.mark.parametrize(
    "usage",
    [
        Usage(images=2),
        Usage(images=2, sizes={"1024x1024/high": 1}),
        Usage(milliseconds=8_500),
        Usage(characters=1200),
        Usage(pages=3),
        Usage(10, tools={"web_search": 2}),
        Usage(vendor={"credits": 20}),
        Usage(100, 50, image_out=40, service_tier="flex"),
    ],
    ids=lambda usage: msgspec.json.encode(usage).decode(),
)
def test_a_row_of_every_unit_is_recomputed_from_its_price_version(store: Store, database: Database, pair: Pair, usage: Usage) -> None:
    model = ModelRow("studio", "Sim", MEDIA, pricelist.version(MEDIA), ())
    start, end = pair()
    start = msgspec.structs.replace(start, model="studio", price_version=model.version, hold=10**12)
    end = msgspec.structs.replace(end, usage=usage, charge=pricing.charge(MEDIA, usage))
    assert end.charge > 2_000_000
    with store.begin() as connection:
        prices.remember(connection, (model,), 0.0)
        fold.fold(connection, RELAY, Read((start, end), (), Position(1, 0, 1)), 3.0)
    assert found(store) == {}
    with database.unguarded() as raw:
        raw.execute("UPDATE requests SET charge = charge + 1 WHERE id = ?", (start.request,))
    assert "charges_are_recomputable" in found(store)[start.request]


def test_a_sample_looks_at_the_newest_only(store: Store, planted: Raw) -> None:
    oldest = planted.execute("SELECT MIN(id) FROM requests WHERE ending = 'complete'").scalar_one()
    planted.execute("UPDATE requests SET usage = '{\"input\":1}' WHERE id = ?", (oldest,))
    with store.begin() as connection:
        assert [each.subject for each in verify(connection).differences] == [oldest]
        assert verify(connection, 2).differences == ()


def test_a_usage_or_a_price_that_does_not_give_the_charge_is_named(store: Store, planted: Raw) -> None:
    planted.execute("""UPDATE requests SET usage = '{"input":124,"output":123}' WHERE id = ?""", (MIDDLE,))
    assert found(store) == {MIDDLE: "charges_are_recomputable"}
    planted.execute("""UPDATE requests SET usage = '{"input":123,"output":123}' WHERE id = ?""", (MIDDLE,))
    planted.execute('UPDATE prices SET rates = \'{"input":1000000,"output":5000000}\'')
    assert MIDDLE in found(store)


def test_a_rate_that_is_off_is_named_by_its_version_whether_or_not_anything_was_charged_at_it(store: Store, planted: Raw) -> None:
    other = Price(input=1_000, output=2_000)
    unused = pricelist.version(other)
    for output in (2_001, 2_000):
        planted.execute("DELETE FROM prices WHERE version = ?", (unused,))
        planted.execute("INSERT INTO prices VALUES (?, ?, 0)", (unused, f'{{"input":1000,"output":{output}}}'))
        assert found(store) == ({unused: "versions_name_their_rates"} if output == 2_001 else {})
    planted.execute('UPDATE prices SET rates = \'{"input":1000000,"output":4000001}\' WHERE version = ?', (MODEL.version,))
    assert found(store)[MODEL.version] == "versions_name_their_rates"


@pytest.mark.parametrize("figure", ["charge", "loss", "requests", "failed"])
def test_a_day_that_is_off_by_one_is_named_by_its_account_date_key_and_model(store: Store, planted: Raw, figure: str) -> None:
    rows = planted.execute("SELECT account, day, key, model FROM usage_days").fetchall()
    assert len(rows) == 2
    for row in rows:
        account, day, key, model = row
        off = 0
        for by in (1, -2, 1):
            planted.execute(f"UPDATE usage_days SET {figure} = {figure} + ? WHERE account = ?", (by, account))  # noqa: S608 (one of four)
            off += by
            named = f"{account} on 1970-01-{day + 1:02d}: {key}, {model}"
            assert found(store) == ({named: "days_are_their_requests"} if off else {})


def test_what_one_day_has_too_much_and_another_too_little_is_named(store: Store, planted: Raw) -> None:
    """The account's sum is right."""
    planted.execute("INSERT INTO usage_days SELECT account, day + 1, key, model, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1.0 FROM usage_days")
    planted.execute("UPDATE usage_days SET charge = charge - 1 WHERE day = 0")
    assert found(store) == {
        f"{account} on 1970-01-0{day}: key_1, m": "days_are_their_requests" for account in ("acme", "free") for day in (1, 2)
    }


def test_a_posting_with_no_endings_is_named(store: Store, planted: Raw) -> None:
    planted.execute("INSERT INTO postings (id, at, kind, account) VALUES (500, 1.0, 'settle', 'free')")
    for account, amount in (("owed:free", -9), ("revenue", 9)):
        planted.execute("INSERT INTO entries (posting, ledger_account, amount) VALUES (500, ?, ?)", (account, amount))
        planted.execute("UPDATE balances SET amount = amount + ? WHERE ledger_account = ?", (amount, account))
    assert found(store) == {"posting 500": "settlements_are_their_endings"}


def test_an_ending_without_its_posting_is_named(store: Store, planted: Raw) -> None:
    posting = one(planted, "SELECT posting FROM requests WHERE id = ?", MIDDLE)
    planted.execute("UPDATE requests SET posting = NULL WHERE id = ?", (MIDDLE,))
    assert found(store) == {MIDDLE: "settlements_are_their_endings", f"posting {posting}": "settlements_are_their_endings"}


def test_an_ending_in_the_posting_of_another_is_named(store: Store, planted: Raw) -> None:
    ours = one(planted, "SELECT posting FROM requests WHERE id = ?", MIDDLE)
    other = one(planted, "SELECT posting FROM requests WHERE posting <> ?", ours)
    planted.execute("UPDATE requests SET posting = ? WHERE id = ?", (other, MIDDLE))
    assert {f"posting {ours}", f"posting {other}"} <= found(store).keys()


@pytest.mark.parametrize("database", ["sqlite", "postgresql, its own"], indirect=True)
def test_a_double_ending_is_named(store: Store, planted: Raw) -> None:
    """The database's own constraint is taken away first."""
    planted.execute("CREATE TABLE copy AS SELECT * FROM requests")
    planted.execute("DROP TABLE requests")
    planted.execute("ALTER TABLE copy RENAME TO requests")
    assert found(store) == {}
    planted.execute("INSERT INTO requests SELECT * FROM requests WHERE id = ?", (MIDDLE,))
    assert "requests_end" in found(store)[MIDDLE]


def test_an_open_request_without_a_living_relay_is_named(store: Store, planted: Raw) -> None:
    open_ = f"req_{6:026d}"
    planted.execute("UPDATE journals SET closed_at = 5")
    assert "requests_end" in found(store)[open_]
    planted.execute("DELETE FROM journals")
    assert "requests_end" in found(store)[open_]


def test_a_charge_above_its_hold_is_named(store: Store, planted: Raw) -> None:
    planted.execute("UPDATE requests SET hold = 1 WHERE id = ?", (MIDDLE,))
    assert "charges_fit_holds" in found(store)[MIDDLE]
