"""Teams and budgets, with what is spent of each in each period."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

_IN_FORCE = sa.text("removed_at IS NULL")
_OPEN = sa.text("closed_at IS NULL")


def upgrade() -> None:
    op.add_column("keys", sa.Column("team", sa.Text(), nullable=True))
    op.create_table(
        "teams",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.CheckConstraint("source IN ('file', 'store')", name="teams_source"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"]),
        sa.PrimaryKeyConstraint("account", "name"),
    )
    op.create_table(
        "budgets",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("reset", sa.Text(), nullable=False),
        sa.Column("anchor", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("removed_at", sa.Float(), nullable=True),
        sa.CheckConstraint("level IN ('account', 'team', 'key', 'user')", name="budgets_level"),
        sa.CheckConstraint("source IN ('file', 'store')", name="budgets_source"),
        sa.CheckConstraint("amount >= 0", name="budgets_amount"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "budgets_in_force",
        "budgets",
        ["account", "level", "subject"],
        unique=True,
        sqlite_where=_IN_FORCE,
        postgresql_where=_IN_FORCE,
    )
    op.create_table(
        "pots",
        sa.Column("budget", sa.Text(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("lent", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("alerted", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["budget"], ["budgets.id"]),
        sa.PrimaryKeyConstraint("budget", "start", "user"),
    )
    op.create_table(
        "pot_leases",
        sa.Column("budget", sa.Text(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("relay", sa.Text(), nullable=False),
        sa.Column("granted", sa.BigInteger(), nullable=False),
        sa.Column("returned", sa.BigInteger(), nullable=False),
        sa.Column("charged", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.Float(), nullable=True),
        sa.CheckConstraint("granted >= 0 AND returned >= 0 AND charged >= 0", name="pot_leases_totals"),
        sa.PrimaryKeyConstraint("budget", "start", "user", "relay"),
    )
    op.create_index("pot_leases_open", "pot_leases", ["relay"], unique=False, sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.create_table(
        "request_pots",
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("budget", sa.Text(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("request", "budget"),
    )
    op.create_index("request_pots_of_pot", "request_pots", ["budget", "start", "user"], unique=False)
