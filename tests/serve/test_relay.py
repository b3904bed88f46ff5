"""The loop: every stage, every way to end, and the money of each."""

import json
from pathlib import Path

import pytest

from halley.errors import Condition, Refused
from halley.policy.snapshot import OfferRow
from halley.serve.relay import Run
from halley.store.journal import End, Progress, Start
from halley.store.messages import Granted
from tests.serve.rig import KEY, Rig, make_key, rig, snapshot

USAGE = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
COST = 10 * 1000 + 20 * 2000
WHOLE = json.dumps({"id": "x", "choices": [{"message": {"role": "assistant", "content": "hello"}}], "usage": USAGE}).encode()
TWO = (OfferRow("first", "sim/echo"), OfferRow("second", "sim/echo", priority=1))


def frame(delta: dict[str, str], **rest: object) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": None, **rest}]}).encode() + b"\n\n"


TEXT = frame({"role": "assistant", "content": ""}) + b"".join(frame({"content": "12345678"}) for _ in range(10))
FINISH = frame({}, finish_reason="stop")
USAGE_FRAME = b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n"
DONE = b"data: [DONE]\n\n"


def only_end(found: Rig) -> tuple[str, int, int]:
    end = found.end
    return end.ending, end.charge, end.loss


def test_a_whole_answer_passes_as_it_came_and_is_charged_as_reported(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        client = found.ask()
        (start,) = found.records()
        assert isinstance(start, Start)
        assert start.hold > COST
        assert b"authorization: Bearer upstream-secret-one\r\n" in found.call.head
        assert KEY not in found.call.head
        found.call.reply(200, WHOLE, x_request_id="up-1")
        assert not client.finished, "nothing final leaves before the end record is written"
        found.flush()
        assert (client.status, client.body) == (200, WHOLE)
        assert client.field("x-halley-provider") == "first"
        assert client.field("x-halley-attempts") == "1"
        assert client.field("x-request-id") == start.request
        assert only_end(found) == ("complete", COST, 0)
        assert found.end.upstream_request_id == "up-1"


def test_nothing_goes_upstream_before_the_start_record_is_written(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        seen: list[int] = []
        flush = found.gateway.journal._write
        found.gateway.journal._write = lambda records: (seen.append(len(found.calls)), flush(records))[1]  # type: ignore[method-assign]
        found.ask()
        assert seen == [0]
        assert len(found.calls) == 1
        found.call.reply(200, WHOLE)


@pytest.mark.parametrize("asked", [True, False])
def test_a_stream_passes_raw_and_only_our_own_usage_frame_is_taken_out(tmp_path: Path, asked: bool) -> None:
    with rig(tmp_path) as found:
        options = {"stream_options": {"include_usage": True}} if asked else {}
        client = found.ask(stream=True, **options)
        assert json.loads(found.call.body)["stream_options"] == {"include_usage": True}
        found.call.stream(TEXT[:100])
        found.call.stream(TEXT[100:])
        assert client.streamed
        assert client.body == TEXT[: len(client.body)]
        found.call.stream(FINISH + USAGE_FRAME + DONE, done=True)
        found.flush()
        assert client.finished
        assert client.body == TEXT + FINISH + (USAGE_FRAME if asked else b"") + DONE
        assert only_end(found) == ("complete", COST, 0)


def test_the_end_marker_settles_even_when_the_upstream_does_not_hang_up(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        client = found.ask(stream=True)
        found.call.stream(TEXT + FINISH + USAGE_FRAME + DONE)
        found.flush()
        assert client.finished
        found.call.stream(b"", done=True)
        found.call.fail("idle_timeout")
        assert len(found.ends()) == 1


@pytest.mark.parametrize("cut", [b"", TEXT[:-7]])
def test_a_broken_stream_ends_with_one_error_event_and_no_done_and_is_not_charged(tmp_path: Path, cut: bytes) -> None:
    with rig(tmp_path) as found:
        client = found.ask(stream=True)
        found.call.stream(TEXT + cut)
        found.call.fail("cut")
        found.flush()
        assert client.finished and not client.was_cut
        events = [part for part in client.body.split(b"\n\n") if part]
        assert json.loads(events[-1].removeprefix(b"data: "))["error"]["code"] == "upstream_error"
        assert b"[DONE]" not in client.body
        ending, charge, loss = only_end(found)
        assert (ending, charge) == ("broke", 0)
        assert loss > 0


def test_after_break_delivered_charges_what_came(tmp_path: Path) -> None:
    with rig(tmp_path, snapshot(after_break="delivered")) as found:
        found.ask(stream=True)
        found.call.stream(TEXT)
        found.call.fail("cut")
        ending, charge, loss = only_end(found)
        assert (ending, loss) == ("broke", 0)
        assert charge == found.end.usage.input * 1000 + 20 * 2000


def test_an_error_frame_of_the_provider_is_passed_and_ours_is_not_added(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        client = found.ask(stream=True)
        error = b'data: {"error": {"message": "boom"}}\n\n'
        found.call.stream(TEXT)
        found.call.stream(error, done=True)
        found.flush()
        assert client.body == TEXT + error
        assert only_end(found)[:2] == ("broke", 0)


def test_a_client_that_leaves_pays_input_and_delivered_output_when_the_upstream_can_be_cancelled(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        client = found.ask(stream=True)
        found.call.stream(TEXT)
        client.leave()
        assert found.call.aborted
        ending, charge, loss = only_end(found)
        assert (ending, loss, found.end.status) == ("left", 0, 499)
        assert found.end.usage.output == 20
        assert charge == found.end.usage.input * 1000 + 20 * 2000
        assert found.end.estimated


def test_an_upstream_that_bills_to_the_end_is_read_to_the_end_in_the_background(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        client = found.ask(model="sim/other", stream=True)
        found.call.stream(TEXT)
        client.leave()
        assert not found.call.aborted
        assert found.ends() == []
        found.call.stream(TEXT + FINISH + USAGE_FRAME + DONE, done=True)
        assert only_end(found) == ("drained", COST, 0)


def test_an_answer_that_is_not_streamed_is_drained_too_and_over_the_cap_it_is_cut(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        clients = [found.ask() for _ in range(66)]
        calls = list(found.calls)
        for client in clients:
            client.leave()
        assert sum(call.aborted for call in calls) == 2
        found.flush()
        for call in calls:
            if not call.aborted:
                call.reply(200, WHOLE)
        endings = [end.ending for end in found.ends()]
        assert (endings.count("drained"), endings.count("left")) == (64, 2)


def test_a_client_that_leaves_before_anything_was_sent_pays_nothing(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        client = found.ask(stream=True)
        found.call.sent = False
        client.leave()
        assert only_end(found) == ("failed", 0, 0)


def test_a_client_that_leaves_between_end_and_answer_still_has_one_ending(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        client = found.ask()
        found.call.reply(200, WHOLE)
        client.leave()
        assert only_end(found) == ("complete", COST, 0)
        assert not client.finished


@pytest.mark.parametrize("status, code", [(400, 400), (404, 404), (422, 422), (429, 429), (500, 500), (503, 503)])
def test_an_upstream_error_passes_in_the_providers_own_words_without_our_secret(tmp_path: Path, status: int, code: int) -> None:
    with rig(tmp_path) as found:
        client = found.ask()
        words = b'{"error":{"message":"no, upstream-secret-one","type":"x"}}'
        found.call.reply(status, words, retry_after="7")
        found.flush()
        assert (client.status, client.body) == (code, words.replace(b"upstream-secret-one", b"***"))
        assert client.field("retry-after") == "7"
        assert only_end(found) == ("failed", 0, 0)


@pytest.mark.parametrize("status", [401, 402])
def test_a_refused_upstream_credential_is_not_shown_as_the_callers_fault(tmp_path: Path, status: int) -> None:
    with rig(tmp_path) as found:
        client = found.ask()
        found.call.reply(status, b'{"error":{"message":"bad key"}}')
        found.flush()
        assert client.status == 502
        assert client.error["code"] == "upstream_error"


@pytest.mark.parametrize("status, body", [(502, b"<html>bad gateway</html>"), (404, b"not here"), (301, b""), (500, b"")])
def test_what_is_no_error_object_becomes_one(tmp_path: Path, status: int, body: bytes) -> None:
    with rig(tmp_path) as found:
        client = found.ask()
        found.call.reply(status, body, kind=b"text/html")
        found.flush()
        assert client.status == 502
        assert client.error["type"] == "api_error"


def test_a_stream_that_nobody_asked_for_is_one_answer_and_charged_as_one(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        client = found.ask()
        found.call.reply(200, TEXT + FINISH + USAGE_FRAME + DONE, kind=b"text/event-stream")
        found.flush()
        assert (client.status, client.field("content-type")) == (200, "application/json")
        assert json.loads(client.body)["choices"][0]["finish_reason"] == "stop"
        assert only_end(found) == ("complete", COST, 0)


@pytest.mark.parametrize("body", [b"<html>", b"", b'{"choices":', TEXT + USAGE_FRAME])
def test_a_whole_answer_that_is_no_json_is_a_fault_that_the_operator_pays(tmp_path: Path, body: bytes) -> None:
    with rig(tmp_path) as found:
        client = found.ask()
        found.call.reply(200, body, kind=b"text/event-stream")
        found.flush()
        assert client.status == 502
        ending, charge, loss = only_end(found)
        assert (ending, charge) == ("unusable", 0)
        if body.startswith(b"data"):
            assert loss == COST


def test_json_instead_of_a_stream_is_an_error_and_no_empty_stream(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        client = found.ask(stream=True)
        found.call.reply(200, WHOLE)
        found.flush()
        assert (client.status, client.error["code"]) == (502, "upstream_error")
        assert only_end(found) == ("unusable", 0, COST)


def test_an_answer_without_usage_is_counted_by_us_and_marked(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        found.ask()
        found.call.reply(200, b'{"choices":[{"message":{"content":"12345678"}}]}')
        end = found.end
        assert (end.ending, end.estimated, end.usage.output) == ("unreported", True, 2)


def test_an_error_object_with_status_200_is_not_charged(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        found.ask()
        found.call.reply(200, b'{"error":{"message":"soft"}}')
        assert only_end(found) == ("failed", 0, 0)


@pytest.mark.parametrize("fault", ["connect", "tls", "cut", 500, 502, 503, 429, 401])
def test_before_the_first_byte_another_offer_is_asked_and_only_its_answer_is_charged(tmp_path: Path, fault: str | int) -> None:
    with rig(tmp_path, snapshot(offers=TWO)) as found:
        client = found.ask()
        if isinstance(fault, int):
            found.call.reply(fault, b'{"error":{"message":"x"}}')
        else:
            found.call.fail(fault)
        assert [call.pool for call in found.calls] == ["first.test", "second.test"]
        found.call.reply(200, WHOLE)
        found.flush()
        assert (client.status, client.field("x-halley-attempts"), client.field("x-halley-provider")) == (200, "2", "second")
        assert only_end(found) == ("complete", COST, 0)
        assert found.end.attempts == 2


@pytest.mark.parametrize("kind", ["first_byte_timeout", "idle_timeout"])
def test_a_timeout_is_not_tried_again_because_the_first_upstream_may_still_bill(tmp_path: Path, kind: str) -> None:
    with rig(tmp_path, snapshot(offers=TWO)) as found:
        client = found.ask()
        found.call.fail(kind)
        found.flush()
        assert (client.status, len(found.calls)) == (504, 1)


def test_after_the_first_byte_there_is_no_second_attempt(tmp_path: Path) -> None:
    with rig(tmp_path, snapshot(offers=TWO)) as found:
        found.ask(stream=True)
        found.call.stream(TEXT)
        found.call.fail("cut")
        assert len(found.calls) == 1


def test_a_stream_that_ends_before_any_output_is_tried_elsewhere(tmp_path: Path) -> None:
    with rig(tmp_path, snapshot(offers=TWO)) as found:
        client = found.ask(stream=True)
        found.call.stream(b"", done=True)
        assert len(found.calls) == 2
        found.call.stream(TEXT + FINISH + USAGE_FRAME + DONE, done=True)
        found.flush()
        assert client.body == TEXT + FINISH + DONE


def test_no_second_attempt_for_a_client_that_is_gone(tmp_path: Path) -> None:
    with rig(tmp_path, snapshot(offers=TWO)) as found:
        client = found.ask()
        client.leave()
        found.call.fail("cut")
        assert len(found.calls) == 1
        assert len(found.ends()) == 1


@pytest.mark.parametrize(
    "key, fields, status, code",
    [
        (None, {}, 401, "invalid_api_key"),
        (make_key("stranger"), {}, 401, "invalid_api_key"),
        (make_key("expired"), {}, 401, "invalid_api_key"),
        (KEY + b" ", {}, 401, "invalid_api_key"),
        (KEY, {b"x-api-key": make_key("narrow")}, 401, "invalid_api_key"),
        (KEY, {b"x-api-key": KEY}, 200, ""),
        (KEY, {b"content-type": b"text/plain"}, 415, "unsupported_media_type"),
        (KEY, {b"content-type": b"application/json; charset=utf-16"}, 415, "unsupported_media_type"),
        (KEY, {b"content-type": b"Application/JSON; Charset=UTF-8"}, 200, ""),
        (make_key("narrow"), {}, 403, "permission_denied"),
        (make_key("embedder"), {}, 403, "permission_denied"),
        (make_key("bypath"), {}, 200, ""),
        (make_key("reader"), {}, 403, "permission_denied"),
        (make_key("rotatednow"), {}, 200, ""),
        (make_key("rotatedbefore"), {}, 200, ""),
        (make_key("rotatedlongago"), {}, 401, "invalid_api_key"),
    ],
)
def test_who_may_ask_and_how(tmp_path: Path, key: bytes | None, fields: dict[bytes, bytes], status: int, code: str) -> None:
    with rig(tmp_path) as found:
        client = found.ask(key=key, fields=fields)
        if status == 200:
            assert len(found.calls) == 1
            found.call.reply(200, WHOLE)
            return
        assert (client.status, client.error["code"]) == (status, code)
        assert (
            client.field(
                "x-request-id",
            )
            is not None
        )
        assert found.calls == []
        assert found.records() == []


def test_an_unknown_model_is_404_with_near_names(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        client = found.ask(model="sim/ecko")
        assert (client.status, client.error["code"], client.error["param"]) == (404, "model_not_found", "model")
        assert "sim/echo" in client.error["message"]


def test_over_the_rate_limit_the_wait_is_told_and_nothing_is_journalled(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        found.ask(key=make_key("slow"))
        found.call.reply(200, WHOLE)
        client = found.ask(key=make_key("slow"))
        assert (client.status, client.error["code"]) == (429, "rate_limit_exceeded")
        assert 55 <= int(client.field("retry-after") or 0) <= 60
        assert len(found.calls) == 1


def test_a_prepaid_request_waits_for_its_lease_and_then_goes(tmp_path: Path) -> None:
    with rig(tmp_path, snapshot(unlimited=False)) as found:
        client = found.ask(max_tokens=100)
        assert found.calls == []
        need = found.asked_for_credit().need
        found.gateway.credit.granted(Granted("acme", need * 3))
        found.flush()
        assert len(found.calls) == 1
        found.call.reply(200, WHOLE)
        found.flush()
        assert client.status == 200
        assert found.gateway.tables.account("acme").spendable == need * 3 - COST
        second = found.ask(max_tokens=100)
        assert len(found.calls) == 2, "the lease still covers it: nobody is asked"
        found.call.reply(200, WHOLE)
        found.flush()
        assert second.status == 200


def test_without_credit_the_answer_is_402(tmp_path: Path) -> None:
    with rig(tmp_path, snapshot(unlimited=False)) as found:
        client = found.ask(max_tokens=100)
        found.gateway.credit.granted(Granted("acme", 0))
        assert (client.status, client.error["code"]) == (402, "insufficient_quota")
        assert found.records() == []


def test_without_a_cap_in_the_request_the_credit_decides_it_and_says_so(tmp_path: Path) -> None:
    with rig(tmp_path, snapshot(unlimited=False)) as found:
        client = found.ask()
        least = found.asked_for_credit().least
        found.gateway.credit.granted(Granted("acme", least + 44 * 2000))
        found.flush()
        assert json.loads(found.call.body)["max_tokens"] == 300
        found.call.reply(200, WHOLE)
        found.flush()
        assert client.field("x-halley-lost") == "max_tokens=300"
        assert found.end.lost == ("max_tokens=300",)


def test_too_little_credit_for_256_tokens_is_402(tmp_path: Path) -> None:
    with rig(tmp_path, snapshot(unlimited=False)) as found:
        client = found.ask()
        found.gateway.credit.granted(Granted("acme", found.asked_for_credit().least - 1))
        assert client.status == 402


def test_a_free_model_works_without_credit(tmp_path: Path) -> None:
    with rig(tmp_path, snapshot(unlimited=False)) as found:
        found.ask(model="sim/free")
        found.call.reply(200, WHOLE)
        assert only_end(found) == ("complete", 0, 0)


def test_a_charge_stops_at_the_hold_and_the_rest_is_the_operators(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        found.ask(max_tokens=1)
        found.call.reply(200, WHOLE.replace(b"20,", b"2000,"))
        (start, end) = found.records()
        assert isinstance(start, Start)
        assert isinstance(end, End)
        assert (end.charge, end.loss) == (start.hold, 10 * 1000 + 2000 * 2000 - start.hold)


def test_a_client_that_leaves_while_it_waits_for_credit_leaves_no_trace(tmp_path: Path) -> None:
    with rig(tmp_path, snapshot(unlimited=False)) as found:
        client = found.ask(max_tokens=100)
        client.leave()
        found.gateway.credit.granted(Granted("acme", 10**9))
        assert found.records() == []
        assert found.calls == []


def test_when_the_journal_cannot_be_written_nothing_is_sent_and_nothing_is_held(tmp_path: Path) -> None:
    with rig(tmp_path, snapshot(unlimited=False)) as found:
        found.gateway.tables.account("acme").lend(10**9)
        write = found.gateway.journal._write
        found.gateway.journal._write = lambda records: False  # type: ignore[method-assign]
        client = found.ask(max_tokens=100)
        assert client.status == 503
        assert found.calls == []
        assert found.gateway.tables.account("acme").spendable == 10**9
        found.gateway.journal._write = write  # type: ignore[method-assign]


def test_an_end_that_cannot_be_written_is_never_followed_by_a_complete_answer(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        client = found.ask()
        write = found.gateway.journal._write
        found.gateway.journal._write = lambda records: False  # type: ignore[method-assign]
        found.call.reply(200, WHOLE)
        found.flush()
        assert client.was_cut
        found.gateway.journal._write = write  # type: ignore[method-assign]
        found.gateway.journal.each_second(0.0)
        assert only_end(found) == ("complete", COST, 0)


def test_at_the_drain_limit_open_streams_get_one_error_event_and_are_settled(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        streaming, waiting = found.ask(stream=True), found.ask()
        found.calls[0].stream(TEXT)
        for run in list(found.gateway.runs):
            run.expel(Refused(Condition.OVERLOADED, "restarting"))
        found.flush()
        assert streaming.body.startswith(TEXT + b'data: {"error":')
        assert waiting.status == 503
        assert sorted(end.ending for end in found.ends()) == ["broke", "failed"]


def test_at_the_drain_limit_who_had_left_is_settled_as_that_and_who_waits_for_credit_is_answered(tmp_path: Path) -> None:
    with rig(tmp_path, snapshot(unlimited=False)) as found:
        waiting = found.ask()
        assert isinstance(waiting.owner, Run)
        waiting.owner.expel(Refused(Condition.OVERLOADED, "restarting"))
        assert (waiting.status, found.ends()) == (503, [])
    with rig(tmp_path / "other", snapshot(offers=(OfferRow("second", "sim/echo"),))) as found:
        gone = found.ask(stream=True)
        found.call.stream(TEXT)
        gone.leave()
        (run,) = found.gateway.runs
        run.expel(Refused(Condition.OVERLOADED, "restarting"))
        assert found.call.aborted
        assert (found.end.ending, found.end.charge > 0) == ("left", True)


def test_who_comes_while_the_node_ends_is_told_to_come_back(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        found.gateway.unready = True
        assert found.post(b"", path=b"/readyz", method=b"GET").status == 503
        served = found.ask()
        found.gateway.draining = found.gateway.turning_away = True
        client = found.ask()
        assert (client.status, client.error["code"], client.field("retry-after")) == (503, "overloaded", "1")
        assert found.post(b"", path=b"/healthz", method=b"GET").status == 200
        found.call.reply(200, WHOLE)
        found.flush()
        assert served.status == 200 and [end.ending for end in found.ends()] == ["complete"]


def test_a_bug_ends_the_request_with_a_500_that_tells_only_the_request_id(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        client = found.ask()
        found.call.fields = None  # type: ignore[assignment]
        found.call.status = 200
        found.call.receiver.replied(found.call, WHOLE, True)  # type: ignore[attr-defined]
        found.flush()
        assert (client.status, client.error["code"]) == (500, "internal_error")
        assert "Traceback" not in client.error["message"]
        assert only_end(found) == ("failed", 0, 0)


def test_a_long_stream_leaves_progress_records_that_a_crash_would_be_charged_by(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        found.ask(stream=True)
        found.call.stream(TEXT + frame({"content": "12345678"}) * 989)
        found.call.stream(frame({"content": "12345678"}))
        (_, progress) = found.records()
        assert isinstance(progress, Progress)
        assert progress.usage.output == 2000
        assert progress.charge > 0
        found.call.stream(FINISH + USAGE_FRAME + DONE, done=True)


def test_backpressure_reaches_the_upstream(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        client = found.ask(stream=True)
        found.call.stream(TEXT)
        assert client.owner is not None
        client.owner.client_slow()  # type: ignore[attr-defined]
        assert found.call.paused
        client.owner.client_ready()  # type: ignore[attr-defined]
        assert not found.call.paused
        found.call.stream(FINISH + USAGE_FRAME + DONE, done=True)


def test_the_alias_is_served_and_points_to_the_canonical_path(tmp_path: Path) -> None:
    with rig(tmp_path) as found:
        client = found.ask(path=b"/api/text/chat")
        assert found.call.head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
        found.call.reply(200, WHOLE)
        found.flush()
        assert client.field("link") == '</v1/chat/completions>; rel="canonical"'
        page = found.post(b"", method=b"GET", path=b"/api/text/chat")
        assert (page.status, page.field("location")) == (308, "/docs/chat-completions")
        page = found.post(b"", method=b"GET", path=b"/api/text/responses")
        assert (page.status, page.field("location")) == (308, "/docs/dialects")


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/x.png", "http://2130706433/", "file:///etc/passwd", "data:text/html;base64,PGI+", "http://169.254.169.254/latest"],
)
def test_an_image_url_that_nobody_may_fetch_is_refused(tmp_path: Path, url: str) -> None:
    with rig(tmp_path) as found:
        client = found.ask(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])
        assert (client.status, client.error["param"]) == (400, "image_url")
        assert found.calls == []


def test_in_strict_mode_no_cap_is_set_on_the_quiet(tmp_path: Path) -> None:
    strict = {b"x-halley-strict": b"1"}
    with rig(tmp_path, snapshot(default_output_cap=10)) as found:
        client = found.ask(fields=strict)
        assert (client.status, client.error["param"]) == (400, "max_tokens")
        assert found.records() == []
    with rig(tmp_path / "poor", snapshot(unlimited=False)) as found:
        client = found.ask(fields=strict)
        asked = found.asked_for_credit()
        assert asked.least == asked.need
        found.gateway.credit.granted(Granted("acme", 0))
        assert client.status == 402


def test_a_full_pool_is_our_overload_and_not_the_offers_fault(tmp_path: Path) -> None:
    with rig(tmp_path, snapshot(offers=TWO)) as found:
        client = found.ask()
        found.call.fail("busy", written=False)
        assert found.call.pool == "second.test"
        found.call.fail("busy", written=False)
        found.flush()
        assert (client.status, client.error["code"], client.field("retry-after")) == (503, "overloaded", "1")
        assert only_end(found) == ("failed", 0, 0)
        for _ in range(10):
            found.ask()
            found.call.fail("busy", written=False)
            found.call.fail("busy", written=False)
        assert found.ask().status == 0, "the breakers are closed"
        assert found.call.pool == "first.test"
        found.call.reply(200, WHOLE)
