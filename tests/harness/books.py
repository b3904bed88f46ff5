"""What a home has in writing: rows of its store and lines of its journals, read as a stranger would, with none of the product's code.

Journals are deleted when they are in the ledger; `keep` holds on to them with hard links, so that they can still be compared afterwards.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

# What stands in which place of a journal's line, after the name of its kind.
_PLACES = {
    "start": "request at account key route model price_version hold leased stream input_estimate client_request_id pots",
    "progress": "request at provider usage charge",
    "end": "request at ending status provider usage estimated charge loss attempts",
}
_SEGMENT = re.compile(r"(?P<relay>.+)\.(?P<number>\d+)\.jsonl")


class Tokens(NamedTuple):
    input: int
    output: int


class Row(NamedTuple):
    """A hold and its ending in the ledger; `ending` is empty while there is none. `detail` is the whole usage, by its names."""

    id: str
    account: str
    relay: str
    model: str
    price_version: str
    hold: int
    ending: str
    status: int
    charge: int
    loss: int
    estimated: bool
    usage: Tokens
    detail: Mapping[str, int]
    attempts: int


class Line(NamedTuple):
    """A whole line of a journal; `folded` says that the ledger's place is behind it."""

    relay: str
    folded: bool
    kind: str
    content: dict[str, Any]


class Journals(NamedTuple):
    """`whole` are the relays whose journal is here from its first segment to the ledger's place."""

    lines: tuple[Line, ...]
    whole: frozenset[str]


# Homes whose store is no file of theirs, and who makes a copy of it.
_ELSEWHERE: dict[Path, Callable[[], sqlite3.Connection]] = {}


def elsewhere(home: Path, copy: Callable[[], sqlite3.Connection]) -> None:
    """The home's store is in another database: `copy` has its tables, as of one moment, in SQLite."""
    _ELSEWHERE[home] = copy


