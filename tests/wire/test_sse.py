"""Frames of a stream, whatever the chunking and the line ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley.wire import sse

STREAM = 'data: {"a":"é"}\n\nevent: x\ndata: 1\n\n: comment\n\ndata: [DONE]\n\n'.encode()


def feed(chunks: list[bytes]) -> tuple[bytes, bytes]:
    splitter = sse.Splitter()
    return b"".join(splitter.complete(chunk) for chunk in chunks), splitter.rest


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_every_split_point_gives_the_same_frames(newline: bytes) -> None:
    stream = STREAM.replace(b"\n", newline)
    for cut in range(len(stream) + 1):
        complete, rest = feed([stream[:cut], stream[cut:]])
        assert complete + rest == stream
        assert [sse.payload(frame) for frame in sse.frames(complete + rest)] == ['{"a":"é"}'.encode(), b"1", b"", b"[DONE]"]


@given(st.lists(st.integers(1, 9), min_size=1), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_any_slicing_loses_and_adds_nothing(sizes: list[int], newline: bytes) -> None:
    stream = STREAM.replace(b"\n", newline)
    chunks: list[bytes] = []
    position = 0
    while position < len(stream):
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(stream[position : position + size])
        position += size
    complete, rest = feed(chunks)
    assert complete + rest == stream


def test_complete_frames_come_out_as_soon_as_they_are_complete() -> None:
    splitter = sse.Splitter()
    assert splitter.complete(b"data: 1\n\ndata: 2\n") == b"data: 1\n\n"
    assert splitter.complete(b"\ndata: 3") == b"data: 2\n\n"
    assert splitter.rest == b"data: 3"


def test_data_lines_are_joined_and_one_blank_after_the_colon_is_dropped() -> None:
    assert sse.payload(b"data: a\ndata:b\nid: 1\ndata:  c\n\n") == b"a\nb\n c"
    assert sse.payload(b"\xef\xbb\xbfdata: first\n\n") == b"first"


def test_a_rendered_frame_reads_back() -> None:
    assert sse.payload(sse.render(b"{}", b"error")) == b"{}"
    assert sse.render(b"{}") == b"data: {}\n\n"


def test_the_frame_around_a_position_is_found_whatever_the_line_ends() -> None:
    for newline in (b"\n", b"\r\n", b"\r"):
        stream = STREAM.replace(b"\n", newline)
        start = 0
        for frame in sse.frames(stream):
            assert sse.frame_start(stream, start + 2) == start
            start += len(frame)


FORMS = {
    "data: 1": (b"", b"1"),
    "data:2": (b"", b"2"),
    "data: [DONE]": (b"", b"[DONE]"),
    "event: a\ndata: {}": (b"a", b"{}"),
    "event:b\ndata: {}": (b"b", b"{}"),
    "data: {}\nevent: c": (b"c", b"{}"),
    "event: d\ndata: 1\ndata: 2": (b"d", b"1\n2"),
    "data: 1\ndata: 2": (b"", b"1\n2"),
    "id: 7\nevent: e\ndata: x": (b"e", b"x"),
    "event: f\nid: 7\ndata: x": (b"f", b"x"),
    "event: old\nevent: g\ndata: x": (b"g", b"x"),
    ": a comment": None,
    "event: without": None,
    "data: ": None,
    "data:": None,
    "event: empty\ndata: ": None,
    "event: empty\ndata:": None,
}


@given(st.lists(st.sampled_from(sorted(FORMS))), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_names_and_payloads_are_read_whatever_the_spelling(forms: list[str], newline: bytes) -> None:
    data = b"".join((form + "\n\n").encode().replace(b"\n", newline) for form in forms)
    assert sse.named(data) == [found for form in forms if (found := FORMS[form]) is not None]
