"""The canned answers have the sizes that the page of figures names, and the checks tell a right answer from a wrong one."""

import json

import pytest

from bench.canned import BODIES, CHUNKS, PRICE_TEXTS, PRICES, PROMPT_TOKENS, Wrong, ask, check_exact, check_meaning, said


def test_the_canned_answers_have_the_sizes_that_are_written_about_them():
    assert len(BODIES["json"]) == 590
    frames = BODIES["sse"].split(b"\n\n")
    assert [len(frame) + 2 for frame in frames[:200]] == [193] * 200
    assert frames[-2:] == [b"data: [DONE]", b""] and len(frames) == 204


def test_both_answers_name_the_same_usage():
    assert said("json", BODIES["json"]).prompt == said("sse", BODIES["sse"]).prompt == PROMPT_TOKENS
    assert said("json", BODIES["json"]).output == said("sse", BODIES["sse"]).output == CHUNKS


def test_prices_in_the_file_and_in_the_check_are_the_same_prices():
    assert {name: round(float(text) * 1000) for name, text in PRICE_TEXTS.items()} == PRICES


def test_a_stream_asks_for_its_usage_and_a_plain_request_does_not():
    assert json.loads(ask("sse"))["stream_options"] == {"include_usage": True}
    assert "stream" not in json.loads(ask("json"))


@pytest.mark.parametrize("kind", ["json", "sse"])
def test_the_canned_answer_passes_both_checks(kind: str):
    check_exact(kind, BODIES[kind])
    check_meaning(kind, BODIES[kind])


@pytest.mark.parametrize("kind", ["json", "sse"])
def test_one_other_byte_fails_the_exact_check_and_names_the_place(kind: str):
    body = bytearray(BODIES[kind])
    body[40] ^= 1
    with pytest.raises(Wrong, match="at byte 40"):
        check_exact(kind, bytes(body))


@pytest.mark.parametrize("kind", ["json", "sse"])
def test_a_cut_answer_fails_the_exact_check_at_its_end(kind: str):
    with pytest.raises(Wrong, match="at byte 100"):
        check_exact(kind, BODIES[kind][:100])


def test_a_rewritten_body_with_the_same_text_and_usage_passes_the_check_of_meaning():
    answer = json.loads(BODIES["json"]) | {"id": "other", "service_tier": "default"}
    check_meaning("json", json.dumps(answer, indent=1).encode())


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("json", b"lazy", b"busy"),
        ("json", b'"completion_tokens":200', b'"completion_tokens":201'),
        ("sse", b'"content":"The', b'"content":"She'),
        ("sse", b'"prompt_tokens":57', b'"prompt_tokens":0'),
        ("sse", b"data: [DONE]", b""),
        ("sse", b'"usage":{', b'"used":{'),
        ("json", b"}", b""),
    ],
)
def test_another_text_or_usage_fails_the_check_of_meaning(kind: str, old: bytes, new: bytes):
    body = BODIES[kind].replace(old, new)
    assert body != BODIES[kind]
    with pytest.raises(Wrong):
        check_meaning(kind, body)
