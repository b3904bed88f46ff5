"""The process that reads large bodies for a relay, so that no parser holds up the relay's loop: a body in, what was seen of it out, or what
it is in another dialect.

It is started by `lectern` with one end of a socket pair as its standard input, takes one body at a time, and ends with the socket. It
has no key, no money and no upstream, and it writes nothing anywhere else.
"""

from __future__ import annotations

import signal
import socket
import struct

import msgspec

from halley import logs
from halley.chat.model import Loss
from halley.chat.peek import Peek
from halley.errors import Condition, Refused
from halley.exchanges import EXCHANGES
from halley.serve.crossing import Order
from halley.serve.fetching import Addressed, addressed
from halley.wire import jsonbody

# Bytes of the order and of the body that follow.
QUESTION = struct.Struct("!IQ")
ANSWER = struct.Struct("!I")
DIALECTS = tuple({route.dialect.name: route.dialect for exchange in EXCHANGES for route in exchange.routes}.values())
_IMAGE = "data:image/"
_LONGEST_URL = 8193  # one more than any that is allowed
_LONGEST_MESSAGE = 2000

_log = logs.get("halley.lector")


class Unread(msgspec.Struct, tag=True):
    """The body is refused: the name of a condition, and what it says."""

    condition: str
    message: str
    param: str | None
    code: str | None = None


class Read(msgspec.Struct, tag=True):
    seen: Peek


class Written(msgspec.Struct, tag=True):
    """A body for a provider, and what is lost in it."""

    body: bytes
    losses: tuple[Loss, ...]


class Look(msgspec.Struct, tag=True):
    """See what a body of the dialect of this number in `DIALECTS` asks for, which came to this path."""

    dialect: int
    path: bytes


_decode_order = msgspec.msgpack.Decoder(Look | Order).decode


def done(order: Look | Order, body: bytes) -> Read | Written | Addressed | Unread:
    try:
        return read(order.dialect, order.path, body) if isinstance(order, Look) else write(order, body)
    except Refused as refusal:
        return Unread(refusal.condition.name, refusal.message[:_LONGEST_MESSAGE], refusal.param, refusal.code)
    except Exception as fault:  # top of the lector's loop: one body must not end it
        _log.error("a body could not be read", kind=type(fault).__name__, bytes=len(body))
        return Unread(Condition.BUG.name, "Something went wrong inside the gateway while the body was read.", None)


def write(order: Order, body: bytes) -> Written | Addressed:
    """Raises Refused."""
    ask = order.read(body)
    try:
        return Written(*order.written(ask)[1])
    except Refused:
        # It may be an address that the provider cannot be told.
        found = None if order.target.takes_urls or order.contents else addressed(ask)
        if found is None:
            raise
        return found


def read(number: int, path: bytes, body: bytes) -> Read:
    """Raises Refused."""
    seen = DIALECTS[number].peek(body, path)
    if isinstance(seen.members, dict):
        seen.members = jsonbody.places(body, seen.members)
    # Content stays here: of a picture in the body only that it is one, of an address as much as tells that it is too long.
    seen.image_urls = [_IMAGE if url.startswith(_IMAGE) else url[:_LONGEST_URL] for url in seen.image_urls]
    return Read(seen)


def serve(ours: socket.socket) -> None:
    while True:
        head = ours.recv(QUESTION.size, socket.MSG_WAITALL)
        if len(head) < QUESTION.size:
            return
        length, size = QUESTION.unpack(head)
        order = ours.recv(length, socket.MSG_WAITALL)
        body = ours.recv(size, socket.MSG_WAITALL)
        if len(order) < length or len(body) < size:
            return
        answer = msgspec.msgpack.encode(done(_decode_order(order), body))
        del body
        ours.sendall(ANSWER.pack(len(answer)) + answer)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the relay decides
    serve(socket.socket(fileno=0))


if __name__ == "__main__":
    main()
