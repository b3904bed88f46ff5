"""What the real SDKs must see through the gateway, said once for every SDK, Python and Node alike.

The facts come from `python/cases.py` and `node/cases.mjs`, each run once per SDK in its own interpreter. Nothing here sends a request.
"""

from __future__ import annotations

import os
import re

import pytest

from tests.harness.gateway import Gateway

from .environments import Seen
from .plan import ALSO_DIRECTLY, MODELS, SHAPES, TRICKY

if "HALLEY_CLIENTS" not in os.environ:
    pytest.skip("the SDKs are driven by script/clients", allow_module_level=True)

TEXT = re.compile(r"\S")
OUR_REQUEST_ID = re.compile(r"req_[0-9A-HJKMNP-TV-Z]{26}")


def test_the_sdk_is_of_the_major_its_environment_promises(seen: Seen) -> None:
    versions = seen("versions")
    assert versions["sdk"].split(".")[0] == seen.client.major
    if seen.client.language == "node":
        assert int(versions["runtime"].split(".")[0]) >= 22


def test_the_model_list_names_every_model_of_the_key(seen: Seen) -> None:
    listed = seen("model_list")
    assert {*MODELS.values(), *SHAPES} - {MODELS["unknown"]} <= set(listed["ids"])
    assert MODELS["unknown"] not in listed["ids"]
    assert listed["objects"] == ["model"]


def test_a_restricted_key_lists_only_its_models(seen: Seen) -> None:
    assert seen("model_list_of_a_restricted_key")["ids"] == [MODELS["chat"]]


def test_one_model_is_retrieved_by_an_id_with_a_slash(seen: Seen) -> None:
    assert seen("model_retrieve") == {"id": MODELS["chat"], "object": "model"}


@pytest.mark.parametrize("case", ["plain", "plain_async"])
def test_a_plain_answer_has_text_a_finish_usage_and_our_request_id(seen: Seen, case: str) -> None:
    answer = seen(case)
    assert answer["object"] == "chat.completion"
    assert answer["role"] == "assistant"
    assert TEXT.search(answer["text"])
    assert answer["finish"] == "stop"
    assert answer["prompt_tokens"] > 0 and answer["completion_tokens"] > 0
    assert answer["total_tokens"] == answer["prompt_tokens"] + answer["completion_tokens"]
    assert OUR_REQUEST_ID.fullmatch(answer["request_id"])


@pytest.mark.parametrize("case", ["stream", "stream_async", "stream_with_usage", "stream_with_usage_declined"])
def test_a_stream_has_one_role_many_pieces_one_finish_and_the_plain_text(seen: Seen, case: str) -> None:
    stream = seen(case)
    assert stream["object"] == "chat.completion.chunk"
    assert stream["ids"] == 1
    assert stream["roles"] == ["assistant"]
    assert stream["pieces"] > 1
    assert stream["finish"] == ["stop"]
    assert stream["text"] == seen("plain")["text"]


@pytest.mark.parametrize("case", ["stream", "stream_async", "stream_with_usage_declined"])
def test_a_usage_frame_nobody_asked_for_does_not_appear(seen: Seen, case: str) -> None:
    assert seen(case)["usages"] == []
    assert seen(case)["empty_chunks"] == 0


def test_a_usage_frame_that_was_asked_for_appears_once_and_agrees_with_the_plain_answer(seen: Seen) -> None:
    stream, plain = seen("stream_with_usage"), seen("plain")
    assert stream["usages"] == [[plain["prompt_tokens"], plain["completion_tokens"], plain["total_tokens"]]]
    assert stream["empty_chunks"] == 1


def test_the_sdk_stream_helper_builds_the_whole_answer(seen: Seen) -> None:
    helped = seen("stream_helper")
    assert helped["text"] == seen("plain")["text"]
    assert helped["finish"] == "stop"
    assert helped["deltas"] > 1


def test_a_client_may_leave_a_stream_early_and_go_on(seen: Seen) -> None:
    assert seen("stream_left_early") == {"chunks": 2, "text_after": seen("plain")["text"]}


def test_twenty_requests_at_once_each_get_their_own_answer(seen: Seen) -> None:
    assert seen("many_at_once") == {"answers": 20, "texts": [seen("plain")["text"]], "request_ids": 20}


