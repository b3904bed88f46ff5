"""What relays and control say to each other over the link, and how it is framed.

A frame is a 4-byte big-endian length and a msgpack value. Every money figure is a running total, so that a message that arrives twice,
late, or after a restart of either side changes nothing it should not.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from halley.money import NanoDollars
from halley.policy.budgets import Pot
from halley.policy.snapshot import Snapshot
from halley.secret import hidden, revealed
from halley.store.journal import Kept

# What is lent from: an account, by its id, or a pot.
Source = str | Pot


class LeaseState(msgspec.Struct, frozen=True):
    """A lease as the relay knows it: totals of nano-dollars since the relay process began."""

    source: Source
    granted: NanoDollars
    returned: NanoDollars


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """First message of a relay on each connection. `relay` is unique per relay process, `journal` the path stem of its segments."""

    relay: str
    pid: int
    journal: str
    leases: tuple[LeaseState, ...] = ()


class PotWanted(msgspec.Struct, frozen=True, array_like=True):
    """As `LeaseWanted`, of a pot."""

    pot: Pot
    need: NanoDollars
    least: NanoDollars


class LeaseWanted(msgspec.Struct, frozen=True, tag="lease_wanted"):
    """The account needs `need` more nano-dollars at this relay; `least` still helps (an answer with a smaller output cap). So do the `pots`
    that stand over the same requests."""

    account: str
    need: NanoDollars
    least: NanoDollars
    pots: tuple[PotWanted, ...] = ()


class LeaseAsked(msgspec.Struct, frozen=True, tag="lease_asked"):
    """The relay has forgotten how much it was lent of some of these pots, and asks before it wants more; answered by LeaseTold."""

    account: str
    pots: tuple[Pot, ...]


class LeaseReturned(msgspec.Struct, frozen=True, tag="lease_returned"):
    """Credit given back; `returned` is the total of all returns of this lease."""

    source: Source
    returned: NanoDollars


class AnswersWanted(msgspec.Struct, frozen=True, tag="answers_wanted"):
    """A caller of the account goes on from the answer `last`, so that those before it are wanted too, or names `others`, which are wanted
    alone. `question` is the relay's number for what comes back."""

    question: int
    account: str
    last: str | None
    others: tuple[str, ...] = ()


class AnswerGone(msgspec.Struct, frozen=True, tag="answer_gone"):
    """The account's caller has deleted the answer."""

    question: int
    account: str
    answer: str


class ClaimWanted(msgspec.Struct, frozen=True, tag="claim_wanted"):
    """The request wants the account's Idempotency-Key: `key` and `body` are digests. Answered by Answers with a `claim`."""

    question: int
    account: str
    key: bytes
    body: bytes
    request: str


class ClaimGone(msgspec.Struct, frozen=True, tag="claim_gone"):
    """The request wanted, and perhaps has, the account's Idempotency-Key, and is refused: it will never begin."""

    account: str
    key: bytes
    request: str


class Counters(msgspec.Struct, frozen=True, tag="counters"):
    """A relay's plain integers, once a second, as totals since it began; names are Prometheus series
    (`halley_requests_total{route="…"}`)."""

    values: dict[str, int]
    ready: bool


class Granted(msgspec.Struct, frozen=True, tag="granted"):
    """Answer to LeaseWanted: the total grant of its leases, of pots in the order of the question. An unchanged total means that `least`
    cannot be covered."""

    account: str
    granted: NanoDollars
    pots: tuple[tuple[Pot, NanoDollars], ...] = ()


class LeaseTold(msgspec.Struct, frozen=True, tag="lease_told"):
    """Answer to LeaseAsked: how the leases stand, in the order of the question. Nothing is lent by it."""

    account: str
    leases: tuple[LeaseState, ...]


class Recall(msgspec.Struct, frozen=True, tag="recall"):
    """Give back what is not held by open requests; answered by LeaseReturned."""

    source: Source


class Folded(msgspec.Struct, frozen=True, tag="folded"):
    """Journal bytes of this relay (over all segments) that are in the ledger."""

    offset: int


Standing = Literal["held", "running", "other", "done"]
HELD: Final = "held"
RUNNING: Final = "running"
OTHER: Final = "other"
DONE: Final = "done"


class Claim(msgspec.Struct, frozen=True):
    """How it stands with an Idempotency-Key: who asked holds it now, its `request` runs, it belongs to another body, or its request is
    done, with this charge, and what is kept of its answer. `ending` is empty of one that runs."""

    standing: Standing
    request: str = ""
    ending: str = ""
    charge: NanoDollars = 0
    sealed: bytes | None = None


class Answers(msgspec.Struct, frozen=True, tag="answers"):
    """Answer to a question. To AnswersWanted and AnswerGone: what the account has of them; `line` ends with `last`, the oldest first, and
    is empty if one of it is not there. To ClaimWanted: `claim`."""

    question: int
    line: tuple[Kept, ...] = ()
    others: tuple[Kept, ...] = ()
    claim: Claim | None = None


FromRelay = Hello | LeaseWanted | LeaseAsked | LeaseReturned | AnswersWanted | AnswerGone | ClaimWanted | ClaimGone | Counters
FromControl = Snapshot | Granted | LeaseTold | Recall | Folded | Answers

# The link is a socket that its owner alone can open: one of the two places where a secret may be written out.
_pack = msgspec.msgpack.Encoder(enc_hook=revealed).encode
unpack_from_relay = msgspec.msgpack.Decoder(FromRelay).decode
unpack_from_control = msgspec.msgpack.Decoder(FromControl, dec_hook=hidden).decode

MAX_FRAME = 256 << 20


def frame(message: FromRelay | FromControl) -> bytes:
    payload = _pack(message)
    return len(payload).to_bytes(4, "big") + payload
