"""What relays and control say to each other over the link, and how it is framed.

A frame is a 4-byte big-endian length and a msgpack value. Every money figure is a running total, so that a message that arrives twice,
late, or after a restart of either side changes nothing it should not.
"""

from __future__ import annotations

import msgspec

from halley.money import NanoDollars
from halley.policy.snapshot import Snapshot
from halley.secret import hidden, revealed


class LeaseState(msgspec.Struct, frozen=True):
    """A lease as the relay knows it: totals of nano-dollars since the relay process began."""

    account: str
    granted: NanoDollars
    returned: NanoDollars


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """First message of a relay on each connection. `relay` is unique per relay process, `journal` the path stem of its segments."""

    relay: str
    pid: int
    journal: str
    leases: tuple[LeaseState, ...] = ()


class LeaseWanted(msgspec.Struct, frozen=True, tag="lease_wanted"):
    """The account needs `need` more nano-dollars at this relay; `least` still helps (an answer with a smaller output cap)."""

    account: str
    need: NanoDollars
    least: NanoDollars


class LeaseReturned(msgspec.Struct, frozen=True, tag="lease_returned"):
    """Credit given back; `returned` is the total of all returns of this lease."""

    account: str
    returned: NanoDollars


class Counters(msgspec.Struct, frozen=True, tag="counters"):
    """A relay's plain integers, once a second, as totals since it began; names are Prometheus series
    (`halley_requests_total{route="…"}`)."""

    values: dict[str, int]
    ready: bool


class Granted(msgspec.Struct, frozen=True, tag="granted"):
    """Answer to LeaseWanted: the lease's total grant. Unchanged total means the account cannot cover `least`."""

    account: str
    granted: NanoDollars


class Recall(msgspec.Struct, frozen=True, tag="recall"):
    """Give back what is not held by open requests; answered by LeaseReturned."""

    account: str


class Folded(msgspec.Struct, frozen=True, tag="folded"):
    """Journal bytes of this relay (over all segments) that are in the ledger."""

    offset: int


FromRelay = Hello | LeaseWanted | LeaseReturned | Counters
FromControl = Snapshot | Granted | Recall | Folded

# The link is a socket that its owner alone can open: one of the two places where a secret may be written out.
_pack = msgspec.msgpack.Encoder(enc_hook=revealed).encode
unpack_from_relay = msgspec.msgpack.Decoder(FromRelay).decode
unpack_from_control = msgspec.msgpack.Decoder(FromControl, dec_hook=hidden).decode

MAX_FRAME = 256 << 20


def frame(message: FromRelay | FromControl) -> bytes:
    payload = _pack(message)
    return len(payload).to_bytes(4, "big") + payload
