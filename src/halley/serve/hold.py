"""What is set aside for one request before it may spend: taken from the account's lease and from the pot of every budget that stands over
it, of all of them or of none; given back or spent exactly once.
"""

from __future__ import annotations

from halley.money import NanoDollars
from halley.policy.budgets import Pot
from halley.policy.pricing import Worst
from halley.serve.budgets import PotLease
from halley.serve.tables import Account

LEAST_OUTPUT = 256


class Hold:
    """`need` is the worst-case price, `least` that of the smallest answer worth having; `amount` what is held once `take` said so.

    `cap` is the output that `need` was computed from. `flexible`: the request set no cap, so that a smaller one may be sent upstream.
    `held_in` names the pots that the amount is held in.
    """

    # fmt: off
    __slots__ = (
        "account", "amount", "cap", "choices", "flexible", "held_in", "input_most", "leased", "least", "need", "pots", "worst",
    )
    # fmt: on

    def __init__(self, account: Account, worst: Worst, input_most: int, cap: int, choices: int, *, flexible: bool) -> None:
        self.account = account
        self.worst = worst
        self.input_most = input_most
        self.cap = cap
        self.choices = choices
        self.flexible = flexible
        self.need: NanoDollars = worst.hold(input_most, cap * choices)
        self.least: NanoDollars = worst.hold(input_most, min(LEAST_OUTPUT, cap) * choices) if flexible else self.need
        self.amount: NanoDollars = 0
        self.leased = False
        self.pots: tuple[PotLease, ...] = ()
        self.held_in: tuple[Pot, ...] = ()

    def take(self) -> bool:
        """Take the worst case, if the account is unlimited, the model free, or the lease covers it, and every pot does."""
        account, need = self.account, self.need
        if account.unlimited or not need:
            if self.pots and need and not self._take_from_pots(need):
                return False
            self.amount = need
            return True
        if account.spendable < need or (self.pots and not self._take_from_pots(need)):
            return False
        account.spendable -= need
        self.amount = need
        self.leased = True
        return True

    def take_less(self) -> bool:
        """Lower the cap to what the lease covers and take that; False when the request fixed its own, or too little would be left."""
        spendable = self._spendable()
        if not self.flexible or spendable < self.least:
            return False
        self.cap = min(self.worst.affordable_output(self.input_most, spendable) // self.choices, self.cap)
        self.need = self.worst.hold(self.input_most, self.cap * self.choices)
        return self.take()

    def end(self, charge: NanoDollars) -> None:
        """The request is over: the charge is spent, the rest is free again."""
        if self.held_in:
            self.held_in = ()
            for pot in self.pots:
                pot.spendable += self.amount - charge
        if self.leased:
            self.leased = False
            self.account.spendable += self.amount - charge

    def _take_from_pots(self, need: NanoDollars) -> bool:
        for pot in self.pots:
            if pot.spendable < need:
                return False
        for pot in self.pots:
            pot.spendable -= need
        self.held_in = tuple([pot.id for pot in self.pots])
        return True

    def _spendable(self) -> NanoDollars:
        """What the shortest of the leases covers."""
        account = self.account
        if not self.pots:
            return account.spendable
        least = min(pot.spendable for pot in self.pots)
        return least if account.unlimited or least < account.spendable else account.spendable