def test_a_concurrency_limit_lets_one_through_and_gives_its_place_back(seen: Seen) -> None:
    together = seen("more_at_once_than_allowed")
    assert together == {"answered": 1, "refused": ["RateLimitError"], "text_after": seen("plain")["text"]}


def test_a_model_may_have_another_name_upstream(seen: Seen) -> None:
    assert seen("renamed_model") == {"text": seen("plain")["text"], "stream": seen("plain")["text"]}


def test_a_tool_is_called_and_its_result_is_answered(seen: Seen) -> None:
    tools = seen("tools")
    assert (tools["finish"], tools["content"], tools["type"], tools["name"]) == ("tool_calls", None, "function", "weather")
    assert {name: type(value) for name, value in tools["arguments"].items()} == {"city": str, "days": int}
    assert tools["second_finish"] == "stop"
    assert TEXT.search(tools["second_text"])


def test_streamed_tool_fragments_join_to_the_same_call(seen: Seen) -> None:
    streamed = seen("tools_streamed")
    assert streamed["fragments"] > 1
    assert len(streamed["ids"]) == 1 and streamed["indexes"] == [0]
    assert streamed["name"] == "weather"
    assert {name: type(value) for name, value in streamed["arguments"].items()} == {"city": str, "days": int}
    assert streamed["finish"] == ["tool_calls"]


@pytest.mark.parametrize("case", ["image_as_data_url", "image_as_https_url"])
def test_an_image_is_accepted(seen: Seen, case: str) -> None:
    assert TEXT.search(seen(case)["text"])


@pytest.mark.parametrize("case", ["json_schema", "json_schema_parsed"])
def test_a_json_schema_is_answered_with_an_instance_of_it(seen: Seen, case: str) -> None:
    assert {name: type(value) for name, value in seen(case)["value"].items()} == {"name": str, "people": int}


def test_the_parse_helper_returns_the_callers_own_type(seen: Seen) -> None:
    assert seen("json_schema_parsed")["parsed"] is True


@pytest.mark.parametrize("case", ["cap_by_max_tokens", "cap_by_max_completion_tokens"])
def test_both_token_caps_are_respected(seen: Seen, case: str) -> None:
    assert (seen(case)["finish"], seen(case)["completion_tokens"]) == ("length", 3)


def test_two_choices_keep_their_indexes(seen: Seen) -> None:
    choices = seen("two_choices")
    assert choices == {"indexes": [0, 1], "finishes": ["stop", "stop"], "streamed_indexes": [0, 1]}


@pytest.mark.parametrize("case", ["plain_of_every_shape", "stream_of_every_shape", "stream_of_every_shape_with_usage"])
def test_every_shape_of_a_sound_answer_has_the_same_text(seen: Seen, case: str) -> None:
    assert {facts["text"] for facts in seen(case).values()} == {seen("plain")["text"]}


def test_a_text_that_looks_like_the_protocol_arrives_whole(seen: Seen) -> None:
    streams = seen("text_that_looks_like_the_protocol").values()
    assert {stream["text"] for stream in streams} == {f"You said: {TRICKY}"}
    assert all(stream["finish"] == ["stop"] for stream in streams)


def test_unknown_fields_headers_and_query_parameters_pass(seen: Seen) -> None:
    assert TEXT.search(seen("unknown_fields_pass")["text"])


def test_a_history_of_every_role_and_content_shape_passes(seen: Seen) -> None:
    assert seen("history_of_every_role")["finish"] == "stop"


def test_the_head_carries_our_fields_and_none_of_the_upstreams(seen: Seen) -> None:
    head = seen("raw_headers")
    assert head["status"] == 200
    assert head["fields"]["content-type"].split(";")[0] == "application/json"
    assert OUR_REQUEST_ID.fullmatch(head["fields"]["x-request-id"])
    assert head["fields"]["x-halley-provider"] == "sim"
    assert head["fields"]["x-halley-attempts"] == "1"
    assert not [name for name in head["fields"] if name.startswith("openai-") or name in ("server", "set-cookie", "via")]


CONFLICT = {"class": "ConflictError", "status": 409, "code": "idempotency_conflict"}


def test_a_request_with_an_idempotency_key_is_answered_twice_and_sent_on_once(seen: Seen) -> None:
    """The SDKs try again after a 409 of themselves, unless it tells them not to."""
    facts = seen("asked_twice")
    assert (facts["same"], facts["text"]) == (True, seen("plain")["text"])
    assert (facts["replayed"], facts["original"]) == ([None, "true"], True)
    assert (facts["other"], facts["sent"]) == (CONFLICT, [2, 3])


