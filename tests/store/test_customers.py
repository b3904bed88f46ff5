"""Accounts and keys, and what belongs to the file."""

from __future__ import annotations

import pytest
from msgspec import structs

from halley.secret import Secret
from halley.store import customers, keytext
from halley.store.customers import Taken, Unknown
from halley.store.database import Store
from halley.store.values import FileAccount, FileKey, Limits


def test_a_key_is_stored_as_a_digest_and_shown_masked(store: Store) -> None:
    limits = Limits(("a", "b"), None, 5, 6, 7, 8.0)
    with store.begin() as connection:
        text, key = customers.create_key(connection, store.pepper, "ci", "acme", limits, 1.0)
        rows, _ = customers.snapshot_rows(connection)
    assert rows[0].digest == keytext.digest(store.pepper, text)
    text = text.reveal()
    assert keytext.well_formed(text) and not keytext.well_formed(text[:-1] + ("a" if text[-1] != "a" else "b"))
    assert key.shown == f"{text[:5]}…{text[-4:]}"
    assert (rows[0].models, rows[0].rpm, rows[0].tpm, rows[0].concurrency, rows[0].expires_at) == (("a", "b"), 5, 6, 7, 8.0)


def test_a_rotated_key_keeps_its_limits_and_the_old_one_is_gone_from_the_snapshot(store: Store) -> None:
    with store.begin() as connection:
        _, old = customers.create_key(connection, store.pepper, "ci", "acme", Limits(rpm=5), 1.0)
        text, new = customers.rotate_key(connection, store.pepper, "ci", 2.0)
        rows, _ = customers.snapshot_rows(connection)
    assert new.limits == old.limits and [row.id for row in rows] == [old.id] == [new.id]
    assert (rows[0].digest, rows[0].former_digest) == (keytext.digest(store.pepper, text), None)


def test_the_old_text_of_a_rotated_key_is_good_until_its_overlap_ends(store: Store) -> None:
    with store.begin() as connection:
        first, key = customers.create_key(connection, store.pepper, "ci", "acme", Limits(), 1.0)
        second, _ = customers.rotate_key(connection, store.pepper, "ci", 2.0, overlap_s=10.0)
        rows, _ = customers.snapshot_rows(connection)
        opened = {
            (name, at): customers.key_of_text(connection, store.pepper, text, at)
            for name, text in (("first", first), ("second", second))
            for at in (3.0, 12.0)
        }
    assert (rows[0].former_digest, rows[0].former_until) == (keytext.digest(store.pepper, first), 12.0)
    assert {place for place, found in opened.items() if found is not None and found.id == key.id} == {
        ("first", 3.0),
        ("second", 3.0),
        ("second", 12.0),
    }


def test_a_key_is_changed_disabled_and_taken_into_use_again(store: Store) -> None:
    with store.begin() as connection:
        text, key = customers.create_key(connection, store.pepper, "ci", "acme", Limits(rpm=5), 1.0)
        limits = Limits(rpm=6, routes=("chat",), scopes=("usage-read",))
        changed = customers.change_key(connection, structs.replace(key, name="build", limits=limits, disabled_at=2.0))
        assert (changed.name, changed.limits, changed.disabled_at) == ("build", limits, 2.0)
        assert customers.snapshot_rows(connection)[0] == () and customers.key_of_text(connection, store.pepper, text, 3.0) is None
        customers.change_key(connection, structs.replace(changed, disabled_at=None))
        (row,), _ = customers.snapshot_rows(connection)
        assert row.routes == ()  # it may call no model
        customers.change_key(connection, structs.replace(changed, disabled_at=None, limits=Limits(routes=("chat",))))
        (row,), _ = customers.snapshot_rows(connection)
        assert row.routes == ("chat",)


def test_a_name_is_unique_within_an_account_only(store: Store) -> None:
    with store.begin() as connection:
        customers.create_key(connection, store.pepper, "ci", "acme", Limits(), 1.0)
        _, other = customers.create_key(connection, store.pepper, "ci", "free", Limits(), 1.0)
        with pytest.raises(Taken, match="take its id"):
            customers.find_key(connection, "ci")
        assert customers.find_key(connection, "ci", "free").id == other.id
        with pytest.raises(Unknown):
            customers.revoke_key(connection, other.id, 2.0, "acme")


def test_unknown_and_taken_names_are_refused(store: Store) -> None:
    with store.begin() as connection:
        customers.create_key(connection, store.pepper, "ci", "acme", Limits(), 1.0)
        with pytest.raises(Taken):
            customers.create_key(connection, store.pepper, "ci", "acme", Limits(), 1.0)
        with pytest.raises(Unknown):
            customers.create_key(connection, store.pepper, "x", "nobody", Limits(), 1.0)
        with pytest.raises(Unknown):
            customers.revoke_key(connection, "x", 1.0)


def test_what_the_file_names_belongs_to_the_file(store: Store) -> None:
    key = FileKey("ops", "team", Secret(keytext.make()), Limits(rpm=3))
    with store.begin() as connection:
        customers.adopt_accounts(connection, (FileAccount("team", True),), 1.0)
        customers.adopt_keys(connection, store.pepper, (key,), 1.0)
        first = customers.find_key(connection, "ops")
        with pytest.raises(Taken, match="configuration file"):
            customers.revoke_key(connection, "ops", 2.0)
        with pytest.raises(Taken, match="configuration file"):
            customers.add_credit(connection, "team", 5, 2.0)
        customers.adopt_keys(connection, store.pepper, (key,), 2.0)
        assert customers.find_key(connection, "ops").id == first.id
        customers.adopt_keys(connection, store.pepper, (), 3.0)
        with pytest.raises(Unknown):
            customers.find_key(connection, "ops")


def test_the_same_name_in_file_and_store_is_an_error(store: Store) -> None:
    with store.begin() as connection:
        customers.create_key(connection, store.pepper, "ci", "acme", Limits(), 1.0)
        with pytest.raises(Taken, match="exists in the store"):
            customers.adopt_accounts(connection, (FileAccount("acme", True),), 1.0)
        with pytest.raises(Taken, match="exists in the store"):
            customers.adopt_keys(connection, store.pepper, (FileKey("ci", "acme", Secret(keytext.make()), Limits()),), 1.0)
