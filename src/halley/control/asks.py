"""What an operator asks of control and what it answers: the bodies of the admin API. Plain values; the operations are the office's."""

from __future__ import annotations

import msgspec

from halley.money import NanoDollars
from halley.policy.budgets import LevelName
from halley.pricelist import Written
from halley.store.values import Account, Difference, Entry, Key, Limits, PriceChange, Team, Token, User


class Nothing(msgspec.Struct, frozen=True):
    """A question without content."""


class CreateKey(msgspec.Struct, frozen=True):
    name: str
    account: str = "default"
    limits: Limits = Limits()


class Named(msgspec.Struct, frozen=True):
    name: str


class RotateKey(msgspec.Struct, frozen=True):
    """`overlap_s`: so long the old text stays good."""

    name: str
    overlap_s: float = 0.0


class ChangeKey(msgspec.Struct, frozen=True):
    """What is not said stays as it is."""

    name: str
    new_name: str | None = None
    limits: Limits | None = None
    disabled: bool | None = None


class CreateUser(msgspec.Struct, frozen=True):
    name: str
    account: str
    role: str


class RemoveUser(msgspec.Struct, frozen=True):
    name: str
    account: str


class Users(msgspec.Struct, frozen=True):
    users: tuple[User, ...]


class CreateToken(msgspec.Struct, frozen=True):
    """Without `scopes`, the token has those of its user's role."""

    name: str
    user: str
    account: str
    scopes: tuple[str, ...] | None
    expires_at: float | None = None


class NewToken(msgspec.Struct, frozen=True):
    """The only time that a token's text is shown."""

    text: str
    token: Token


class Tokens(msgspec.Struct, frozen=True):
    tokens: tuple[Token, ...]


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


class CreateTeam(msgspec.Struct, frozen=True):
    name: str
    account: str = "default"


class RemoveTeam(msgspec.Struct, frozen=True):
    name: str
    account: str = "default"


class Teams(msgspec.Struct, frozen=True):
    teams: tuple[Team, ...]


class SetBudget(msgspec.Struct, frozen=True):
    """`subject` is a key's id or name, a team's name or an end user, empty for the account itself and for every end user."""

    account: str
    level: LevelName
    subject: str
    amount: NanoDollars
    reset: str = "none"
    anchor: int | None = None


class BudgetState(msgspec.Struct, frozen=True):
    """A budget and its period that goes on. Of a budget of every end user, `spent` and `held` are those of requests that name none."""

    id: str
    account: str
    level: LevelName
    subject: str
    amount: NanoDollars
    reset: str
    anchor: int | None
    source: str
    since: int
    until: int | None
    spent: NanoDollars
    held: NanoDollars


class BudgetStates(msgspec.Struct, frozen=True):
    budgets: tuple[BudgetState, ...]


class Accounts(msgspec.Struct, frozen=True):
    accounts: tuple[Account, ...]


class Credited(msgspec.Struct, frozen=True):
    """`became_prepaid` says that the account was unlimited until now."""

    account: Account
    became_prepaid: bool = False


class Verify(msgspec.Struct, frozen=True):
    """`sample`: of so many requests, the newest, the charge is recomputed; None for all."""

    sample: int | None = None


class Verified(msgspec.Struct, frozen=True):
    clean: bool
    requests: int
    postings: int
    differences: tuple[Difference, ...]


class Model(msgspec.Struct, frozen=True):
    """A model in force; prices as a price list writes them."""

    id: str
    owner: str
    providers: tuple[str, ...]
    prices: Written
    context: int | None
    max_output: int | None
    status: str = "active"
    shutdown: str | None = None


class Models(msgspec.Struct, frozen=True):
    models: tuple[Model, ...]


class PriceHistory(msgspec.Struct, frozen=True):
    """The prices that a model has had, the newest first."""

    changes: tuple[PriceChange, ...]


class Log(msgspec.Struct, frozen=True):
    """Which requests of an account, the newest first: begun from `since` on (Unix seconds), of a key by name or id, of a model, with a
    status, only those that run still, or those with an id. At most `limit`, behind the one that began at `before[0]` and has the id
    `before[1]`."""

    account: str
    since: float = 0.0
    key: str | None = None
    model: str | None = None
    status: int | None = None
    running: bool = False
    requests: tuple[str, ...] = ()
    limit: int = 100
    before: tuple[float, str] | None = None


class Logged(msgspec.Struct, frozen=True):
    """`stopped` is where to go on (as `before`): the page is full, or so many requests were passed that others want their turn."""

    entries: tuple[Entry, ...]
    stopped: tuple[float, str] | None = None


class Status(msgspec.Struct, frozen=True):
    figures: dict[str, int]
    relays_with_journal: tuple[str, ...]
