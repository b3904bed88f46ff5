"""AWS event-stream framing: where messages end, what their headers say, how one is written; and the two kinds that Bedrock sends in it.

Source: https://smithy.io/2.0/aws/amazon-eventstream.html, read 2026-11. Lengths are believed only after the checksum over them, so that a
broken stream is found within twelve bytes and never waited for; after the first fault a splitter gives nothing more.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterator, Mapping
from zlib import crc32

import msgspec

MESSAGE_BYTES = 16 << 20
HEADERS_BYTES = 128 << 10
_PRELUDE = struct.Struct(">III")
_CRC = struct.Struct(">I")
_LEAST = _PRELUDE.size + _CRC.size

Value = bool | int | str | bytes
# Types of a fixed size: 2 byte, 3 short, 4 integer, 5 long, 8 timestamp (milliseconds since 1970).
_INTEGERS = {2: struct.Struct(">b"), 3: struct.Struct(">h"), 4: struct.Struct(">i"), 5: struct.Struct(">q"), 8: struct.Struct(">q")}
_TRUE, _FALSE, _BYTES, _STRING, _UUID = 0, 1, 6, 7, 9
_LENGTH = struct.Struct(">H")


class Corrupt(ValueError):
    """These bytes are not an event stream, or are not whole. The message names the fault and repeats nothing of the content."""


class Message(msgspec.Struct, frozen=True):
    """One message; a timestamp is a number of milliseconds, a UUID its sixteen bytes."""

    headers: dict[str, Value]
    payload: bytes


class Failure(msgspec.Struct, frozen=True):
    """The host ended the stream with an error: its name there, such as `throttlingException`, and its words."""

    name: str
    message: str


class _Part(msgspec.Struct):
    bytes: str = ""


class _Said(msgspec.Struct):
    message: str = ""


_decode_part = msgspec.json.Decoder(_Part).decode
_decode_said = msgspec.json.Decoder(_Said).decode


class Splitter:
    """Bytes in, complete messages out, whatever the chunking. `rest` is how many bytes of a message have come that is not complete: at
    the end of a stream anything but 0 means that it was cut."""

    __slots__ = ("_buffer", "_needed", "_spoilt")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._needed = 0  # bytes of the message that has begun, once its prelude is known
        self._spoilt = False

    @property
    def rest(self) -> int:
        return len(self._buffer)

    @property
    def spoilt(self) -> bool:
        """Whether something came that is no message."""
        return self._spoilt

    def feed(self, data: bytes) -> Iterator[Message]:
        """Raises Corrupt behind the last whole message, wherever the bytes were divided; to be read to its end."""
        if self._spoilt:
            raise Corrupt("the stream was broken before")
        buffer = self._buffer
        buffer += data
        while len(buffer) >= (self._needed or _PRELUDE.size):
            try:
                if not self._needed:
                    self._needed = _length(bytes(buffer[: _PRELUDE.size]))
                    continue
                message = _message(bytes(buffer[: self._needed]))
            except Corrupt:
                self._spoilt = True
                buffer.clear()
                raise
            del buffer[: self._needed]
            self._needed = 0
            yield message


def render(headers: Mapping[str, Value], payload: bytes) -> bytes:
    """One message. An integer is written as a 32-bit one if it fits, else with 64 bits. ValueError for what cannot be said."""
    block = b"".join(_header(name, value) for name, value in headers.items())
    total = _LEAST + len(block) + len(payload)
    if len(block) > HEADERS_BYTES or total > MESSAGE_BYTES:
        raise ValueError("a message or its headers are larger than the format allows")
    lengths = struct.pack(">II", total, len(block))
    head = lengths + _CRC.pack(crc32(lengths)) + block + payload
    return head + _CRC.pack(crc32(head))


def chunk(message: Message) -> bytes | Failure | None:
    """What a message of a model's stream carries: the JSON text of one event, an error, or nothing that is known. Raises Corrupt."""
    headers = message.headers
    match headers.get(":message-type"):
        case "event" if headers.get(":event-type") == "chunk":
            return _part(message.payload)
        case "event":
            return None
        case "exception":
            return Failure(str(headers.get(":exception-type", "unknown")), _said(message.payload))
        case "error":
            return Failure(str(headers.get(":error-code", "unknown")), str(headers.get(":error-message", "")))
        case _:
            raise Corrupt("a message is neither event, exception nor error")


