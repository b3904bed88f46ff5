"""Users, their roles and their tokens."""

from __future__ import annotations

import pytest

from halley.store import keytext, people
from halley.store.customers import Taken, Unknown
from halley.store.database import Store
from halley.store.values import ADMIN, SCOPES, USAGE_READ


def test_a_token_opens_what_its_scopes_say_until_it_is_revoked_or_expires(store: Store) -> None:
    with store.begin() as connection:
        people.create_user(connection, "ada", "acme", people.OWNER, 1.0)
        text, token = people.create_token(connection, store.pepper, "ci", "ada", "acme", (USAGE_READ, ADMIN), 1.0, 10.0)
        assert keytext.well_formed(text.reveal(), keytext.TOKEN) and text.reveal() not in str(people.list_tokens(connection))
        assert people.token_of_text(connection, store.pepper, text, 2.0) == token
        assert people.token_of_text(connection, store.pepper, text, 10.0) is None
        assert people.revoke_token(connection, "ci", 3.0).revoked_at == 3.0
        assert people.token_of_text(connection, store.pepper, text, 2.0) is None
        with pytest.raises(Unknown):
            people.revoke_token(connection, "ci", 4.0)


def test_a_token_is_never_wider_than_its_users_role(store: Store) -> None:
    with store.begin() as connection:
        people.create_user(connection, "bob", "acme", people.MEMBER, 1.0)
        with pytest.raises(Taken, match="usage-read"):
            people.create_token(connection, store.pepper, "ci", "bob", "acme", SCOPES, 1.0)
        assert people.create_token(connection, store.pepper, "ci", "bob", "acme", None, 1.0)[1].scopes == (USAGE_READ,)
        with pytest.raises(Unknown):
            people.create_token(connection, store.pepper, "ci", "bob", "free", (USAGE_READ,), 1.0)
        with pytest.raises(Unknown):
            people.create_user(connection, "eve", "nobody", people.OWNER, 1.0)


def test_who_is_removed_from_an_account_loses_the_tokens_there_and_no_others(store: Store) -> None:
    with store.begin() as connection:
        for account in ("acme", "free"):
            people.create_user(connection, "ada", account, people.OWNER, 1.0)
        here, _ = people.create_token(connection, store.pepper, "here", "ada", "acme", (ADMIN,), 1.0)
        there, _ = people.create_token(connection, store.pepper, "there", "ada", "free", (ADMIN,), 1.0)
        assert people.remove_user(connection, "ada", "acme", 2.0).roles == {"free": "owner"}
        assert people.token_of_text(connection, store.pepper, here, 3.0) is None
        assert people.token_of_text(connection, store.pepper, there, 3.0) is not None


def test_a_change_of_role_narrows_no_more_than_it_says(store: Store) -> None:
    with store.begin() as connection:
        people.create_user(connection, "ada", "acme", people.MEMBER, 1.0)
        assert people.create_user(connection, "ada", "acme", people.OWNER, 2.0).roles == {"acme": "owner"}
        assert [user.name for user in people.list_users(connection)] == ["ada"]
