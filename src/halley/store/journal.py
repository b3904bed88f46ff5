"""The append-only journal: what a relay promises before it spends and reports after it has spent.

One file per relay process and segment, one `write(2)` per loop iteration (a write per record costs 20 µs). A record is a line of JSON, an
array that begins with the record's name: names of fields would be half of the file and of the time that both ends spend on it. Nothing goes
upstream before its `Start` is written and nothing final goes to the client before its `End` is, so `kill -9` loses nothing. The writer
holds an flock for its life: whoever can take the lock knows that the writer is gone. Control folds the files into the ledger.
"""

from __future__ import annotations

import msgspec

from halley.chat.usage import Usage
from halley.money import NanoDollars
from halley.policy.budgets import Pot


class Start(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="start"):
    """A request was admitted and `hold` nano-dollars are set aside for it. `at` is Unix seconds.

    `leased` says that the hold came out of the account's lease at this relay; otherwise the account is unlimited or the model is free.
    `pots` are those that the same amount is held in, one for each budget that stands over the request.
    """

    request: str
    at: float
    account: str
    key: str
    route: str
    model: str
    price_version: str
    hold: NanoDollars
    leased: bool
    stream: bool
    input_estimate: int
    client_request_id: str | None = None
    pots: tuple[Pot, ...] = ()


class Progress(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="progress"):
    """What a running stream has delivered so far: the charge if the relay died now."""

    request: str
    at: float
    provider: str
    usage: Usage
    charge: NanoDollars


class End(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="end"):
    """The one ending of a request; also its log row.

    `ending` names the row of the settlement table (`policy.settlement.Ending`). A `charge` settles the hold, without one it is released.
    `loss` is what the operator pays beyond the charge as far as it is known here, at the price of the model; `cost` is what the
    providers of all attempts charge, None where nobody said. `cancel` is the rule by which the provider bills a stream that is cut;
    `unpriced` names what the answer took and the price does not know. Times are milliseconds since the request was complete.
    """

    request: str
    at: float
    ending: str
    status: int
    provider: str
    usage: Usage
    estimated: bool
    charge: NanoDollars
    loss: NanoDollars
    attempts: int
    bytes_in: int
    bytes_out: int
    admitted_ms: float
    first_ms: float
    total_ms: float
    upstream_request_id: str | None = None
    lost: tuple[str, ...] = ()
    cost: NanoDollars | None = None
    cancel: str = ""
    unpriced: tuple[str, ...] = ()


class Kept(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="kept"):
    """An answer that its caller may go on from, written before its `End`. `provider` has it, if nothing is `sealed`; `previous` is the one
    that it goes on from itself."""

    answer: str
    at: float
    account: str
    provider: str
    previous: str | None = None
    sealed: bytes | None = None


class Sealed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="sealed"):
    """The answer of a request with an Idempotency-Key, to be given again, written before its `End`. `key` is the digest of what was
    claimed."""

    request: str
    account: str
    key: bytes
    sealed: bytes


Record = Start | Progress | End | Kept | Sealed
encode = msgspec.json.Encoder().encode_lines
_decoder = msgspec.json.Decoder(Record)
decode, decode_lines = _decoder.decode, _decoder.decode_lines
