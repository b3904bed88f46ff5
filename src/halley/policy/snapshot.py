"""The values that control pushes to every relay: who may call, what there is to call, and where it is served.

Plain data without behaviour; a relay builds its look-up tables from it. Secrets travel in it (the key pepper, upstream keys), so it is
never logged and never written to disk.
"""

from __future__ import annotations

import msgspec

from halley.money import NanoDollars, Price
from halley.policy.budgets import BudgetRow
from halley.secret import Secret, SecretBytes


class KeyRow(msgspec.Struct, frozen=True):
    """One client key. `digest` is HMAC-SHA256(pepper, key); limits of None are unlimited; times are Unix seconds.

    `routes` are names of exchanges or paths, empty for a key that may call none. Until `former_until` the text before its last rotation is
    good too, which has the `former_digest`."""

    id: str
    digest: bytes
    account: str
    name: str
    models: tuple[str, ...] | None = None
    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None
    ips: tuple[str, ...] | None = None
    expires_at: float | None = None
    routes: tuple[str, ...] | None = None
    former_digest: bytes | None = None
    former_until: float | None = None
    team: str | None = None


class AccountRow(msgspec.Struct, frozen=True):
    """One account. An unlimited account spends without a lease; its spend is booked as owed."""

    id: str
    unlimited: bool


class ProviderRow(msgspec.Struct, frozen=True):
    """One configured upstream. `kind` names a row of the provider table; `cancel` says who pays when a stream is cut on purpose; `region`
    is where it is, for signatures, if its host's name does not say so; `service_tier` is the one that it answers in unasked, empty for the
    ordinary one."""

    name: str
    kind: str
    base_url: str
    api_key: Secret
    cancel: str = "stops_billing"
    region: str = ""
    service_tier: str = ""


class OfferRow(msgspec.Struct, frozen=True):
    """One way to serve a model: a provider and the name the model has there. Smaller priority first, then by weight."""

    provider: str
    model: str
    weight: int = 1
    priority: int = 0
    cost: Price | None = None


class ModelRow(msgspec.Struct, frozen=True):
    """One model as callers see it. `version` identifies the price row that a charge was computed from; `shutdown` is the day, YYYY-MM-DD,
    on which its provider takes it away."""

    id: str
    owner: str
    price: Price
    version: str
    offers: tuple[OfferRow, ...]
    aliases: tuple[str, ...] = ()
    context: int | None = None
    max_output: int | None = None
    model_type: str = "text"
    features: tuple[str, ...] = ("text-to-text",)
    modalities: tuple[str, ...] = ("text",)
    name: str | None = None
    description: str | None = None
    source: str | None = None
    source_date: str | None = None
    shutdown: str | None = None


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot"):
    """Everything a relay needs to serve. `version` grows with every push."""

    version: int
    pepper: SecretBytes
    keys: tuple[KeyRow, ...]
    accounts: tuple[AccountRow, ...]
    providers: tuple[ProviderRow, ...]
    models: tuple[ModelRow, ...]
    after_break: str = "nothing"
    default_output_cap: int | None = None
    public_url: str = ""
    budgets: tuple[BudgetRow, ...] = ()


__all__ = ["AccountRow", "BudgetRow", "KeyRow", "ModelRow", "NanoDollars", "OfferRow", "ProviderRow", "Snapshot"]
