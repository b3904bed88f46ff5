"""A row says what its providers charge, and a price when it came into force."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("requests", sa.Column("cost", sa.BigInteger(), nullable=True))
    op.add_column("requests", sa.Column("cancel", sa.Text(), nullable=True))
    op.add_column("requests", sa.Column("unpriced", sa.Text(), nullable=True))
    op.create_table(
        "price_changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("source_date", sa.Text(), nullable=True),
        sa.Column("effective_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["version"], ["prices.version"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_price_changes_model", "price_changes", ["model"])
