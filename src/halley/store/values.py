"""Accounts, keys and findings as values: what the store hands out and takes in. It imports no database, so that a command can read answers
without one."""

from __future__ import annotations

import msgspec

from halley.money import NanoDollars
from halley.secret import Secret


class Limits(msgspec.Struct, frozen=True):
    """What a key may do; None is unlimited. `expires_at` is Unix seconds."""

    models: tuple[str, ...] | None = None
    ips: tuple[str, ...] | None = None
    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None
    expires_at: float | None = None


class Key(msgspec.Struct, frozen=True):
    """A key as it is listed."""

    id: str
    name: str
    account: str
    shown: str
    source: str
    created_at: float
    limits: Limits
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


class Rotated(msgspec.Struct, frozen=True):
    """A new master key: where it is, how many secrets of the store were wrapped anew, and how many backups beside it were."""

    master_key: str
    secrets: int
    backups: int


class Difference(msgspec.Struct, frozen=True):
    """One disagreement: the check that found it, what it is about, and both figures in words."""

    check: str
    subject: str
    detail: str
