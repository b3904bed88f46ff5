"""The tables of the store, and nothing that reads or writes them. The alembic revisions build exactly these; a test compares the two.

Money is integer nano-dollars, time is Unix seconds. `postings`, `entries` and `endings` are append-only; on SQLite triggers hold that.
What is unique by request id (`requests`: the hold, `endings`: its one ending) is unique in the database itself.
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
    # The last progress record, for the crash row of the settlement table.
    Column("progress_charge", BigInteger),
    Column("progress_provider", Text),
    Column("progress_usage", Text),
    CheckConstraint("hold >= 0", name="requests_hold"),
    Index("requests_relay", "relay"),
)

endings = Table(
    "endings",
    metadata,
    Column("request", Text, ForeignKey("requests.id"), primary_key=True),
    # The aggregated posting that this charge and loss are part of; NULL when both are zero.
    Column("posting", BigInteger, ForeignKey("postings.id"), index=True),
    Column("at", Float, nullable=False),
    Column("ending", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("provider", Text, nullable=False),
    Column("usage", Text, nullable=False),
    Column("estimated", Boolean, nullable=False),
    Column("charge", BigInteger, nullable=False),
    Column("loss", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("bytes_in", BigInteger, nullable=False),
    Column("bytes_out", BigInteger, nullable=False),
    Column("admitted_ms", Float, nullable=False),
    Column("first_ms", Float, nullable=False),
    Column("total_ms", Float, nullable=False),
    Column("upstream_request_id", Text),
    Column("lost", Text),
    CheckConstraint("charge >= 0 AND loss >= 0", name="endings_money"),
)

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

APPEND_ONLY = ("postings", "entries", "endings")
