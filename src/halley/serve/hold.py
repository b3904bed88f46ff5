"""What is set aside for one request before it may spend: taken from the account's lease, given back or spent exactly once."""

from __future__ import annotations

from halley.money import NanoDollars
from halley.policy.pricing import Worst
from halley.serve.tables import Account

LEAST_OUTPUT = 256


class Hold:
    """`need` is the worst-case price, `least` that of the smallest answer worth having; `amount` what is held once `take` said so.

    `cap` is the output that `need` was computed from. `flexible`: the request set no cap, so that a smaller one may be sent upstream.
    """

    __slots__ = ("account", "amount", "cap", "choices", "flexible", "input_most", "leased", "least", "need", "worst")

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

    def take(self) -> bool:
        """Take the worst case, if the account is unlimited, the model free, or the lease covers it."""
        account, need = self.account, self.need
        if account.unlimited or not need:
            self.amount = need
            return True
        if account.spendable < need:
            return False
        account.spendable -= need
        self.amount = need
        self.leased = True
        return True

    def take_less(self) -> bool:
        """Lower the cap to what the lease covers and take that; False when the request fixed its own, or too little would be left."""
        spendable = self.account.spendable
        if not self.flexible or spendable < self.least:
            return False
        self.cap = min(self.worst.affordable_output(self.input_most, spendable) // self.choices, self.cap)
        self.need = self.worst.hold(self.input_most, self.cap * self.choices)
        return self.take()

    def end(self, charge: NanoDollars) -> None:
        """The request is over: the charge is spent, the rest is free again."""
        if self.leased:
            self.leased = False
            self.account.spendable += self.amount - charge
