"""Nodes that share one database: who is there, whose relays are whose, and what one node asks of the others.

A node is a HALLEY_HOME: its id lies there in a file, and its row says when its control process was last seen. On a database of its own a
node has the id "", no row, and every relay is its own. A node that was not seen for long is lost: any other ends its relays, and if it
comes back its journals are folded all the same.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import BigInteger, Column, ColumnElement, Connection, Float, Table, Text, or_, select, true, update

from halley.store.bulk import inserting
from halley.store.messages import Source
from halley.store.schema import journals, leases, metadata, requests

# A node that was not seen for so long is lost, seconds. By then its relays, if they live, have long refused new paid work
# (`[billing] journal_lag_seconds`).
LOST_S: Final = 900.0
# One that was seen within this time runs, seconds; each says every second that it is there.
RUNS_S: Final = 15.0
ALONE: Final = ""

# Nothing else reads or writes it. `changes` counts what relays of the other nodes must hear of; `wants` is the credit that this node's
# relays lack and others may have, as JSON.
nodes = Table(
    "nodes",
    metadata,
    Column("id", Text, primary_key=True),
    Column("seen_at", Float, nullable=False),
    Column("changes", BigInteger, nullable=False),
    Column("wants", Text),
)


class News(NamedTuple):
    """What a node hears of the others: how many changes there were, and what they lack."""

    changes: int
    wanted: tuple[Source, ...]


def own_id(home: Path) -> str:
    """The node's id, made at its first start."""
    path = home / "node"
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        made = secrets.token_hex(8)
        draft = home / "node.new"
        draft.write_text(f"{made}\n", encoding="ascii")
        draft.replace(path)
        return made


def beat(connection: Connection, node: str, at: float) -> News:
    """This node is there; what it hears of the others."""
    statement = inserting(connection.dialect, nodes).values(id=node, seen_at=at, changes=0)
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_={"seen_at": at}))
    others = connection.execute(select(nodes.c.changes, nodes.c.wants, nodes.c.seen_at).where(nodes.c.id != node)).all()
    fresh = (row.wants for row in others if row.wants and row.seen_at > at - LOST_S)
    wanted = {source: None for text in fresh for source in msgspec.json.decode(text, type=tuple[Source, ...])}
    return News(sum(row.changes for row in others), tuple(wanted))


def running(connection: Connection, node: str, at: float) -> list[str]:
    """The other nodes that run now, by their ids."""
    return list(connection.scalars(select(nodes.c.id).where(nodes.c.id != node, nodes.c.seen_at > at - RUNS_S).order_by(nodes.c.id)))


def announce(connection: Connection, node: str) -> None:
    """Relays of the other nodes must hear of what was changed here."""
    connection.execute(update(nodes).where(nodes.c.id == node).values(changes=nodes.c.changes + 1))


def want(connection: Connection, node: str, sources: Sequence[Source]) -> None:
    """What the relays of this node lack now; of the others whoever has some gives it back."""
    text = msgspec.json.encode(sources).decode() if sources else None
    connection.execute(update(nodes).where(nodes.c.id == node).values(wants=text))


def introduce(connection: Connection, relay: str, node: str) -> None:
    """The relay is this node's, and lives."""
    statement = inserting(connection.dialect, journals).values(relay=relay, offset=0, segment=0, position=0, node=node)
    connection.execute(statement.on_conflict_do_update(index_elements=["relay"], set_={"node": node, "closed_at": None}))


def borrowers(connection: Connection, node: str, at: float) -> set[str]:
    """Relays of this node, and of those that are lost, with an open lease or an unclosed place in the ledger."""
    ours = _is_ours(node, at)
    unclosed = select(journals.c.relay).where(journals.c.closed_at.is_(None), ours)
    lent = select(leases.c.relay).outerjoin(journals, journals.c.relay == leases.c.relay).where(leases.c.closed_at.is_(None), ours)
    return set(connection.scalars(unclosed)) | set(connection.scalars(lent))


def overdue(connection: Connection, node: str, before: float, at: float) -> set[str]:
    """Those of the same relays that have a hold open which began before then, Unix seconds."""
    late = select(requests.c.relay).join(journals, journals.c.relay == requests.c.relay, isouter=True)
    return set(connection.scalars(late.where(requests.c.at < before, requests.c.ending.is_(None), _is_ours(node, at)).distinct()))


def _is_ours(node: str, at: float) -> ColumnElement[bool]:
    if node == ALONE:
        return true()
    lost = select(nodes.c.id).where(nodes.c.seen_at < at - LOST_S)
    return or_(journals.c.node.is_(None), journals.c.node == node, journals.c.node.in_(lost))
