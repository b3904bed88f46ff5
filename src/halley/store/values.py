"""Accounts, keys, requests and findings as values: what the store hands out and takes in. It imports no database, so that a command can
read answers without one."""

from __future__ import annotations

import msgspec

from halley.chat.usage import Usage
from halley.money import NanoDollars
from halley.policy.budgets import BudgetRow, LevelName
from halley.pricelist import Written
from halley.secret import Secret

INFERENCE = "inference"
USAGE_READ = "usage-read"
ADMIN = "admin"
SCOPES = (INFERENCE, USAGE_READ, ADMIN)
# Of a key that was given no others: a client reads what its own key has used.
ORDINARY = (INFERENCE, USAGE_READ)


class Limits(msgspec.Struct, frozen=True):
    """What a key may do; None is unlimited. `expires_at` is Unix seconds. `routes` are names of exchanges or paths; `scopes` of None are
    the `ORDINARY` ones. `team` is the one of its account's whose budget it spends from too."""

    models: tuple[str, ...] | None = None
    ips: tuple[str, ...] | None = None
    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None
    expires_at: float | None = None
    routes: tuple[str, ...] | None = None
    scopes: tuple[str, ...] | None = None
    team: str | None = None

    @property
    def allowed(self) -> tuple[str, ...]:
        """The scopes in force."""
        return ORDINARY if self.scopes is None else self.scopes


class Key(msgspec.Struct, frozen=True):
    """A key as it is listed. `former_until`: until then the text before the last rotation is good too."""

    id: str
    name: str
    account: str
    shown: str
    source: str
    created_at: float
    limits: Limits
    revoked_at: float | None = None
    disabled_at: float | None = None
    former_until: float | None = None


class User(msgspec.Struct, frozen=True):
    """A person, with a role at each of their accounts."""

    id: str
    name: str
    created_at: float
    roles: dict[str, str]


class Token(msgspec.Struct, frozen=True):
    """A personal access token as it is listed: a user at an account, with scopes."""

    id: str
    name: str
    user: str
    account: str
    shown: str
    scopes: tuple[str, ...]
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None


class Account(msgspec.Struct, frozen=True):
    """An account with its balances in nano-dollars: free credit, credit lent to relays, and what an unlimited account has spent unpaid."""

    id: str
    unlimited: bool
    source: str
    available: NanoDollars
    held: NanoDollars
    owed: NanoDollars


class FileAccount(msgspec.Struct, frozen=True):
    name: str
    unlimited: bool


class FileKey(msgspec.Struct, frozen=True):
    """A key of the configuration file with its resolved text."""

    name: str
    account: str
    text: Secret
    limits: Limits


class Team(msgspec.Struct, frozen=True):
    """Keys of an account that have a budget together."""

    account: str
    name: str
    source: str
    created_at: float


class FileTeam(msgspec.Struct, frozen=True):
    account: str
    name: str


class Budget(msgspec.Struct, frozen=True):
    """A budget in force, and who made it."""

    row: BudgetRow
    source: str
    created_at: float

    @property
    def id(self) -> str:
        return self.row.id

    @property
    def account(self) -> str:
        return self.row.account

    @property
    def level(self) -> LevelName:
        return self.row.level

    @property
    def subject(self) -> str:
        return self.row.subject


class FileBudget(msgspec.Struct, frozen=True):
    """A budget of the configuration file; `subject` is a key's name at that level."""

    account: str
    level: LevelName
    subject: str
    amount: NanoDollars
    reset: str
    anchor: int | None = None


class Rotated(msgspec.Struct, frozen=True):
    """A new master key: where it is, how many secrets of the store were wrapped anew, and how many backups beside it were."""

    master_key: str
    secrets: int
    backups: int


class PriceChange(msgspec.Struct, frozen=True):
    """A price of a model from `effective_at`, Unix seconds, until the next one. `source_date` is when it was read there."""

    version: str
    source: str
    source_date: str | None
    effective_at: float
    price: Written


class Difference(msgspec.Struct, frozen=True):
    """One disagreement: the check that found it, what it is about, and both figures in words."""

    check: str
    subject: str
    detail: str


class Entry(msgspec.Struct, frozen=True):
    """One request. Without an `ending` it runs, and what follows is unknown. Times are Unix seconds, or milliseconds since the request was
    complete."""

    id: str
    at: float
    account: str
    key: str
    key_name: str
    route: str
    model: str
    price_version: str
    hold: NanoDollars
    stream: bool
    client_request_id: str | None
    ended_at: float | None
    ending: str | None
    status: int | None
    provider: str | None
    usage: Usage | None
    estimated: bool | None
    charge: NanoDollars | None
    loss: NanoDollars | None
    attempts: int | None
    bytes_in: int | None
    bytes_out: int | None
    admitted_ms: float | None
    first_ms: float | None
    total_ms: float | None
    upstream_request_id: str | None
    cancel: str | None
    lost: tuple[str, ...]
    unpriced: tuple[str, ...]