@contextmanager
def store(home: Path) -> Iterator[sqlite3.Connection]:
    """The SQLite store as a file, for reading only, as of one moment."""
    if home in _ELSEWHERE:
        with closing(_ELSEWHERE[home]()) as copied:
            copied.row_factory = sqlite3.Row
            yield copied
        return
    with closing(sqlite3.connect(f"file:{home / 'halley.db'}?mode=ro", uri=True, timeout=10.0)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("BEGIN")
        yield connection


def requests(connection: sqlite3.Connection, since: float = 0.0) -> Iterator[Row]:
    """Those that were admitted from then on, Unix seconds."""
    for row in connection.execute("SELECT * FROM requests WHERE at >= ?", (since,)):
        usage: dict[str, Any] = json.loads(row["usage"] or "{}")
        yield Row(
            row["id"],
            row["account"],
            row["relay"],
            row["model"],
            row["price_version"],
            row["hold"],
            row["ending"] or "",
            row["status"] or 0,
            row["charge"] or 0,
            row["loss"] or 0,
            bool(row["estimated"]),
            Tokens(usage.get("input", 0), usage.get("output", 0)),
            usage,
            row["attempts"] or 0,
        )


def balances(connection: sqlite3.Connection) -> dict[str, int]:
    return {row["ledger_account"]: row["amount"] for row in connection.execute("SELECT * FROM balances")}


def credited(connection: sqlite3.Connection) -> dict[str, int]:
    """By account, what came in."""
    query = (
        "SELECT account, SUM(amount) AS amount FROM entries JOIN postings ON postings.id = entries.posting"
        " WHERE kind = 'credit' AND ledger_account LIKE 'available:%' GROUP BY account"
    )
    return {row["account"]: row["amount"] for row in connection.execute(query)}


def charged(connection: sqlite3.Connection) -> dict[tuple[str, bool], int]:
    """By account, what was spent out of leases (True) and without (False)."""
    query = "SELECT account, leased, SUM(charge) AS charge FROM requests WHERE ending IS NOT NULL GROUP BY account, leased"
    return {(row["account"], bool(row["leased"])): row["charge"] for row in connection.execute(query)}


def pots(connection: sqlite3.Connection) -> dict[tuple[str, int, str], tuple[int, int]]:
    """By budget, start of the period and end user: what is spent, and what is lent."""
    return {(row["budget"], row["start"], row["user"]): (row["spent"], row["lent"]) for row in connection.execute("SELECT * FROM pots")}


def pot_leases(connection: sqlite3.Connection) -> Iterator[tuple[tuple[str, int, str], int, int]]:
    """The place of a pot, what one relay has spent of it, and what it was lent and has not returned."""
    for row in connection.execute("SELECT * FROM pot_leases"):
        yield (row["budget"], row["start"], row["user"]), row["charged"], row["granted"] - row["returned"]


def budgeted(connection: sqlite3.Connection) -> Iterator[tuple[str, tuple[str, int, str], int]]:
    """Requests that were held in pots: id, place of the pot, and the charge once there is one."""
    query = "SELECT p.request, p.budget, p.start, p.user, r.charge FROM request_pots AS p JOIN requests AS r ON r.id = p.request"
    for row in connection.execute(query):
        yield row["request"], (row["budget"], row["start"], row["user"]), row["charge"] or 0


def rates(connection: sqlite3.Connection) -> dict[str, dict[str, int]]:
    """By price version, pico-dollars per unit."""
    return {row["version"]: json.loads(row["rates"]) for row in connection.execute("SELECT * FROM prices")}


def pepper(home: Path) -> bytes:
    """The pepper as it lies in the store, under the master key."""
    with store(home) as connection:
        (wrapped,) = connection.execute("SELECT wrapped FROM secrets WHERE name = 'pepper'").fetchone()
    return bytes.fromhex(wrapped.removeprefix("\\x")) if isinstance(wrapped, str) else bytes(wrapped)


# ---- journals --------------------------------------------------------------------------------------------------------------------------


def keep(home: Path, place: Path) -> None:
    """A second name for every segment that is there now; what is written to it later is kept too."""
    place.mkdir(exist_ok=True)
    for path in (home / "journal").glob("*.jsonl"):
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            os.link(path, place / path.name)


def journals(connection: sqlite3.Connection, *places: Path, since: float = 0.0) -> Journals:
    """Every segment in the places, each once, and of its lines those that were written from then on, Unix seconds.

    A last line without its end was never written; a line that is no JSON is verify's matter.
    """
    at = {row["relay"]: (row["segment"], row["position"]) for row in connection.execute("SELECT * FROM journals")}
    closed = {row["relay"] for row in connection.execute("SELECT relay FROM journals WHERE closed_at IS NOT NULL")}
    files = {path.name: path for place in places if place.is_dir() for path in place.iterdir()}
    found: list[tuple[str, int, Path]] = []
    for name, path in files.items():
        if segment := _SEGMENT.fullmatch(name):
            found.append((segment["relay"], int(segment["number"]), path))
    lines: list[Line] = []
    there: set[tuple[str, int]] = set()
    for relay, number, path in sorted(found):
        position = 0
        try:
            text = path.read_bytes()
        except FileNotFoundError:  # it was looked for before control deleted it
            continue
        there.add((relay, number))
        for line in text.split(b"\n")[:-1]:
            position += len(line) + 1
            with contextlib.suppress(ValueError):
                kind, *values = json.loads(line)
                if kind in ("kept", "sealed"):  # these move no money
                    continue
                # The shorter of both: what an end says beyond its attempts is of no account.
                content = dict(zip(_PLACES[kind].split(), values, strict=False))
                if content["at"] < since:
                    continue
                lines.append(Line(relay, relay in closed or (number, position) <= at.get(relay, (-1, 0)), kind, content))
    whole = {relay for relay, (last, _) in at.items() if all((relay, number) in there for number in range(last + 1))}
    return Journals(tuple(lines), frozenset(whole))
