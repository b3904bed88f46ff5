"""The tables of the store, and nothing that reads or writes them. The alembic revisions build exactly these; a test compares the two.

Money is integer nano-dollars, time is Unix seconds. `postings` and `entries` are append-only, and so is a request once it
has ended; on SQLite triggers hold that. A request's hold and its one ending are one row: that there is one of each is the primary key.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)

metadata = MetaData()

_ROW_ID = BigInteger().with_variant(Integer, "sqlite")

accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("unlimited", Boolean, nullable=False),
    Column("source", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    CheckConstraint("source IN ('file', 'store')", name="accounts_source"),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("account", Text, ForeignKey("accounts.id"), nullable=False),
    Column("name", Text, nullable=False),
    # First five and last four characters: enough to recognise a key, not enough to use it.
    Column("shown", Text, nullable=False),
    # JSON lists, NULL for every model or address.
    Column("models", Text),
    Column("ips", Text),
    Column("rpm", Integer),
    Column("tpm", Integer),
    Column("concurrency", Integer),
    Column("expires_at", Float),
    Column("source", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("revoked_at", Float),
    CheckConstraint("source IN ('file', 'store')", name="keys_source"),
)

postings = Table(
    "postings",
    metadata,
    Column("id", _ROW_ID, primary_key=True),
    Column("at", Float, nullable=False),
    Column("kind", Text, nullable=False),
    Column("account", Text, ForeignKey("accounts.id"), nullable=False),
    CheckConstraint("kind IN ('credit', 'grant', 'return', 'settle')", name="postings_kind"),
)

entries = Table(
    "entries",
    metadata,
    Column("id", _ROW_ID, primary_key=True),
    Column("posting", BigInteger, ForeignKey("postings.id"), nullable=False, index=True),
    Column("ledger_account", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    CheckConstraint("amount <> 0", name="entries_amount"),
)

balances = Table(
    "balances",
    metadata,
    Column("ledger_account", Text, primary_key=True),
    Column("amount", BigInteger, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("account", Text, ForeignKey("accounts.id"), nullable=False),
    Column("relay", Text, nullable=False),
    Column("granted", BigInteger, nullable=False),
    Column("returned", BigInteger, nullable=False),
    Column("charged", BigInteger, nullable=False),
    Column("closed_at", Float),
    PrimaryKeyConstraint("account", "relay"),
    CheckConstraint("granted >= 0 AND returned >= 0 AND charged >= 0", name="leases_totals"),
)

# One row per request: its hold when it began and, from `ended_at` on, its ending, which is NULL while the request is open.
requests = Table(
    "requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", Float, nullable=False),
    Column("relay", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("price_version", Text, nullable=False),
    Column("hold", BigInteger, nullable=False),
    Column("leased", Boolean, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("input_estimate", BigInteger, nullable=False),
    Column("client_request_id", Text),
    Column("ended_at", Float),
    Column("ending", Text),
    Column("status", Integer),
    Column("provider", Text),
    Column("usage", Text),
    Column("estimated", Boolean),
    Column("charge", BigInteger),
    Column("loss", BigInteger),
    # The aggregated posting that this charge and loss are part of; NULL when both are zero.
    Column("posting", BigInteger, ForeignKey("postings.id")),
    Column("attempts", Integer),
    Column("bytes_in", BigInteger),
    Column("bytes_out", BigInteger),
    Column("admitted_ms", Float),
    Column("first_ms", Float),
    Column("total_ms", Float),
    Column("upstream_request_id", Text),
    Column("lost", Text),
    # The last progress record, for the crash row of the settlement table.
    Column("progress_charge", BigInteger),
    Column("progress_provider", Text),
    Column("progress_usage", Text),
    CheckConstraint("hold >= 0", name="requests_hold"),
    CheckConstraint("ending IS NULL OR charge >= 0 AND loss >= 0", name="requests_money"),
)
_is_open = requests.c.ending.is_(None)
# Holds the open ones only: a row that is written whole never enters it.
Index("requests_open", requests.c.relay, sqlite_where=_is_open, postgresql_where=_is_open)

prices = Table(
    "prices",
    metadata,
    Column("version", Text, primary_key=True),
    Column("rates", Text, nullable=False),
    Column("first_seen", Float, nullable=False),
)

# How far each relay's journal is in the ledger: `offset` over all segments, and the same place as segment and position within it.
journals = Table(
    "journals",
    metadata,
    Column("relay", Text, primary_key=True),
    Column("offset", BigInteger, nullable=False),
    Column("segment", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("closed_at", Float),
)

# Whole journal lines that could not be folded: kept, and named by `ledger verify`, instead of dropped.
strays = Table(
    "strays",
    metadata,
    Column("id", _ROW_ID, primary_key=True),
    Column("at", Float, nullable=False),
    Column("relay", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("line", LargeBinary, nullable=False),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
)
