"""What the load tools print and bring is read strictly: an error, a gap or a missing total fails the row."""

import pytest

from bench.canned import Wrong
from bench.http import Door, is_whole
from bench.idle import first_chunk
from bench.measure import Idle
from bench.paced import AFTER, BEFORE
from bench.streams import check_order, payload_of
from bench.wrk import script, totals

OK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(number: int) -> bytes:
    return b"%s%06d@%019d%s" % (BEFORE, number, 12345, AFTER)


def test_wrk_totals_are_read_from_its_last_line():
    read = totals("Running 2s test\n\nTOTALS 50340 2005109 41681520 0 0 0 0 0 2503 5910\n")
    assert (read.answers, read.seconds, read.received, read.p50_us) == (50340, 2.005109, 41681520, 2503)


@pytest.mark.parametrize("errors", ["1 0 0 0 0", "0 1 0 0 0", "0 0 1 0 0", "0 0 0 1 0", "0 0 0 0 1"])
def test_any_error_that_wrk_saw_fails_the_repetition(errors: str):
    with pytest.raises(Wrong, match="wrk saw errors: 1 "):
        totals(f"TOTALS 50340 2005109 41681520 {errors} 1 2")


@pytest.mark.parametrize("output", ["", "unable to connect", "TOTALS 0 2005109 0 0 0 0 0 0 0 0"])
def test_no_totals_and_no_answers_fail_the_repetition(output: str):
    with pytest.raises(Wrong):
        totals(output)


def test_the_load_script_holds_the_body_and_the_credentials():
    text = script(Door("http://127.0.0.1:1/v1/chat/completions", {"Authorization": "Bearer sk-x"}), "json")
    assert 'wrk.headers["Authorization"] = "Bearer sk-x"' in text and '"model":"bench-json"' in text and "%d %d" in text


def test_paced_chunks_are_whole_http_chunks_of_the_length_they_declare():
    size, _, rest = chunk(7).partition(b"\r\n")
    assert int(size, 16) == len(rest) - 2 == 214


@pytest.mark.parametrize("cut", [0, 1, 30, 150, 198])
def test_a_stream_that_is_cut_anywhere_keeps_its_order(cut: int):
    received = OK + b"".join(map(chunk, range(5)))
    assert check_order(payload_of(received[: len(received) - cut])) in (4, 5)


def test_a_stream_in_other_framing_says_the_same():
    payload = payload_of(OK + b"".join(map(chunk, range(5))))
    framed = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (payload[:100], payload[100:777], payload[777:]))
    assert payload_of(OK + framed) == payload


@pytest.mark.parametrize("numbers", [(0, 2), (1, 2), (0, 0), (1, 0)])
def test_a_lost_doubled_or_swapped_chunk_is_seen(numbers: tuple[int, ...]):
    with pytest.raises(Wrong, match="out of order"):
        check_order(payload_of(OK + b"".join(map(chunk, numbers))))


@pytest.mark.parametrize("received", [b"", b"HTTP/1.1 503 No\r\n\r\n", OK + b"zz\r\nabc\r\n", OK + b"1\r\nabc\r\n"])
def test_a_refused_stream_and_broken_framing_are_seen(received: bytes):
    with pytest.raises(Wrong):
        payload_of(received)


@pytest.mark.parametrize(
    ("received", "whole"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", True),
        (b"HTTP/1.1 200 OK\r\nContent-Le", False),
        (OK + b"3\r\nabc\r\n", False),
        (OK + b"3\r\nabc\r\n0\r\n\r\n", True),
    ],
)
def test_the_end_of_an_answer_is_seen_by_length_and_by_last_chunk(received: bytes, whole: bool):
    assert is_whole(received) is whole


@pytest.mark.parametrize("cut", [0, 1, 2, 50, 214])
def test_an_idle_stream_has_spoken_when_its_first_chunk_is_whole(cut: int):
    received = OK + chunk(0)
    # The last two bytes end the chunk's framing, not its text.
    assert first_chunk(received[: len(received) - cut]) is (cut <= 2)


@pytest.mark.parametrize("received", [OK + chunk(1), OK + chunk(0) + chunk(1), b"HTTP/1.1 503 No\r\n\r\n{}"])
def test_an_idle_stream_that_says_anything_else_is_seen(received: bytes):
    with pytest.raises(Wrong):
        first_chunk(received)


def test_idle_memory_is_that_of_the_part_that_holds_the_streams():
    seen = Idle(1000, {"relay": 20.0, "control": 90.0}, {"relay": 30.0, "control": 91.0})
    assert seen.memory_mb == 30.0
    assert seen.per_stream_kb == pytest.approx(11.264)