def render_chunk(event: bytes) -> bytes:
    """One event of a model's stream as Bedrock frames it."""
    payload = b'{"bytes":"%b"}' % binascii.b2a_base64(event, newline=False)
    return render({":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}, payload)


def render_failure(failure: Failure) -> bytes:
    headers = {":exception-type": failure.name, ":content-type": "application/json", ":message-type": "exception"}
    return render(headers, msgspec.json.encode({"message": failure.message}))


def _length(prelude: bytes) -> int:
    total, headers, checksum = _PRELUDE.unpack(prelude)
    if crc32(prelude[:8]) != checksum:
        raise Corrupt("the checksum of a message's lengths is wrong")
    if not _LEAST + headers <= total <= MESSAGE_BYTES or headers > HEADERS_BYTES:
        raise Corrupt("the lengths of a message are impossible")
    return total


def _message(data: bytes) -> Message:
    if crc32(data[:-4]) != _CRC.unpack_from(data, len(data) - 4)[0]:
        raise Corrupt("the checksum of a message is wrong")
    first = _PRELUDE.size
    after = first + _PRELUDE.unpack_from(data)[1]
    try:
        return Message(_headers(data[first:after]), data[after:-4])
    except (struct.error, IndexError):
        raise Corrupt("the headers of a message end too early") from None
    except UnicodeDecodeError:
        raise Corrupt("a header of a message is not UTF-8") from None


def _headers(block: bytes) -> dict[str, Value]:
    found: dict[str, Value] = {}
    position = 0
    while position < len(block):
        start = position + 1
        position = start + block[position]
        name = _sliced(block, start, position).decode()
        kind = block[position]
        position += 1
        value: Value
        if kind in (_TRUE, _FALSE):
            value = kind == _TRUE
        elif (integer := _INTEGERS.get(kind)) is not None:
            value = integer.unpack_from(block, position)[0]
            position += integer.size
        elif kind in (_BYTES, _STRING, _UUID):
            start = position if kind == _UUID else position + _LENGTH.size
            position = start + (16 if kind == _UUID else _LENGTH.unpack_from(block, position)[0])
            data = _sliced(block, start, position)
            value = data.decode() if kind == _STRING else data
        else:
            raise Corrupt("a header of a message has an unknown type")
        if not name or name in found:
            raise Corrupt("a header of a message has no name or the name of another")
        found[name] = value
    return found


def _sliced(block: bytes, start: int, end: int) -> bytes:
    if end > len(block):
        raise IndexError
    return block[start:end]


def _header(name: str, value: Value) -> bytes:
    spelled = name.encode()
    if not 0 < len(spelled) < 256:
        raise ValueError("the name of a header has 1 to 255 bytes")
    lead = bytes((len(spelled),)) + spelled
    match value:
        case bool():
            return lead + bytes((_TRUE if value else _FALSE,))
        case int():
            kind = 4 if -(1 << 31) <= value < 1 << 31 else 5
            if not -(1 << 63) <= value < 1 << 63:
                raise ValueError("an integer of a header has at most 64 bits")
            return lead + bytes((kind,)) + _INTEGERS[kind].pack(value)
        case str() | bytes():
            data = value.encode() if isinstance(value, str) else value
            if len(data) > 32767:
                raise ValueError("the value of a header has at most 32767 bytes")
            return lead + bytes((_STRING if isinstance(value, str) else _BYTES,)) + _LENGTH.pack(len(data)) + data


def _part(payload: bytes) -> bytes:
    try:
        return binascii.a2b_base64(_decode_part(payload).bytes, strict_mode=True)
    except (msgspec.DecodeError, binascii.Error, ValueError):
        raise Corrupt("the payload of a chunk is not the JSON that it must be") from None


def _said(payload: bytes) -> str:
    """The words of an exception; whatever else its payload is, the exception itself is certain."""
    try:
        return _decode_said(payload).message
    except msgspec.DecodeError:
        return ""
