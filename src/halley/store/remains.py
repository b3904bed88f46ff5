"""What a home still has of a store that is not there any more: then an empty place is a loss, and no first start.

A start makes the store before anything of this, so that one that was killed half-way is no loss.
"""

from __future__ import annotations

from pathlib import Path


def of(home: Path, path: Path | None) -> tuple[Path, ...]:
    """Journals with records in them and, where SQLite's file at `path` is there and empty, whatever a first start leaves."""
    journals = tuple(each for each in sorted((home / "journal").glob("*.jsonl")) if each.stat().st_size)
    emptied = path is not None and path.exists() and path.parent == home
    starter = home / "starter-key"
    return (*journals, starter) if emptied and starter.exists() else journals


def refusal(home: Path, path: Path | None, left: tuple[Path, ...]) -> str:
    where = "The database of [store] url is empty" if path is None else f"{path} is empty" if path.exists() else f"There is no {path}"
    names = ", ".join(str(each.relative_to(home)) for each in left[:3]) + (", …" if len(left) > 3 else "")
    back = "move the store there with `halley move`, or restore your backup" if path is None else "restore your backup"
    return f"{where}, but {home} has {names}, which belong to a store that was there: {back}. To begin anew, move them away first."
