"""AWS event-stream framing: whole, in pieces, cut, broken and hostile."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley.wire.eventstream import (
    HEADERS_BYTES,
    MESSAGE_BYTES,
    Corrupt,
    Failure,
    Message,
    Splitter,
    chunk,
    render,
    render_chunk,
    render_failure,
)

# Published with the format: one header of text and a payload of thirteen bytes; and the empty message.
PUBLISHED = bytes.fromhex(
    "0000003d0000002007fd83960c636f6e74656e742d747970650700106170706c69636174696f6e2f6a736f6e7b27666f6f273a27626172277d8d9c08b1"
)
EMPTY = bytes.fromhex("000000100000000005c248eb7d98c8ff")
EVENTS = [b'{"type":"message_start"}', '{"text":"é€😀"}'.encode(), b"{}"]
STREAM = b"".join(render_chunk(event) for event in EVENTS)

names = st.text(min_size=1, max_size=20).filter(lambda name: 0 < len(name.encode()) < 256)
values = st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text(max_size=50) | st.binary(max_size=50)


def built(headers: bytes, payload: bytes = b"") -> bytes:
    """A message with right checksums around headers of any bytes."""
    lengths = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    head = lengths + struct.pack(">I", crc32(lengths)) + headers + payload
    return head + struct.pack(">I", crc32(head))


def prelude(total: int, headers: int) -> bytes:
    lengths = struct.pack(">II", total, headers)
    return lengths + struct.pack(">I", crc32(lengths))


def fed(splitter: Splitter, data: bytes) -> list[Message]:
    return list(splitter.feed(data))


def test_published_messages_are_read_and_written_byte_by_byte_the_same() -> None:
    message = Message({"content-type": "application/json"}, b"{'foo':'bar'}")
    assert fed(Splitter(), PUBLISHED + EMPTY) == [message, Message({}, b"")]
    assert render(message.headers, message.payload) == PUBLISHED
    assert render({}, b"") == EMPTY


def test_every_type_of_header_is_read() -> None:
    headers = (
        b"\x01a\x00\x01b\x01" b"\x01c\x02\xff" b"\x01d\x03\xff\xfe" b"\x01e\x04\x00\x00\x01\x00" b"\x01f\x05" + b"\xff" * 8
        + b"\x01g\x06\x00\x02\x00\xff" b"\x01h\x07\x00\x02\xc3\xa9" b"\x01i\x08\x00\x00\x00\x00\x00\x00\x07\xd0"
        b"\x01j\x09" + bytes(range(16))
    )  # fmt: skip
    (message,) = fed(Splitter(), built(headers, b"x"))
    assert message.headers == {
        "a": True, "b": False, "c": -1, "d": -2, "e": 256, "f": -1, "g": b"\x00\xff", "h": "é", "i": 2000, "j": bytes(range(16)),
    }  # fmt: skip
    assert message.payload == b"x"


@given(st.dictionaries(names, values, max_size=6), st.binary(max_size=200))
def test_what_is_written_is_read(headers: dict[str, bool | int | str | bytes], payload: bytes) -> None:
    (message,) = fed(Splitter(), render(headers, payload))
    assert (message.headers, message.payload) == (headers, payload)
    assert [type(value) for value in message.headers.values()] == [type(value) for value in headers.values()]


def test_a_stream_is_the_same_in_every_two_pieces_and_byte_by_byte() -> None:
    whole = fed(Splitter(), STREAM)
    assert [chunk(message) for message in whole] == EVENTS
    for cut in range(len(STREAM) + 1):
        splitter = Splitter()
        assert fed(splitter, STREAM[:cut]) + fed(splitter, STREAM[cut:]) == whole
        assert splitter.rest == 0
    splitter = Splitter()
    assert [message for place in range(len(STREAM)) for message in fed(splitter, STREAM[place : place + 1])] == whole


def test_a_cut_stream_says_so_and_gives_what_was_whole() -> None:
    ends = [len(b"".join(render_chunk(event) for event in EVENTS[:count])) for count in range(len(EVENTS) + 1)]
    for cut in range(len(STREAM)):
        splitter = Splitter()
        assert len(fed(splitter, STREAM[:cut])) == sum(1 for end in ends[1:] if end <= cut)
        assert (splitter.rest == 0) == (cut in ends)


def test_every_changed_bit_is_noticed() -> None:
    for place in range(len(PUBLISHED)):
        for bit in range(8):
            broken = bytearray(PUBLISHED)
            broken[place] ^= 1 << bit
            with pytest.raises(Corrupt):
                fed(Splitter(), bytes(broken))


def test_what_stood_before_a_fault_is_given_wherever_the_bytes_were_divided() -> None:
    broken = STREAM + b"no message at all"
    for cut in range(len(broken) + 1):
        splitter = Splitter()
        read: list[Message] = []
        with pytest.raises(Corrupt):
            for piece in (broken[:cut], broken[cut:]):
                for message in splitter.feed(piece):
                    read.append(message)
        assert [chunk(message) for message in read] == EVENTS


def test_nothing_follows_a_fault() -> None:
    splitter = Splitter()
    for data in (b"HTTP/1.1 200", STREAM):
        with pytest.raises(Corrupt):
            fed(splitter, data)
    assert splitter.rest == 0


@pytest.mark.parametrize(
    ("total", "headers"),
    [(0, 0), (15, 0), (16, 1), (MESSAGE_BYTES + 1, 0), (0xFFFFFFFF, 0), (0xFFFFFFFF, 0xFFFFFFFF), (HEADERS_BYTES + 100, HEADERS_BYTES + 1)],
)
def test_impossible_lengths_are_refused_before_anything_is_waited_for(total: int, headers: int) -> None:
    with pytest.raises(Corrupt, match="impossible"):
        fed(Splitter(), prelude(total, headers))


@pytest.mark.parametrize(
    "headers",
    [
        b"\x00\x00",
        b"\x05ab",
        b"\x01a",
        b"\x01a\x0a",
        b"\x01a\x04\x00",
        b"\x01a\x07\x00",
        b"\x01a\x07\x00\x05ab",
        b"\x01a\x07\x00\x01\xff",
        b"\x01\xff\x00",
        b"\x01a\x09abc",
        b"\x01a\x00\x01a\x00",
    ],
)
def test_headers_that_make_no_sense_are_refused_though_their_checksums_are_right(headers: bytes) -> None:
    with pytest.raises(Corrupt):
        fed(Splitter(), built(headers))


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_are_read_or_refused(pieces: list[bytes]) -> None:
    splitter = Splitter()
    try:
        for piece in pieces:
            for message in fed(splitter, built(piece) if len(piece) % 2 else piece):
                chunk(message)
    except Corrupt:
        pass


@pytest.mark.parametrize(
    ("headers", "payload"),
    [({"": 1}, b""), ({"x" * 256: 1}, b""), ({"a": "x" * 32768}, b""), ({"a": 1 << 63}, b""), ({}, bytes(MESSAGE_BYTES))],
)
def test_what_the_format_cannot_say_is_not_written(headers: dict[str, bool | int | str | bytes], payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"header|larger"):
        render(headers, payload)


def test_an_exception_is_a_failure_with_its_name_and_words() -> None:
    failure = Failure("throttlingException", "Too many requests")
    (message,) = fed(Splitter(), render_failure(failure))
    assert chunk(message) == failure
    assert chunk(Message({":message-type": "exception"}, b"\xff")) == Failure("unknown", "")
    error = Message({":message-type": "error", ":error-code": "InternalError", ":error-message": "x"}, b"")
    assert chunk(error) == Failure("InternalError", "x")


def test_padding_beside_the_bytes_and_unknown_events_are_passed_over() -> None:
    headers: dict[str, bool | int | str | bytes] = {":message-type": "event", ":event-type": "chunk"}
    assert chunk(Message(headers, b'{"bytes":"e30=","p":"abcdefgh"}')) == b"{}"
    assert chunk(Message({":message-type": "event", ":event-type": "initial-response"}, b"")) is None


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"bytes":1}', b'{"bytes":"***"}', b'{"bytes":"e30"}', '{"bytes":"é"}'.encode(), b"\xff"])
def test_a_chunk_that_is_not_base64_in_json_is_refused(payload: bytes) -> None:
    with pytest.raises(Corrupt):
        chunk(Message({":message-type": "event", ":event-type": "chunk"}, payload))


def test_a_message_without_a_type_is_refused() -> None:
    with pytest.raises(Corrupt):
        chunk(Message({":message-type": 1}, b""))
