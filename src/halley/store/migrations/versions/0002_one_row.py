"""A request and its ending are one row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_BEGUN = "id, at, relay, account, key, route, model, price_version, hold, leased, stream, input_estimate, client_request_id"
_ENDED = (
    "ending, status, provider, usage, estimated, charge, loss, posting, attempts, bytes_in, bytes_out, admitted_ms, first_ms, total_ms, "
    "upstream_request_id, lost"
)
_PROGRESS = "progress_charge, progress_provider, progress_usage"


def upgrade() -> None:
    op.create_table(
        "requests_whole",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("relay", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("price_version", sa.Text(), nullable=False),
        sa.Column("hold", sa.BigInteger(), nullable=False),
        sa.Column("leased", sa.Boolean(), nullable=False),
        sa.Column("stream", sa.Boolean(), nullable=False),
        sa.Column("input_estimate", sa.BigInteger(), nullable=False),
        sa.Column("client_request_id", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("ending", sa.Text(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("usage", sa.Text(), nullable=True),
        sa.Column("estimated", sa.Boolean(), nullable=True),
        sa.Column("charge", sa.BigInteger(), nullable=True),
        sa.Column("loss", sa.BigInteger(), nullable=True),
        sa.Column("posting", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=True),
        sa.Column("bytes_in", sa.BigInteger(), nullable=True),
        sa.Column("bytes_out", sa.BigInteger(), nullable=True),
        sa.Column("admitted_ms", sa.Float(), nullable=True),
        sa.Column("first_ms", sa.Float(), nullable=True),
        sa.Column("total_ms", sa.Float(), nullable=True),
        sa.Column("upstream_request_id", sa.Text(), nullable=True),
        sa.Column("lost", sa.Text(), nullable=True),
        sa.Column("progress_charge", sa.BigInteger(), nullable=True),
        sa.Column("progress_provider", sa.Text(), nullable=True),
        sa.Column("progress_usage", sa.Text(), nullable=True),
        sa.CheckConstraint("hold >= 0", name="requests_hold"),
        sa.CheckConstraint("ending IS NULL OR charge >= 0 AND loss >= 0", name="requests_money"),
        sa.ForeignKeyConstraint(
            ["posting"],
            ["postings.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    begun = ", ".join(f"requests.{name}" for name in _BEGUN.split(", "))
    op.execute(
        f"INSERT INTO requests_whole ({_BEGUN}, ended_at, {_ENDED}, {_PROGRESS}) "  # noqa: S608 (names of our own columns)
        f"SELECT {begun}, endings.at, {_ENDED}, {_PROGRESS} FROM requests LEFT JOIN endings ON endings.request = requests.id"
    )
    op.drop_table("endings")
    op.drop_table("requests")
    op.rename_table("requests_whole", "requests")
    is_open = sa.text("ending IS NULL")
    op.create_index("requests_open", "requests", ["relay"], unique=False, sqlite_where=is_open, postgresql_where=is_open)
    if op.get_bind().dialect.name == "sqlite":
        for verb, condition in (("UPDATE", "WHEN OLD.ending IS NOT NULL "), ("DELETE", "")):
            op.execute(
                f"CREATE TRIGGER requests_no_{verb.lower()} BEFORE {verb} ON requests {condition}"
                f"BEGIN SELECT RAISE(ABORT, 'requests is append-only'); END"
            )
