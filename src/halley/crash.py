"""Crash points: the places where a kill -9 hurts most, by name, so that a campaign can hit each of them on purpose.

Two keys arm one: `HALLEY_CRASH` names it, and a permit (an empty file of the point's name) lies in `HALLEY_HOME/crash`. No command makes
permits, and the crash uses its own up: one permit, one death. A process that is armed says so in its log, loudly, before anything else.
Unarmed, `here` does nothing; the relay's points are not even there, because `serve.crashes` wraps them around its methods only when armed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from typing import Final

from halley import logs
from halley.errors import HalleyError

VARIABLE: Final = "HALLEY_CRASH"
# Within HALLEY_HOME.
PERMITS: Final = "crash"

POINTS: Final[dict[str, str]] = {
    "relay.start.unwritten": "start records are queued, and none of them is written",
    "relay.start.written": "start records are written, and nothing has gone upstream",
    "relay.write.torn": "half of the last line of a write to the journal is in the file",
    "relay.call.sent": "the upstream has the request",
    "relay.first_byte": "the client has the first bytes of a stream",
    "relay.progress.written": "a progress record is written",
    "relay.end.unwritten": "the upstream has said everything, and end records are not written",
    "relay.end.written": "end records are written, and no client has its last bytes",
    "relay.last_bytes.unsent": "others of the same write have their last bytes, and one client has not",
    "relay.answer.sent": "a client has its last bytes",
    "relay.segment.opened": "the journal's next segment exists, and the relay still writes to the old one",
    "relay.segment.begun": "the relay has changed to the next segment, and written nothing to it",
    "relay.lease.granted": "control has lent credit, and the relay has not taken note of it",
    "relay.lease.returned": "the relay has given credit back, and control may not have heard it",
    "control.fold.read": "a batch of a journal is read, and nothing of it is in the ledger",
    "control.fold.uncommitted": "a batch is written to the ledger, and not committed",
    "control.fold.committed": "a batch is committed, and its relay has not been told",
    "control.lease.uncommitted": "credit is lent, and not committed",
    "control.lease.committed": "the loan is committed, and the relay has not been told",
    "control.relay_end.uncommitted": "what a dead relay left open is ended, and not committed",
    "control.relay_end.committed": "a dead relay is closed in the ledger, and its journal is still there",
    "control.relay_end.unlocked": "a dead relay's segments are deleted, and its lock is still there",
    "control.key.uncommitted": "a key is written, and not committed",
    "control.key.committed": "a key is committed, and nobody has seen its text",
    "control.payment.uncommitted": "a payment is credited, and not committed",
    "control.payment.committed": "a payment is credited, and who told it has not heard",
    "control.starter.written": "the starter key's file is there, and its row is not committed",
    "control.rotation.drafted": "the next master key is on disk, and nothing is under it",
    "control.rotation.uncommitted": "everything is wrapped anew, and not committed",
    "control.rotation.committed": "the store is under the next master key, and the old wrappings are still in the database's log",
    "control.rotation.backup": "one backup is under the next master key, and others may not be",
    "control.rotation.wiped": "nothing is under the old master key, and it is still in its place",
    "control.rotation.promoted": "the next master key has taken the old one's place, and nobody has been told",
    "control.migration.begun": "the store is about to be migrated",
    "control.migration.statement": "a statement of a migration is done, and others are not",
    "control.migration.uncommitted": "the store is migrated, and not committed",
    "control.migration.committed": "the store is migrated, and its pepper is not made",
    "move.committed": "the store is in PostgreSQL, and nothing beside the SQLite file says so",
}

_log = logs.get("halley.crash")


class CannotArm(HalleyError):
    """`HALLEY_CRASH` says something that is no crash point."""


class Armed:
    """The one point at which this process dies, and at which time of passing it."""

    __slots__ = ("_left", "name", "permit")

    def __init__(self, name: str, nth: int, permit: str) -> None:
        self.name = name
        self.permit = permit
        self._left = nth

    def due(self, name: str) -> bool:
        """Whether to die here and now: it is the point, its time has come, and no other process was faster to take the permit."""
        if name != self.name:
            return False
        self._left -= 1
        if self._left:
            return False
        try:
            os.unlink(self.permit)
        except FileNotFoundError:
            return False
        return True


def never(name: str) -> bool:
    """What `due` is in a process that is not armed."""
    del name
    return False


def nothing(name: str) -> None:
    """What `here` is in a process that is not armed."""
    del name


def _die_here(name: str) -> None:
    if due(name):
        die()


def die() -> None:
    """As `kill -9` does: nothing is flushed, closed or said."""
    os.kill(os.getpid(), signal.SIGKILL)


due: Callable[[str], bool] = never
here: Callable[[str], None] = nothing


def arm(role: str, home: str, environ: Mapping[str, str]) -> str:
    """Arms the first point of `role` in `HALLEY_CRASH` (`NAME[:NTH]`, several with commas) whose permit is there; its name, "" for none.

    Raises CannotArm for a name that is none, whatever the role.
    """
    global due, here
    for wanted in filter(None, environ.get(VARIABLE, "").split(",")):
        name, _, nth = wanted.strip().partition(":")
        if name not in POINTS or not (nth or "1").isdecimal() or not int(nth or "1"):
            raise CannotArm(f"{VARIABLE} names {wanted!r}; it takes NAME or NAME:NTH, and these names: {', '.join(POINTS)}.")
        permit = os.path.join(home, PERMITS, name)
        if name.startswith(f"{role}.") and os.path.exists(permit):
            armed = Armed(name, int(nth or "1"), permit)
            due, here = armed.due, _die_here
            _log.error("THIS PROCESS WILL KILL ITSELF: a crash point is armed", name=name, count=int(nth or "1"), path=permit)
            return name
    return ""
