"""A store that is gone is no store that is new: nothing is made over what a home still has of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from halley.store import nodes
from halley.store.database import open_store
from halley.store.state import StoreError
from tests.store.raw import Database

RECORDS = b'["start"]\n'


def served(home: Path, *, key: bool, records: bytes | None) -> None:
    """A home after a gateway has served there."""
    open_store("", home, "", {}).close()
    if key:
        (home / "starter-key").write_text("sk-starter\n")
    if records is not None:
        (home / "journal").mkdir()
        (home / "journal" / "relay-0-1.0.jsonl").write_bytes(records)


def lose(home: Path, how: str) -> None:
    for path in home.glob("halley.db*"):
        path.unlink()
    if how == "emptied":
        (home / "halley.db").touch()


@pytest.mark.parametrize(
    ("how", "key", "records", "named"),
    [
        ("emptied", True, None, "starter-key"),
        ("emptied", False, RECORDS, "journal/relay-0-1.0.jsonl"),
        ("emptied", True, b"", "starter-key"),
        ("missing", True, RECORDS, "journal/relay-0-1.0.jsonl"),
    ],
)
def test_an_empty_store_beside_journals_or_keys_is_refused_and_left_alone(
    tmp_path: Path, how: str, key: bool, records: bytes | None, named: str
) -> None:
    served(tmp_path, key=key, records=records)
    lose(tmp_path, how)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(StoreError, match="restore your backup") as refused:
        open_store("", tmp_path, "", {})
    assert named in str(refused.value) and str(tmp_path) in str(refused.value)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("how", "key", "records"),
    # A start that was killed before it had made the store; a store that somebody took away to begin anew.
    [("emptied", False, None), ("emptied", False, b""), ("missing", True, None), ("missing", True, b"")],
)
def test_where_nothing_can_be_lost_a_store_is_made(tmp_path: Path, how: str, key: bool, records: bytes | None) -> None:
    served(tmp_path, key=key, records=records)
    lose(tmp_path, how)
    store = open_store("", tmp_path, "", {})
    assert store.node == nodes.ALONE
    store.close()


def test_a_store_at_another_place_may_be_new_while_nothing_waits_to_be_booked(tmp_path: Path) -> None:
    served(tmp_path, key=True, records=b"")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    url = f"sqlite:///{elsewhere / 'other.db'}"
    open_store(url, tmp_path, "", {}).close()
    (elsewhere / "other.db").unlink()
    (tmp_path / "journal" / "relay-0-1.0.jsonl").write_bytes(RECORDS)
    with pytest.raises(StoreError, match=r"There is no .*other\.db"):
        open_store(url, tmp_path, "", {})


def test_an_empty_database_of_a_server_does_not_take_the_journals_of_another_store(fresh: Database, tmp_path: Path) -> None:
    served(tmp_path, key=True, records=RECORDS)
    with pytest.raises(StoreError, match="halley move"):
        open_store(fresh.url, tmp_path, "", {})
