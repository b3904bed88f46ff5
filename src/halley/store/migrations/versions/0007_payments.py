"""Orders that a payment was told of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "payments",
        sa.Column("order", sa.Text(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("credited", number, nullable=True),
        sa.Column("returned", number, nullable=True),
        sa.PrimaryKeyConstraint("order"),
        sa.ForeignKeyConstraint(["account"], ["accounts.id"]),
        sa.ForeignKeyConstraint(["credited"], ["postings.id"]),
        sa.ForeignKeyConstraint(["returned"], ["postings.id"]),
        sa.CheckConstraint("state IN ('pending', 'paid', 'failed', 'refunded')", name="payments_state"),
        sa.CheckConstraint("amount > 0", name="payments_amount"),
    )
