"""The process that reads large bodies for a relay, so that no parser holds up the relay's loop: a body in, what was seen of it out.

It is started by `lectern` with one end of a socket pair as its standard input, reads one body at a time, and ends with the socket. It
has no key, no money and no upstream, and it writes nothing anywhere else.
"""

from __future__ import annotations

import signal
import socket
import struct

import msgspec

from halley import logs
from halley.chat.peek import Peek
from halley.errors import Condition, Refused
from halley.exchanges import EXCHANGES
from halley.wire import jsonbody

# Number of the dialect in `DIALECTS`, bytes of the path and of the body that follow.
QUESTION = struct.Struct("!BHQ")
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


def read(number: int, path: bytes, body: bytes) -> Read | Unread:
    try:
        seen = DIALECTS[number].peek(body, path)
    except Refused as refusal:
        return Unread(refusal.condition.name, refusal.message[:_LONGEST_MESSAGE], refusal.param, refusal.code)
    except Exception as fault:  # top of the lector's loop: one body must not end it
        _log.error("a body could not be read", kind=type(fault).__name__, bytes=len(body))
        return Unread(Condition.BUG.name, "Something went wrong inside the gateway while the body was read.", None)
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
        number, length, size = QUESTION.unpack(head)
        path = ours.recv(length, socket.MSG_WAITALL)
        body = ours.recv(size, socket.MSG_WAITALL)
        if len(path) < length or len(body) < size:
            return
        answer = msgspec.msgpack.encode(read(number, path, body))
        del body
        ours.sendall(ANSWER.pack(len(answer)) + answer)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the relay decides
    serve(socket.socket(fileno=0))


if __name__ == "__main__":
    main()
