"""The way from one schema to the next: all steps in one transaction, or on paper.

What a migration would send is found out without a database: the same revisions write their statements into a text. So a plan costs nothing
and locks nothing, whatever is in the store.
"""

from __future__ import annotations

import io
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, event, func, select, table

from halley import crash

_PLACE = Path(__file__).parent / "migrations"
# Where a statement names a table of which it reads or writes rows, or builds an index.
_TOUCHED = re.compile(r"\b(?:FROM|JOIN|UPDATE|ON|DROP TABLE)\s+\"?(\w+)\"?")
# Of those that begin like this no row is touched, whatever they name.
_ROWLESS = ("CREATE TABLE", "CREATE TRIGGER", "CREATE FUNCTION", "ALTER TABLE")


class Step(msgspec.Struct, frozen=True):
    """One migration: what it would send, and of how many rows it reads or writes at most, as many as there are now."""

    revision: str
    does: str
    statements: tuple[str, ...]
    rows: int = 0


def known() -> list[str]:
    """Every revision, the first one first. Cheap: the names of files."""
    return sorted(path.name[:4] for path in (_PLACE / "versions").glob("[0-9]*_*.py"))


def upgrade(connection: Connection, to: str = "head") -> None:
    """Within the connection's transaction."""
    # alembic takes longer to import than a start may take; it is needed only when the schema moves.
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    event.listen(connection, "after_cursor_execute", _sent)
    try:
        command.upgrade(config, to)
    finally:
        event.remove(connection, "after_cursor_execute", _sent)


def _sent(*_: object) -> None:
    crash.here("control.migration.statement")


def planned(revision: str | None, dialect: str) -> list[Step]:
    """The steps from a revision (None of a new database) to the newest, in their order."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(_config())
    found: list[Step] = []
    for before, each in zip([None, *known()], known(), strict=False):
        if revision is None or each > revision:
            words = (scripts.get_revision(each).doc or "").splitlines()[0]
            found.append(Step(each, words, _on_paper(before, each, dialect)))
    return found


def estimated(connection: Connection, steps: Collection[Step], there: Collection[str]) -> list[Step]:
    """The same with the rows counted, of those tables that are there."""
    counted: dict[str, int] = {}

    def count(name: str) -> int:
        if name not in counted:
            counted[name] = connection.scalar(select(func.count()).select_from(table(name))) or 0
        return counted[name]

    return [msgspec.structs.replace(step, rows=sum(map(count, sorted(_touched(step.statements) & set(there))))) for step in steps]


def _touched(statements: Collection[str]) -> set[str]:
    rows = (statement for statement in statements if not statement.startswith(_ROWLESS))
    return {name for statement in rows for name in _TOUCHED.findall(statement)} - {"alembic_version"}


def _on_paper(before: str | None, to: str, dialect: str) -> tuple[str, ...]:
    from alembic import command

    paper = io.StringIO()
    config = _config(output_buffer=paper)
    config.attributes["dialect"] = dialect
    command.upgrade(config, f"{before or 'base'}:{to}", sql=True)
    lines = [line for line in paper.getvalue().splitlines() if not line.startswith("--")]
    parts = (part.strip().removesuffix(";") for part in "\n".join(lines).split(";\n\n"))
    return tuple(part.replace("%%", "%") for part in parts if part)


def _config(**more: Any) -> Any:
    from alembic.config import Config

    config = Config(**more)
    config.set_main_option("script_location", str(_PLACE))
    return config
