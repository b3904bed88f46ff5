"""What is kept of an answer, and how a request that names it becomes one that says everything."""

from __future__ import annotations

import json

import pytest

from halley.dialects import OPENAI_RESPONSES
from halley.dialects.openai_responses import history
from halley.errors import Refused

NAME = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
SAID = {"id": f"msg_{NAME}_0", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hello"}]}
ANSWER = json.dumps({"id": f"resp_{NAME}", "object": "response", "status": "completed", "output": [SAID]}).encode()


def asked(**body: object) -> bytes:
    return json.dumps({"model": "m", **body}).encode()


def test_the_answer_in_a_body_and_in_the_last_event_of_a_stream() -> None:
    found = history.reply(ANSWER)
    assert found is not None and found.id == f"resp_{NAME}" and found.body == ANSWER
    event = b'event: response.completed\ndata: {"type":"response.completed","response":%b}\n\n' % ANSWER
    assert history.last(b'data: {"type":"response.output_text.delta","delta":"x"}\n\n' + event) == found
    assert history.last(event.replace(b"\n", b"\r\n")) == found
    for nothing in (b"", b"data: [DONE]\n\n", b'data: {"type":"response.failed","response":%b}\n\n' % ANSWER, b"data: {broken\n\n"):
        assert history.last(nothing) is None
    for other in (b"[]", b"{}", b'{"id":"","object":"response"}', b'{"id":"x","object":"list"}', b"<html>"):
        assert history.reply(other) is None


@pytest.mark.parametrize("own", ["hi", [{"role": "user", "content": "hi"}]])
def test_what_was_said_stands_in_front_in_its_order(own: object) -> None:
    first = history.record(asked(input="my name is Ada", instructions="once"), ANSWER)
    second = history.record(asked(input=[{"role": "user", "content": "more"}]), ANSWER)
    body = asked(input=own, previous_response_id="resp_x", temperature=0.5)
    whole = json.loads(history.expand(body, [first, second]))
    assert [each["role"] for each in whole["input"]] == ["user", "assistant", "user", "assistant", "user"]
    assert [each["content"] for each in whole["input"] if each["role"] == "user"] == ["my name is Ada", "more", "hi"]
    assert whole["previous_response_id"] is None and whole["temperature"] == 0.5 and "instructions" not in whole
    seen = OPENAI_RESPONSES.peek(history.expand(body, [first]), b"")
    assert seen.previous is None and seen.keeps


def test_a_request_may_bring_nothing_of_its_own() -> None:
    record = history.record(asked(input="go"), ANSWER)
    for body in (asked(previous_response_id="x"), asked(previous_response_id="x", input=None)):
        assert len(json.loads(history.expand(body, [record]))["input"]) == 2


def test_parts_that_are_named_are_put_in_and_those_of_others_stay() -> None:
    record = history.record(asked(input="go"), ANSWER)
    items = [{"type": "item_reference", "id": SAID["id"]}, {"type": "item_reference", "id": "msg_68af"}, {"role": "user", "content": "hi"}]
    body = asked(input=items)
    seen = OPENAI_RESPONSES.peek(body, b"")
    assert seen.named == [f"resp_{NAME}"]
    assert json.loads(history.resolve(body, {f"resp_{NAME}": record}))["input"] == [SAID, *items[1:]]
    for known in ({}, {f"resp_{NAME}": history.record(asked(input="go"), ANSWER.replace(b"_0", b"_9"))}):
        with pytest.raises(Refused) as refusal:
            history.resolve(body, known)
        assert refusal.value.param == "input[0].id"


@pytest.mark.parametrize("store, keeps", [(None, True), (True, True), (False, False)])
def test_answers_are_kept_unless_the_request_says_no(store: bool | None, keeps: bool) -> None:
    body = asked(input="x") if store is None else asked(input="x", store=store)
    assert OPENAI_RESPONSES.peek(body, b"").keeps is keeps


@pytest.mark.parametrize("bad", ["", 7, ["x"], "x" * 513])
def test_an_id_that_cannot_be_one_is_refused(bad: object) -> None:
    with pytest.raises(Refused) as refusal:
        OPENAI_RESPONSES.peek(asked(input="x", previous_response_id=bad), b"")
    assert refusal.value.param == "previous_response_id"


def test_every_listed_item_has_an_id_that_stays() -> None:
    records = [history.record(asked(input=[{"role": "user", "content": str(n)} for n in range(3)]), ANSWER)] * 2
    listed = json.loads(history.inputs(records, b"order=asc&limit=100"))
    ids = [item["id"] for item in listed["data"]]
    assert ids == [f"msg_{NAME}_{n}" for n in range(3)] + [SAID["id"]] + [f"msg_{NAME}_{n}" for n in range(3)]
    assert listed["first_id"] == ids[0] and listed["last_id"] == ids[-1] and not listed["has_more"]
    assert json.loads(history.inputs(records, b"limit=1"))["has_more"] is True
