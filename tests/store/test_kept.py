"""Kept answers in the store: folded once, found by their account alone, whole lines or nothing, and gone after their time."""

from __future__ import annotations

from pathlib import Path

import pytest

from halley.store import kept
from halley.store.database import Store
from halley.store.fold import fold
from halley.store.journal import Kept
from halley.store.replay import Position, Read


def answer(name: str, previous: str | None = None, *, account: str = "acme", at: float = 10.0, sealed: bytes | None = b"x") -> Kept:
    return Kept(name, at, account, "first", previous, sealed)


def keep(store: Store, *records: Kept) -> None:
    with store.begin() as connection:
        fold(connection, "relay-0", Read(records, (), Position(1, 0, 1)), 10.0)


def line(store: Store, name: str, account: str = "acme") -> list[str]:
    with store.begin() as connection:
        return [each.answer for each in kept.line(connection, account, name)]


def test_a_line_is_found_from_its_end_with_the_oldest_first(store: Store) -> None:
    keep(store, answer("a"), answer("b", "a"), answer("c", "b"), answer("side", "a"))
    assert line(store, "c") == ["a", "b", "c"] and line(store, "side") == ["a", "side"] and line(store, "a") == ["a"]
    assert line(store, "c", "other") == [] and line(store, "nothing") == []


def test_a_record_that_comes_twice_changes_nothing(store: Store) -> None:
    keep(store, answer("a", sealed=b"first"))
    keep(store, answer("a", sealed=b"second"))
    with store.begin() as connection:
        found = kept.find(connection, "acme", "a")
    assert found == answer("a", sealed=b"first")


def test_two_accounts_may_have_the_same_id(store: Store) -> None:
    keep(store, answer("a", sealed=None), answer("a", account="other", sealed=None))
    with store.begin() as connection:
        kept.forget(connection, "acme", "a")
        assert kept.find(connection, "acme", "a") is None and kept.find(connection, "other", "a") is not None


def test_a_line_with_a_gap_is_none(store: Store) -> None:
    keep(store, answer("a"), answer("b", "a"), answer("c", "b"))
    with store.begin() as connection:
        kept.forget(connection, "acme", "b")
    assert line(store, "c") == [] and line(store, "a") == ["a"]


def test_what_a_provider_has_ends_a_line(store: Store) -> None:
    keep(store, answer("theirs", sealed=None), answer("ours", "theirs"))
    assert line(store, "theirs") == ["theirs"]
    assert line(store, "ours") == []


@pytest.mark.parametrize("bound", ["MOST_ANSWERS", "MOST_BYTES"])
def test_a_line_that_is_too_long_is_none(store: Store, bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(store, answer("a"), answer("b", "a"), answer("c", "b"))
    monkeypatch.setattr(kept, bound, 2)
    assert line(store, "b") == ["a", "b"] and line(store, "c") == []


def test_old_ones_go(store: Store) -> None:
    keep(store, answer("old", at=5.0), answer("new", at=15.0))
    with store.begin() as connection:
        assert kept.expire(connection, 10.0) == 1
    assert line(store, "old") == [] and line(store, "new") == ["new"]


def test_a_line_goes_round_no_circle(store: Store, tmp_path: Path) -> None:
    keep(store, answer("a", "b"), answer("b", "a"))
    assert line(store, "a") == []