def test_a_stream_with_an_idempotency_key_is_given_once(seen: Seen) -> None:
    assert seen("stream_asked_twice") == {"text": seen("plain")["text"], "again": CONFLICT, "sent": 2}


def test_an_account_is_read_and_managed_by_the_sdk_with_its_own_key(seen: Seen) -> None:
    facts = seen("account")
    (logged,) = facts["logs"]["data"]
    charge = logged["charge_nano"]
    assert charge > 0 and logged["id"] == facts["request_id"]
    log = facts["log"]
    assert (log["charge_nano"], log["model"], log["status"], log["cancel"]) == (charge, MODELS["chat"], 200, "stops_billing")
    assert sum(line["amount_nano"] for line in log["lines"]) == charge
    # What may be spent is the key's budget, which is less than its account has.
    assert (facts["budget"]["usd"], facts["budget"]["reset"], facts["budget"]["left_nano"]) == ("0.50", "day", 500_000_000)
    assert facts["subscription"] == {
        "object": "billing_subscription", "has_payment_method": True, "soft_limit_usd": 0.5, "hard_limit_usd": 0.5,
        "system_hard_limit_usd": 0.5, "access_until": 0,
    }  # fmt: skip
    assert facts["usage"] == {"object": "list", "total_usage": pytest.approx(charge / 1e7)}
    token, left = facts["token"]["data"], (500_000_000 - charge) // 2000
    assert (facts["token"]["code"], token["object"], token["total_used"]) == (True, "token_usage", charge // 2000)
    assert (token["total_available"], token["unlimited_quota"], token["expires_at"]) == (left, False, 0)
    (of_key,) = facts["quota"]["keys"]
    assert (of_key["used_quota"], of_key["remain_quota"]) == (pytest.approx(charge / 1e9), pytest.approx(0.5 - charge / 1e9))
    assert facts["balance"]["credit"] == "prepaid" and 0 < facts["balance"]["left_nano"] <= 2_000_000_000 - charge
    (key,) = facts["keys"]["data"]
    assert (key["id"], key["used_nano"], key["requests"], key["budget"]["spent_nano"]) == (facts["id"], charge, 1, charge)
    refused = facts["made_by_itself"]
    assert (refused["class"], refused["status"], "scope admin" in refused["message"]) == ("PermissionDeniedError", 403, True)
    assert (facts["revoked"], facts["after"]["class"], facts["after"]["status"]) == ("revoked", "AuthenticationError", 401)


def test_the_sdk_retries_an_upstream_that_fails_once(seen: Seen) -> None:
    assert TEXT.search(seen("retried_by_the_sdk")["text"])


@pytest.mark.parametrize("case", ALSO_DIRECTLY)
def test_the_sdk_cannot_tell_the_gateway_from_its_upstream(seen: Seen, seen_directly: Seen, case: str) -> None:
    through, direct = dict(seen(case)), dict(seen_directly(case))
    for facts in (through, direct):
        facts.pop("request_id", None)
    assert through == direct


REFUSED = {
    # case: (class in Python, status, type, code, what the message or parameter must name)
    "refused_body_400": ("BadRequestError", 400, "invalid_request_error", "invalid_value", "messages"),
    "refused_field_400": ("BadRequestError", 400, "invalid_request_error", "invalid_value", "temperature"),
    "refused_key_401": ("AuthenticationError", 401, "invalid_request_error", "invalid_api_key", "key"),
    "refused_key_401_in_a_stream": ("AuthenticationError", 401, "invalid_request_error", "invalid_api_key", "key"),
    "refused_key_401_for_models": ("AuthenticationError", 401, "invalid_request_error", "invalid_api_key", "key"),
    "expired_key_401": ("AuthenticationError", 401, "invalid_request_error", "invalid_api_key", "expired"),
    "expired_key_401_for_models": ("AuthenticationError", 401, "invalid_request_error", "invalid_api_key", "expired"),
    "revoked_key_401": ("AuthenticationError", 401, "invalid_request_error", "invalid_api_key", "key"),
    "refused_credit_402": ("APIStatusError", 402, "insufficient_quota", "insufficient_quota", "credit"),
    "refused_model_403": ("PermissionDeniedError", 403, "permission_error", "permission_denied", MODELS["long"]),
    "unknown_model_404": ("NotFoundError", 404, "invalid_request_error", "model_not_found", MODELS["unknown"]),
    "unknown_model_404_retrieved": ("NotFoundError", 404, "invalid_request_error", "model_not_found", MODELS["unknown"]),
    "unknown_route_404": ("NotFoundError", 404, "invalid_request_error", "unknown_url", "/v1/files"),
    "base_url_without_v1_404": ("NotFoundError", 404, "invalid_request_error", "unknown_url", "/v1/chat/completions"),
    "base_url_with_v1_twice_404": ("NotFoundError", 404, "invalid_request_error", "unknown_url", "/v1/chat/completions"),
    "body_too_large_413": ("APIStatusError", 413, "invalid_request_error", "request_too_large", "bytes"),
    "rate_limit_429": ("RateLimitError", 429, "rate_limit_error", "rate_limit_exceeded", "per minute"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_is_the_sdks_own_exception_with_every_field(seen: Seen, case: str) -> None:
    name, status, kind, code, names = REFUSED[case]
    if name == "APIStatusError" and seen.client.language == "node":
        name = "APIError"
    error = seen(case)
    assert error["class"] is not None, f"answered instead of refused: {error['answered']}"
    assert (error["class"], error["status"], error["type"], error["code"]) == (name, status, kind, code), error
    assert names in f"{error['message']} {error['param']}"
    assert OUR_REQUEST_ID.fullmatch(error["request_id"])


@pytest.mark.parametrize("case", ["refused_body_400", "refused_field_400"])
def test_an_invalid_field_is_named_as_param(seen: Seen, case: str) -> None:
    assert seen(case)["param"] == REFUSED[case][4]


def test_a_rate_limit_says_in_whole_seconds_when_to_come_back(seen: Seen) -> None:
    assert 1 <= int(seen("rate_limit_429")["retry_after"]) <= 60


@pytest.mark.parametrize(("case", "statuses"), [("upstream_500", {500, 502, 503}), ("upstream_502", {502, 503}), ("upstream_503", {503})])
def test_a_failing_upstream_is_an_internal_server_error(seen: Seen, case: str, statuses: set[int]) -> None:
    error = seen(case)
    assert error["class"] == "InternalServerError"
    assert error["status"] in statuses
    assert error["type"] and error["message"]
    assert OUR_REQUEST_ID.fullmatch(error["request_id"])


def test_an_upstream_that_fails_before_a_stream_is_an_exception_and_not_an_empty_stream(seen: Seen) -> None:
    assert seen("upstream_500_for_a_stream")["class"] == "InternalServerError"


def test_an_upstreams_own_refusal_keeps_its_class(seen: Seen) -> None:
    assert (seen("upstream_400")["class"], seen("upstream_400")["status"]) == ("BadRequestError", 400)
    assert (seen("upstream_429")["class"], seen("upstream_429")["status"]) == ("RateLimitError", 429)
    assert OUR_REQUEST_ID.fullmatch(seen("upstream_400")["request_id"])


@pytest.mark.parametrize("case", ["upstream_html", "upstream_bad_json"])
def test_an_upstream_that_speaks_no_json_is_a_json_upstream_error(seen: Seen, case: str) -> None:
    error = seen(case)
    assert (error["class"], error["status"], error["code"]) == ("InternalServerError", 502, "upstream_error"), error
    assert "<html" not in error["message"].lower()


@pytest.mark.parametrize("case", ["upstream_cut_stream", "upstream_cut_stream_with_usage"])
def test_a_stream_cut_inside_a_frame_ends_as_an_exception_and_never_as_a_complete_answer(seen: Seen, case: str) -> None:
    assert (seen(case)["class"], seen(case)["code"]) == ("APIError", "upstream_error")


def test_an_error_frame_of_the_upstream_reaches_the_sdk(seen: Seen) -> None:
    assert seen("upstream_error_frame")["class"] == "APIError"


def test_a_client_that_waits_no_longer_gets_its_own_timeout(seen: Seen) -> None:
    expected = {"python": "APITimeoutError", "node": "APIConnectionTimeoutError"}[seen.client.language]
    assert seen("client_timeout")["class"] == expected


def test_the_ledger_is_clean_after_the_sdk_has_run(seen: Seen, gateway: Gateway) -> None:
    assert seen("plain")
    assert gateway.cli("ledger", "verify").returncode == 0
