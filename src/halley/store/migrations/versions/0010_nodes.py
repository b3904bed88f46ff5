"""Nodes that share a database, whose relay is whose, and PostgreSQL's own guard of what is append-only."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

_GUARD = """
CREATE FUNCTION halley_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$
"""


def upgrade() -> None:
    op.create_table(
        "nodes",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=False),
        sa.Column("changes", sa.BigInteger(), nullable=False),
        sa.Column("wants", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.add_column("journals", sa.Column("node", sa.Text(), nullable=True))
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_GUARD)
        for table in ("postings", "entries"):
            op.execute(
                f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION halley_append_only()"
            )
        op.execute(
            "CREATE TRIGGER requests_no_change BEFORE UPDATE ON requests FOR EACH ROW WHEN (OLD.ending IS NOT NULL)"
            " EXECUTE FUNCTION halley_append_only()"
        )
        op.execute("CREATE TRIGGER requests_no_delete BEFORE DELETE ON requests FOR EACH ROW EXECUTE FUNCTION halley_append_only()")
