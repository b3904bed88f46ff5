"""The tables of the store, and nothing that reads or writes them. The alembic revisions build exactly these; a test compares the two.

Money is integer nano-dollars, time is Unix seconds. `postings` and `entries` are append-only, and so is a request once it
has ended; triggers hold that. A request's hold and its one ending are one row: that there is one of each is the primary key.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)  # fmt: skip

metadata = MetaData()


def _only(where: ColumnElement[bool]) -> dict[str, Any]:
    return {"sqlite_where": where, "postgresql_where": where}


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
    # JSON lists, NULL for every route and for the ordinary scopes.
    Column("routes", Text),
    Column("scopes", Text),
    Column("disabled_at", Float),
    # The text before the last rotation, which is good until then.
    Column("former_digest", LargeBinary),
    Column("former_until", Float),
    # A team's name in the account.
    Column("team", Text),
    CheckConstraint("source IN ('file', 'store')", name="keys_source"),
)

teams = Table(
    "teams",
    metadata,
    Column("account", Text, ForeignKey("accounts.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    PrimaryKeyConstraint("account", "name"),
    CheckConstraint("source IN ('file', 'store')", name="teams_source"),
)

# What a level may spend in a period. One that is removed stays, because pots and requests name it.
budgets = Table(
    "budgets",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account", Text, ForeignKey("accounts.id"), nullable=False),
    Column("level", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("reset", Text, nullable=False),
    Column("anchor", BigInteger),
    Column("source", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("removed_at", Float),
    CheckConstraint("level IN ('account', 'team', 'key', 'user')", name="budgets_level"),
    CheckConstraint("source IN ('file', 'store')", name="budgets_source"),
    CheckConstraint("amount >= 0", name="budgets_amount"),
)
Index("budgets_in_force", budgets.c.account, budgets.c.level, budgets.c.subject, unique=True, **_only(budgets.c.removed_at.is_(None)))

# One period of one budget, and of one end user where it is theirs. `lent` is what relays were granted and have not returned, whatever of
# it they have spent; `alerted` the largest share in percent that was told.
pots = Table(
    "pots",
    metadata,
    Column("budget", Text, ForeignKey("budgets.id"), nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("user", Text, nullable=False),
    Column("until", BigInteger),
    Column("lent", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
    Column("alerted", Integer, nullable=False),
    PrimaryKeyConstraint("budget", "start", "user"),
)

pot_leases = Table(
    "pot_leases",
    metadata,
    Column("budget", Text, nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("user", Text, nullable=False),
    Column("relay", Text, nullable=False),
    Column("granted", BigInteger, nullable=False),
    Column("returned", BigInteger, nullable=False),
    Column("charged", BigInteger, nullable=False),
    Column("closed_at", Float),
    PrimaryKeyConstraint("budget", "start", "user", "relay"),
    CheckConstraint("granted >= 0 AND returned >= 0 AND charged >= 0", name="pot_leases_totals"),
)
Index("pot_leases_open", pot_leases.c.relay, **_only(pot_leases.c.closed_at.is_(None)))

# Which pots a request was held against; one that no budget stands over has no row.
request_pots = Table(
    "request_pots",
    metadata,
    Column("request", Text, nullable=False),
    Column("budget", Text, nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("user", Text, nullable=False),
    PrimaryKeyConstraint("request", "budget"),
)
Index("request_pots_of_pot", request_pots.c.budget, request_pots.c.start, request_pots.c.user)

users = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", Float, nullable=False),
)

memberships = Table(
    "memberships",
    metadata,
    Column("user", Text, ForeignKey("users.id"), nullable=False),
    Column("account", Text, ForeignKey("accounts.id"), nullable=False),
    Column("role", Text, nullable=False),
    PrimaryKeyConstraint("user", "account"),
    CheckConstraint("role IN ('owner', 'member')", name="memberships_role"),
)

# Personal access tokens: a user at an account, with scopes (a JSON list).
tokens = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("user", Text, ForeignKey("users.id"), nullable=False),
    Column("account", Text, ForeignKey("accounts.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("shown", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float),
    Column("revoked_at", Float),
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
    # What the providers charge, NULL where nobody said; the rule by which a cut stream is billed; what the price does not know.
    Column("cost", BigInteger),
    Column("cancel", Text),
    Column("unpriced", Text),
    CheckConstraint("hold >= 0", name="requests_hold"),
    CheckConstraint("ending IS NULL OR charge >= 0 AND loss >= 0", name="requests_money"),
)
# Holds the open ones only: a row that is written whole never enters it.
Index("requests_open", requests.c.relay, **_only(requests.c.ending.is_(None)))
# What a page of a log walks along; it holds what a page is filtered by.
Index("requests_of_account", requests.c.account, requests.c.at, requests.c.id, requests.c.key)

# What the ended requests of a day (UTC, counted from 1970) come to; the fold adds to it as it ends them. `failed` ended without an answer
# that could be passed on. Pages about usage read this and never the requests.
usage_days = Table(
    "usage_days",
    metadata,
    Column("account", Text, nullable=False),
    Column("day", Integer, nullable=False),
    Column("key", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("input", BigInteger, nullable=False),
    Column("output", BigInteger, nullable=False),
    Column("cache_read", BigInteger, nullable=False),
    Column("cache_write", BigInteger, nullable=False),
    Column("reasoning", BigInteger, nullable=False),
    Column("charge", BigInteger, nullable=False),
    Column("loss", BigInteger, nullable=False),
    Column("last_at", Float, nullable=False),
    PrimaryKeyConstraint("account", "day", "key", "model"),
)
Index("usage_days_of_key", usage_days.c.key, usage_days.c.day)

prices = Table(
    "prices",
    metadata,
    Column("version", Text, primary_key=True),
    Column("rates", Text, nullable=False),
    Column("first_seen", Float, nullable=False),
)

# When which price came into force for a model, and where it was read: a row for every change.
price_changes = Table(
    "price_changes",
    metadata,
    Column("id", _ROW_ID, primary_key=True),
    Column("model", Text, nullable=False, index=True),
    Column("version", Text, ForeignKey("prices.version"), nullable=False),
    Column("source", Text, nullable=False),
    Column("source_date", Text),
    Column("effective_at", Float, nullable=False),
)

# How far each relay's journal is in the ledger: `offset` over all segments, and the same place as segment and position within it. `node` is
# whose relay it is, where nodes share a database.
journals = Table(
    "journals",
    metadata,
    Column("relay", Text, primary_key=True),
    Column("offset", BigInteger, nullable=False),
    Column("segment", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("closed_at", Float),
    Column("node", Text),
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

# Answers that may be gone on from. One that its provider keeps is a row without `sealed`: whose it is and who has it.
kept = Table(
    "kept",
    metadata,
    Column("answer", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("provider", Text, nullable=False),
    Column("previous", Text),
    Column("sealed", LargeBinary),
    # A provider may give two customers the same id; neither sees the other's.
    PrimaryKeyConstraint("answer", "account"),
)
Index("kept_at", kept.c.at)

# Idempotency-Keys: the request that has claimed one, in a digest of route and key, for a body in a digest of its own. What became of the
# request stands in its row; its answer, where there is one to be given again, is `sealed`.
claims = Table(
    "claims",
    metadata,
    Column("account", Text, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("request", Text, nullable=False),
    Column("relay", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("sealed", LargeBinary),
    PrimaryKeyConstraint("account", "key"),
)
Index("claims_at", claims.c.at)
Index("claims_of_relay", claims.c.relay)

# Orders that a payment was told of: by which way, for whom and how much, and how it stands. The posting that credited one, and the one that
# took it back, are those of the ledger.
payments = Table(
    "payments",
    metadata,
    Column("order", Text, primary_key=True),
    Column("way", Text, nullable=False),
    Column("account", Text, ForeignKey("accounts.id"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("credited", _ROW_ID, ForeignKey("postings.id")),
    Column("returned", _ROW_ID, ForeignKey("postings.id")),
    CheckConstraint("state IN ('pending', 'paid', 'failed', 'refunded')", name="payments_state"),
    CheckConstraint("amount > 0", name="payments_amount"),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
)
