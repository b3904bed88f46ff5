"""Users with their tokens, what keys may do beside models, and usage by day."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_DAY_S = 86400
# The endings without an answer that could be passed on.
_FAILED = ("failed", "unusable", "broke", "crash", "expired")


def upgrade() -> None:
    for name, kind in (
        ("routes", sa.Text()),
        ("scopes", sa.Text()),
        ("disabled_at", sa.Float()),
        ("former_digest", sa.LargeBinary()),
        ("former_until", sa.Float()),
    ):
        op.add_column("keys", sa.Column(name, kind, nullable=True))
    op.create_table(
        "users",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "memberships",
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.CheckConstraint("role IN ('owner', 'member')", name="memberships_role"),
        sa.ForeignKeyConstraint(["user"], ["users.id"]),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"]),
        sa.PrimaryKeyConstraint("user", "account"),
    )
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("shown", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=True),
        sa.Column("revoked_at", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["user"], ["users.id"]),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    op.create_index("requests_of_account", "requests", ["account", "at", "id", "key"], unique=False)
    op.create_table(
        "usage_days",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _SUMS),
        sa.Column("last_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("account", "day", "key", "model"),
    )
    op.create_index("usage_days_of_key", "usage_days", ["key", "day"], unique=False)
    _sum_up()


_SUMS = ("requests", "failed", "input", "output", "cache_read", "cache_write", "reasoning", "charge", "loss")


def _column(name: str) -> sa.ColumnClause[Any]:
    return sa.column(name)


def _sum_up() -> None:
    """What has ended before this schema."""
    connection = op.get_bind()
    names = ("account", "key", "model", "ended_at", "ending", "usage", "charge", "loss")
    requests = sa.table("requests", *(_column(name) for name in names))
    # SQLite reads JSON out of a text; PostgreSQL wants to be told that it is some.
    usage = sa.cast(requests.c.usage, sa.JSON) if connection.dialect.name == "postgresql" else sa.type_coerce(requests.c.usage, sa.JSON)

    def tokens(*fields: str) -> sa.ColumnElement[int]:
        counts = [sa.func.coalesce(sa.cast(usage[field].as_string(), sa.BigInteger), 0) for field in fields]
        return sa.func.sum(sum(counts[1:], counts[0]))

    day = (
        sa.cast(sa.func.floor(requests.c.ended_at / _DAY_S), sa.Integer)
        if connection.dialect.name == "postgresql"
        else sa.cast(requests.c.ended_at / _DAY_S, sa.Integer)
    )
    found = (
        sa.select(
            requests.c.account,
            day,
            requests.c.key,
            requests.c.model,
            sa.func.count(),
            sa.func.sum(sa.case((requests.c.ending.in_(_FAILED), 1), else_=0)),
            tokens("input"),
            tokens("output"),
            tokens("cache_read"),
            tokens("cache_write_5m", "cache_write_1h"),
            tokens("reasoning"),
            sa.func.sum(requests.c.charge),
            sa.func.sum(requests.c.loss),
            sa.func.max(requests.c.ended_at),
        )
        .where(requests.c.ending.is_not(None))
        # By its place: two expressions with bound numbers are two expressions to PostgreSQL.
        .group_by(requests.c.account, sa.literal_column("2"), requests.c.key, requests.c.model)
    )
    columns = ("account", "day", "key", "model", *_SUMS, "last_at")
    usage_days = sa.table("usage_days", *(_column(name) for name in columns))
    connection.execute(sa.insert(usage_days).from_select(columns, found))
