"""What an operator asks of control and what it answers: the bodies of the admin API. Plain values; the operations are the office's."""

from __future__ import annotations

import msgspec

from halley.money import NanoDollars
from halley.store.values import Account, Difference, Key, Limits


class Nothing(msgspec.Struct, frozen=True):
    """A question without content."""


class CreateKey(msgspec.Struct, frozen=True):
    name: str
    account: str = "default"
    limits: Limits = Limits()


class Named(msgspec.Struct, frozen=True):
    name: str


class CreateAccount(msgspec.Struct, frozen=True):
    name: str
    unlimited: bool = False


class GiveCredit(msgspec.Struct, frozen=True):
    """`amount` in nano-dollars; None makes the account unlimited."""

    account: str
    amount: NanoDollars | None


class RotateMasterKey(msgspec.Struct, frozen=True):
    """`master_key`: where the caller takes it to be, as the setting spells it; empty when the answer may be any place."""

    master_key: str = ""


class NewKey(msgspec.Struct, frozen=True):
    """The only time that a key's text is shown."""

    key: str
    id: str
    account: str
    name: str
    limits: Limits


class Keys(msgspec.Struct, frozen=True):
    keys: tuple[Key, ...]


class Accounts(msgspec.Struct, frozen=True):
    accounts: tuple[Account, ...]


class Credited(msgspec.Struct, frozen=True):
    """`became_prepaid` says that the account was unlimited until now."""

    account: Account
    became_prepaid: bool = False


class Verified(msgspec.Struct, frozen=True):
    clean: bool
    requests: int
    postings: int
    differences: tuple[Difference, ...]


class Model(msgspec.Struct, frozen=True):
    """A model in force; prices in USD per million tokens, `per_request` in USD, as decimal strings."""

    id: str
    owner: str
    providers: tuple[str, ...]
    prices: dict[str, str]
    context: int | None
    max_output: int | None


class Models(msgspec.Struct, frozen=True):
    models: tuple[Model, ...]


class Status(msgspec.Struct, frozen=True):
    figures: dict[str, int]
    relays_with_journal: tuple[str, ...]
