"""What all dialects share: in whose words a path answers, and what counts as an integer."""

import json
from typing import Any

import pytest

from halley.chat.doors import Doors
from halley.dialects import DOORS, SPOKEN, anthropic, error_writer, gemini, openai_chat
from halley.errors import Refused


@pytest.mark.parametrize(
    "path, writer",
    [
        (b"/v1/messages", anthropic.write_error),
        (b"/v1/messages/", anthropic.write_error),
        (b"/v1/messages/count_tokens", anthropic.write_error),
        (b"/v1/messagesx", openai_chat.write_error),
        (b"/v1beta", gemini.write_error),
        (b"/v1beta/models/x:generateContent", gemini.write_error),
        (b"/v1beta2", openai_chat.write_error),
        (b"/v1", openai_chat.write_error),
        (b"/", openai_chat.write_error),
        (b"", openai_chat.write_error),
    ],
)
def test_a_prefix_is_whole_segments(path: bytes, writer: object) -> None:
    assert error_writer(path) is writer


HI: Any = [{"role": "user", "content": "hi"}]
PATH = b"/v1beta/models/m:generateContent"
# What a body holds besides its turns; `@` stands where a whole number is meant.
COUNTED: dict[str, dict[str, Any]] = {
    "chat": {"messages": HI, "max_tokens": "@", "n": "@", "top_k": "@", "seed": "@", "reasoning": {"max_tokens": "@"}},
    "responses": {"input": HI, "max_output_tokens": "@", "top_logprobs": "@"},
    "messages": {"messages": HI, "max_tokens": "@", "top_k": "@", "thinking": {"type": "enabled", "budget_tokens": "@"}},
    "gemini": {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": "@", "topK": "@"}},
}


def counted(name: str, number: str) -> bytes:
    body = {"model": "m", **COUNTED[name], "padding": "1.0"}
    return json.dumps(body).replace('"@"', number).encode()


@pytest.mark.parametrize("number", ["64.0", "6.4e1", "64.000", "640E-1", "+64", "64.5", "1e400"])
@pytest.mark.parametrize("name", SPOKEN)
def test_an_integer_may_be_written_with_a_fraction_of_zero(name: str, number: str) -> None:
    dialect = SPOKEN[name]
    assert dialect.doors is not None
    wanted = dialect.doors.read_ask(counted(name, "64"))
    body = counted(name, number)
    try:
        found = dialect.doors.read_ask(body), dialect.peek(body, PATH).cap
    except Refused:
        assert number in ("+64", "64.5", "1e400")
    else:
        assert found == (wanted, 64)


def test_what_is_no_number_of_its_own_stays_as_it_is() -> None:
    said = '{"model": "m", "messages": [{"role": "user", "content": "2.0"}], "max_tokens": 3.0, "metadata": {"at": "4.0 \\" 5.0"}}'
    ask = openai_chat.DOORS.read_ask(said.encode())
    assert (ask.max_output, ask.metadata) == (3, {"at": '4.0 " 5.0'})
    long = json.dumps({"model": "m", "max_tokens": 3.0, "messages": [{"role": "user", "content": "x" * 100_000}]}).encode()
    assert openai_chat.peek(long).cap == 3


@pytest.mark.parametrize("doors", DOORS.values(), ids=lambda doors: doors.name)
@pytest.mark.parametrize("body", [b"\xff", b'{"error":"\xff"}', b'{"error":{"message":"\xff"}}', b'{"detail":["\xff"]}', b"[]", b"{}"])
def test_an_error_that_cannot_be_read_is_one_without_words(doors: Doors, body: bytes) -> None:
    assert doors.read_error(418, body).status == 418
