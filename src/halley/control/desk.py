"""The one writer of the store: folds journals, ends what dead relays left open, and says what relays should know. Credit is lent by its
lender.

Synchronous and used from one thread at a time (`control.turns`); it knows no sockets. Time comes in as `now`, Unix seconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from halley import crash
from halley.control.lender import Lender
from halley.control.plan import Plan
from halley.policy import catalogue
from halley.policy.snapshot import ModelRow, ProviderRow, Snapshot
from halley.store import (
    alerts,
    budgets,
    claims,
    customers,
    fold,
    kept,
    ledger,
    masterkey,
    nodes,
    people,
    prices,
    replay,
    sift,
    verify,
)
from halley.store.database import Away, Store, StoreLock, open_store
from halley.store.messages import (
    HELD,
    AnswerGone,
    Answers,
    AnswersWanted,
    Claim,
    ClaimGone,
    ClaimWanted,
    Source,
)
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
        self.lender = Lender(self.store, now)
        self._journals: dict[str, replay.Journal] = {}
        self._places: dict[str, replay.Position] = {}
        self._directory = plan.home / "journal"
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._detected: tuple[ModelRow, ...] = ()
        self._detected_providers: tuple[ProviderRow, ...] = ()
        self._version = 0
        self.models: tuple[ModelRow, ...] = ()
        if self.shares:
            self.beat()

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
            people.ensure_operator(connection, at)
            budgets.adopt_teams(connection, plan.teams, at)
            customers.adopt_keys(connection, self.store.pepper, plan.keys, at)
            budgets.adopt(connection, plan.teams, plan.budgets, at)
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
            people.ensure_operator(connection, self.now())
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
        with self.store.read() as connection:
            keys, accounts = customers.snapshot_rows(connection)
            limits = budgets.snapshot_rows(connection)
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
            limits,
        )

    def _build_models(self) -> None:
        plan = self.plan
        built = {model.id: model for model in (*self._detected, *catalogue.build(plan.models, plan.providers, plan.markup))}
        self.models = tuple(built[name] for name in sorted(built))
        with self.store.begin() as connection:
            prices.remember(connection, self.models, self.now())

    # ---- other nodes of the same database -----------------------------------------------------------------------------------------

    @property
    def shares(self) -> bool:
        """Whether other nodes may have the same database."""
        return self.store.node != nodes.ALONE

    def beat(self) -> nodes.News:
        """This node is there; what it hears of the others."""
        with self.store.begin() as connection:
            return nodes.beat(connection, self.store.node, self.now())

    def announced(self) -> Snapshot:
        """As `snapshot`, after a change that relays of all nodes must hear of."""
        if self.shares:
            with self.store.begin() as connection:
                nodes.announce(connection, self.store.node)
        return self.snapshot()

    def want(self, sources: Sequence[Source]) -> None:
        """What relays here lack, and relays of other nodes may have."""
        with self.store.begin() as connection:
            nodes.want(connection, self.store.node, sources)

    # ---- journals -----------------------------------------------------------------------------------------------------------------

    def journals(self) -> list[str]:
        """Relays with a journal here, dead or alive."""
        return replay.relays(self._directory)

    def borrowers(self) -> list[str]:
        """Relays with a journal, an open lease, or an unclosed place in the ledger: one whose files are lost must end all the same."""
        with self.store.read() as connection:
            known = nodes.borrowers(connection, self.store.node, self.now())
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
        try:
            self.folded_requests += sift.book(self.store, relay, read, self.now())
        except Away:
            del self._places[relay]  # whether it was committed only the store knows
            raise
        self._places[relay] = read.after
        if read.after.segment > place.segment:
            journal.forget_before(read.after.segment)
        return read.after.offset

    def folded(self, relay: str) -> int:
        """How many bytes of a relay's journal are in the ledger."""
        with self.store.read() as connection:
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
            relays = nodes.overdue(connection, self.store.node, before, at)
        swept: dict[str, int] = {}
        for relay in sorted(relays):
            while self.fold(relay) is not None:
                pass  # their ends may be in the journal, behind a backlog
            with self.store.begin() as connection:
                count = fold.expire(connection, relay, before, at)
                if count:
                    alerts.raise_alert(connection, alerts.SWEPT, {"relay": relay, "count": count}, at)
            if count:
                swept[relay] = count
        self.swept_holds += sum(swept.values())
        return swept

    def differ(self, found: verify.Found) -> None:
        """The ledger was proved, and it does not agree with itself."""
        first = found.differences[0]
        data = {"count": len(found.differences), "check": first.check, "subject": first.subject, "detail": first.detail}
        at = self.now()
        with self.store.begin() as connection:
            # Of several nodes that prove one ledger the first tells it.
            if not self.shares or not alerts.was_raised(connection, alerts.DIFFERENCE, at - self.plan.ledger_check_s / 2):
                alerts.raise_alert(connection, alerts.DIFFERENCE, data, at)

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
            with self.store.read() as connection:
                place = self._places[relay] = fold.position(connection, relay)
        return place

    def _journal(self, relay: str) -> replay.Journal:
        journal = self._journals.get(relay)
        if journal is None:
            journal = self._journals[relay] = replay.Journal(self._directory, relay)
        return journal

    # ---- answers that are kept ----------------------------------------------------------------------------------------------------

    def answers(self, wanted: AnswersWanted) -> Answers:
        """What the store has of them. Their records may still be in a journal: what is not found is folded for."""
        found = self._answers(wanted)
        if (wanted.last is not None and not found.line) or len(found.others) < len(wanted.others):
            self._fold_all()
            found = self._answers(wanted)
        return found

    def _fold_all(self) -> list[str]:
        """What is in the journals now; whose they are."""
        relays = self.journals()
        for relay in relays:
            while self.fold(relay) is not None:
                pass
        return relays

    def _answers(self, wanted: AnswersWanted) -> Answers:
        with self.store.read() as connection:
            line = () if wanted.last is None else kept.line(connection, wanted.account, wanted.last)
            others = (kept.find(connection, wanted.account, each) for each in wanted.others[: kept.MOST_ANSWERS])
            return Answers(wanted.question, line, tuple(each for each in others if each is not None))

    def forget_answer(self, gone: AnswerGone) -> None:
        with self.store.begin() as connection:
            kept.forget(connection, gone.account, gone.answer)

    def expire(self) -> int:
        """Answers and claims older than they are kept; how many there were."""
        now, plan = self.now(), self.plan
        with self.store.begin() as connection:
            return kept.expire(connection, now - plan.answers_kept_s) + claims.expire(connection, now - plan.claims_kept_s)

    # ---- Idempotency-Keys ---------------------------------------------------------------------------------------------------------

    def claim(self, relay: str, wanted: ClaimWanted) -> Answers:
        """The key for a request of the relay's, or how it stands with it. The end of what runs may be in a journal: it is folded for."""
        found = self._claim(relay, wanted, ())
        if found.standing != HELD and not found.ending:
            found = self._claim(relay, wanted, self._fold_all())
        return Answers(wanted.question, claim=found)

    def _claim(self, relay: str, wanted: ClaimWanted, folded: Sequence[str]) -> Claim:
        with self.store.begin() as connection:
            return claims.claim(connection, wanted, relay, self.now(), self.plan.claims_kept_s, folded)

    def forget_claim(self, gone: ClaimGone) -> None:
        with self.store.begin() as connection:
            claims.forget(connection, gone)

    # ---- figures ------------------------------------------------------------------------------------------------------------------

    def figures(self) -> dict[str, int]:
        """Control's own metrics."""
        with self.store.read() as connection:
            values = {"halley_open_leases": ledger.count_open_leases(connection), "halley_open_holds": fold.count_open(connection)}
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
