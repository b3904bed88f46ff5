"""The one writer of the store: folds journals, lends credit, ends what dead relays left open, and says what relays should know.

Synchronous and used from one thread at a time (`control.turns`); it knows no sockets. Time comes in as `now`, Unix seconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from halley import crash
from halley.control.plan import Plan
from halley.money import NanoDollars
from halley.policy import catalogue
from halley.policy.snapshot import ModelRow, ProviderRow, Snapshot
from halley.store import customers, fold, ledger, masterkey, replay, sift
from halley.store.database import Store, StoreLock, open_store
from halley.store.messages import LeaseState
from halley.store.values import Limits, Rotated
from halley.store.vault import VaultError

STARTER = "starter"


class Desk:
    def __init__(self, plan: Plan, environ: Mapping[str, str], now: Callable[[], float] = time.time) -> None:
        self.plan = plan
        self.now = now
        self.folded_requests = 0
        self.swept_holds = 0
        plan.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._environ = environ
        self._lock = StoreLock(plan.home)
        self.store: Store = open_store(plan.store_url, plan.home, plan.master_key, environ)
        self._journals: dict[str, replay.Journal] = {}
        self._places: dict[str, replay.Position] = {}
        self._directory = plan.home / "journal"
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._detected: tuple[ModelRow, ...] = ()
        self._detected_providers: tuple[ProviderRow, ...] = ()
        self._version = 0
        self.models: tuple[ModelRow, ...] = ()

    def close(self) -> None:
        for journal in self._journals.values():
            journal.close()
        self.store.close()
        self._lock.release()

    # ---- what relays know ---------------------------------------------------------------------------------------------------------

    def settle_in(self) -> None:
        """At start: the file's accounts and keys, account `default`, and the starter key of a first start."""
        plan, at = self.plan, self.now()
        with self.store.begin() as connection:
            customers.adopt_accounts(connection, plan.accounts, at)
            customers.ensure_default(connection, at)
            customers.adopt_keys(connection, self.store.pepper, plan.keys, at)
            if all(key.name != STARTER for key in customers.list_keys(connection)):
                text, _ = customers.create_key(connection, self.store.pepper, STARTER, customers.DEFAULT, Limits(), at)
                # The file stands before the row is committed: a key without its text would be lost.
                _write_private(plan.home / "starter-key", text.reveal() + "\n")
                crash.here("control.starter.written")
        self._build_models()

    def look_in(self) -> None:
        """At the start of a single command: as much of `settle_in` as does not depend on which file the gateway is started with."""
        with self.store.begin() as connection:
            customers.ensure_default(connection, self.now())
        self._build_models()

    def rotate_master_key(self, expected: str) -> Rotated:
        """A new master key. Raises VaultError, also when `expected` names another place than the one in use here; Unwiped."""
        if expected and str(masterkey.place(expected, self.plan.home, self._environ)) != self.store.master_key:
            raise VaultError(f"The master key in use here is {self.store.master_key}, which is not what was named; nothing was changed.")
        return self.store.rotate_master_key()

    def detected(self, providers: tuple[ProviderRow, ...], models: tuple[ModelRow, ...]) -> None:
        """Model servers that were found on loopback, to be offered beside the configured ones."""
        self._detected_providers, self._detected = providers, models
        self._build_models()

    def snapshot(self) -> Snapshot:
        """What every relay should know now; each call has a greater version, also after a restart."""
        plan = self.plan
        self._version = max(self._version + 1, int(self.now() * 1000))
        with self.store.begin() as connection:
            keys, accounts = customers.snapshot_rows(connection)
        return Snapshot(
            self._version,
            self.store.pepper,
            keys,
            accounts,
            (*plan.providers, *self._detected_providers),
            self.models,
            plan.after_break,
            plan.default_output_cap,
            plan.public_url,
        )

    def _build_models(self) -> None:
        plan = self.plan
        built = {model.id: model for model in (*self._detected, *catalogue.build(plan.models, plan.providers, plan.markup))}
        self.models = tuple(built[name] for name in sorted(built))
        with self.store.begin() as connection:
            customers.remember_prices(connection, self.models, self.now())

    # ---- journals -----------------------------------------------------------------------------------------------------------------

    def journals(self) -> list[str]:
        """Relays with a journal here, dead or alive."""
        return replay.relays(self._directory)

    def borrowers(self) -> list[str]:
        """Relays with a journal, an open lease, or an unclosed place in the ledger: one whose files are lost must end all the same."""
        with self.store.begin() as connection:
            known = {lease.relay for lease in ledger.open_leases(connection)}.union(fold.unclosed(connection))
        return sorted(known.union(self.journals()))

    def secure(self, relay: str) -> int:
        """Make a relay's journal durable. Returns how many bytes of it wait to be folded."""
        return self._journal(relay).secure(self._place(relay))

    def fold(self, relay: str) -> int | None:
        """One batch of a relay's journal. Returns the offset that the ledger now covers, None when there was nothing to fold."""
        journal, place = self._journal(relay), self._place(relay)
        read = journal.read(place)
        if read is None:
            return None
        self.folded_requests += sift.book(self.store, relay, read, self.now())
        self._places[relay] = read.after
        if read.after.segment > place.segment:
            journal.forget_before(read.after.segment)
        return read.after.offset

    def folded(self, relay: str) -> int:
        """How many bytes of a relay's journal are in the ledger."""
        with self.store.begin() as connection:
            return fold.position(connection, relay).offset

    def end_if_gone(self, relay: str) -> bool:
        """When nobody holds the relay's lock: fold to its end, end what it left open, close its leases, delete its files."""
        journal = self._journal(relay)
        with journal.gone() as gone:
            if not gone:
                return False
            while self.fold(relay) is not None:
                pass
            with self.store.begin() as connection:
                ended = fold.end_of_relay(connection, relay, self.now())
                crash.here("control.relay_end.uncommitted")
            self.folded_requests += ended
            crash.here("control.relay_end.committed")
            journal.delete()
        del self._journals[relay]
        self._places.pop(relay, None)
        return True

    def sweep(self) -> dict[str, int]:
        """End the holds that are past their deadline although their relay lives; how many, by relay. There should be none."""
        at = self.now()
        before = at - self.plan.hold_seconds
        with self.store.begin() as connection:
            relays = fold.overdue(connection, before)
        swept: dict[str, int] = {}
        for relay in sorted(relays):
            while self.fold(relay) is not None:
                pass  # their ends may be in the journal, behind a backlog
            with self.store.begin() as connection:
                count = fold.expire(connection, relay, before, at)
            if count:
                swept[relay] = count
        self.swept_holds += sum(swept.values())
        return swept

    def lag(self) -> int:
        """Journal bytes that are on disk and not in the ledger."""
        behind = 0
        for relay, place in self._places.items():
            journal = self._journals[relay]
            behind += max(journal.size(place.segment) - place.position, 0)
        return behind

    def _place(self, relay: str) -> replay.Position:
        place = self._places.get(relay)
        if place is None:
            with self.store.begin() as connection:
                place = self._places[relay] = fold.position(connection, relay)
        return place

    def _journal(self, relay: str) -> replay.Journal:
        journal = self._journals.get(relay)
        if journal is None:
            journal = self._journals[relay] = replay.Journal(self._directory, relay)
        return journal

    # ---- leases -------------------------------------------------------------------------------------------------------------------

    def meet(self, relay: str, states: tuple[LeaseState, ...]) -> None:
        """A relay said hello: of both sides' totals the greater ones are true."""
        at = self.now()
        with self.store.begin() as connection:
            for state in states:
                known = ledger.lease(connection, state.account, relay)
                missing = state.granted - (known.granted if known is not None else 0)
                if missing > 0:
                    ledger.grant(connection, state.account, relay, missing, at)
                ledger.take_back(connection, state.account, relay, state.returned, at)

    def lend(self, account: str, relay: str, need: NanoDollars) -> NanoDollars | None:
        """The lease's total after lending what the account has for `need`; None when it covers the need only in part or not at all."""
        with self.store.begin() as connection:
            credit = ledger.balance(connection, ledger.available(account))
            # An account that became unlimited a moment ago may still be asked for: its relay learns of it with the next snapshot.
            amount = need if customers.is_unlimited(connection, account) else ledger.size_of_grant(credit, need, need)
            total = ledger.grant(connection, account, relay, amount, self.now()) if amount else None
            crash.here("control.lease.uncommitted")
        crash.here("control.lease.committed")
        return total

    def lend_rest(self, account: str, relay: str, need: NanoDollars, least: NanoDollars) -> NanoDollars:
        """As `lend`, but with less than the need if that is at least `least`, else the total as it was."""
        with self.store.begin() as connection:
            amount = ledger.size_of_grant(ledger.balance(connection, ledger.available(account)), need, least)
            if amount:
                return ledger.grant(connection, account, relay, amount, self.now())
            known = ledger.lease(connection, account, relay)
            return known.granted if known is not None else 0

    def take_back(self, account: str, relay: str, returned: NanoDollars) -> None:
        with self.store.begin() as connection:
            ledger.take_back(connection, account, relay, returned, self.now())

    def lenders(self, account: str, but: str) -> list[str]:
        """Other relays that hold credit of the account."""
        with self.store.begin() as connection:
            return [lease.relay for lease in ledger.open_leases(connection, account) if lease.relay != but and lease.outstanding > 0]

    def figures(self) -> dict[str, int]:
        """Control's own metrics."""
        with self.store.begin() as connection:
            values = {
                "halley_open_leases": ledger.count_open_leases(connection),
                "halley_open_holds": fold.count_open(connection),
            }
        return values | {
            "halley_journal_lag_bytes": self.lag(),
            "halley_folded_requests_total": self.folded_requests,
            "halley_swept_holds_total": self.swept_holds,
        }


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all, readable by the owner only."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
