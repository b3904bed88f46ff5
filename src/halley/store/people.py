"""Users, their roles at accounts, and their personal access tokens.

A token is a user at an account with scopes, and is never wider than the user's role there: who is removed from the account loses it. Its
text passes through once, on its way out of `create_token`; the store has its digest.
"""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, or_, select, update

from halley.secret import Secret, SecretBytes
from halley.store import customers, keytext
from halley.store.bulk import inserting
from halley.store.customers import Taken, Unknown
from halley.store.schema import memberships, tokens, users
from halley.store.values import SCOPES, USAGE_READ, Token, User

# Who is meant when an operator names nobody.
OPERATOR = "operator"
OWNER = "owner"
MEMBER = "member"
ROLES = {OWNER: SCOPES, MEMBER: (USAGE_READ,)}


def ensure_operator(connection: Connection, at: float) -> None:
    """The user whose tokens an operator makes when nobody is named."""
    if connection.scalar(select(users.c.id).where(users.c.name == OPERATOR)) is None:
        create_user(connection, OPERATOR, customers.DEFAULT, OWNER, at)


def create_user(connection: Connection, name: str, account: str, role: str, at: float) -> User:
    """A new user, or another account for one that exists. Raises Unknown, Taken."""
    customers.account(connection, account)
    if not name.strip():
        raise Taken("A user needs a name.")
    its = connection.scalar(select(users.c.id).where(users.c.name == name))
    if its is None:
        its = f"user_{secrets.token_hex(8)}"
        connection.execute(insert(users).values(id=its, name=name, created_at=at))
    place = inserting(connection.dialect, memberships).values(user=its, account=account, role=role)
    connection.execute(place.on_conflict_do_update(index_elements=["user", "account"], set_={"role": role}))
    return find_user(connection, name)


def list_users(connection: Connection) -> list[User]:
    roles: dict[str, dict[str, str]] = {}
    for row in connection.execute(select(memberships).order_by(memberships.c.account)):
        roles.setdefault(row.user, {})[row.account] = row.role
    found = connection.execute(select(users).order_by(users.c.name))
    return [User(row.id, row.name, row.created_at, roles.get(row.id, {})) for row in found]


def find_user(connection: Connection, name: str) -> User:
    """By name or id. Raises Unknown."""
    for user in list_users(connection):
        if name in (user.name, user.id):
            return user
    raise Unknown(f'There is no user "{name}"; `halley users list` names them.')


def remove_user(connection: Connection, name: str, account: str, at: float) -> User:
    """Take a user's account away, with the tokens that they have there."""
    user = find_user(connection, name)
    if account not in user.roles:
        raise Unknown(f'"{user.name}" has no role at the account "{account}".')
    connection.execute(memberships.delete().where(memberships.c.user == user.id, memberships.c.account == account))
    theirs = (tokens.c.user == user.id, tokens.c.account == account, tokens.c.revoked_at.is_(None))
    connection.execute(update(tokens).where(*theirs).values(revoked_at=at))
    return find_user(connection, user.id)


def create_token(
    connection: Connection,
    pepper: SecretBytes,
    name: str,
    who: str,
    account: str,
    scopes: tuple[str, ...] | None,
    at: float,
    expires_at: float | None = None,
) -> tuple[Secret, Token]:
    """A token and its text, which nothing can show again; without scopes, of all that the user's role allows. Raises Unknown; Taken
    when the role is narrower than the scopes."""
    user = find_user(connection, who)
    if account not in user.roles:
        raise Unknown(f'"{user.name}" has no role at the account "{account}"; `halley users create` gives one.')
    role = ROLES[user.roles[account]]
    scopes = role if scopes is None else scopes
    wide = [scope for scope in scopes if scope not in role]
    if wide or not scopes:
        allowed = ", ".join(role)
        raise Taken(f"A {user.roles[account]} may have a token with {allowed}; {', '.join(wide) or 'none'} was asked for.")
    text = Secret(keytext.make(keytext.TOKEN))
    values: dict[str, Any] = {
        "id": f"token_{secrets.token_hex(8)}",
        "digest": keytext.digest(pepper, text),
        "user": user.id,
        "account": account,
        "name": name,
        "shown": keytext.shown(text.reveal()),
        "scopes": msgspec.json.encode(scopes).decode(),
        "created_at": at,
        "expires_at": expires_at,
    }
    connection.execute(insert(tokens).values(**values))
    return text, find_token(connection, values["id"])


def list_tokens(connection: Connection) -> list[Token]:
    return [_token(row) for row in connection.execute(_tokens().order_by(tokens.c.created_at, tokens.c.id))]


def find_token(connection: Connection, name: str) -> Token:
    """The live token with this id or name. Raises Unknown; Taken when several have the name."""
    query = _tokens().where(or_(tokens.c.id == name, tokens.c.name == name), tokens.c.revoked_at.is_(None))
    rows = connection.execute(query).all()
    if not rows:
        raise Unknown(f'There is no live token "{name}"; `halley tokens list` names them.')
    if len(rows) > 1:
        raise Taken(f'Several tokens are named "{name}"; take the id.')
    return _token(rows[0])


def revoke_token(connection: Connection, name: str, at: float) -> Token:
    token = find_token(connection, name)
    connection.execute(update(tokens).where(tokens.c.id == token.id).values(revoked_at=at))
    return msgspec.structs.replace(token, revoked_at=at)


def token_of_text(connection: Connection, pepper: SecretBytes, text: Secret, at: float) -> Token | None:
    """The token that this text opens now, if there is one."""
    live = (tokens.c.revoked_at.is_(None), or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > at))
    row = connection.execute(_tokens().where(tokens.c.digest == keytext.digest(pepper, text), *live)).one_or_none()
    return None if row is None else _token(row)


def _tokens() -> Any:
    return select(tokens, users.c.name.label("who")).join(users, users.c.id == tokens.c.user)


def _token(row: Row[Any]) -> Token:
    scopes = msgspec.json.decode(row.scopes, type=tuple[str, ...])
    return Token(row.id, row.name, row.who, row.account, row.shown, scopes, row.created_at, row.expires_at, row.revoked_at)
