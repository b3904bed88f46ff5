"""The table of errors: each condition has one spelling per dialect, and what is raised carries what an answer needs."""

from __future__ import annotations

import re

import pytest

from halley.errors import Condition, HalleyError, Refused, UpstreamError

ANTHROPIC = {
    "invalid_request_error", "authentication_error", "billing_error", "permission_error", "not_found_error", "request_too_large",
    "rate_limit_error",
    "timeout_error", "api_error", "overloaded_error",
}  # fmt: skip
GEMINI = {
    "INVALID_ARGUMENT", "UNAUTHENTICATED", "FAILED_PRECONDITION", "PERMISSION_DENIED", "NOT_FOUND", "ABORTED", "DEADLINE_EXCEEDED",
    "RESOURCE_EXHAUSTED", "INTERNAL", "UNAVAILABLE",
}  # fmt: skip


@pytest.mark.parametrize("condition", Condition, ids=lambda condition: condition.name)
def test_a_condition_is_spelled_in_the_words_of_each_dialect(condition: Condition) -> None:
    wire = condition.value
    assert 400 <= condition.status == wire.status <= 599
    assert wire.anthropic_type in ANTHROPIC
    assert wire.gemini_status in GEMINI
    assert re.fullmatch(r"[a-z_]+", wire.openai_type) and re.fullmatch(r"[a-z_]+", wire.openai_code)


def test_no_two_conditions_are_the_same_value() -> None:
    # Equal values would make one an alias of the other, and its name would vanish from logs.
    assert len(Condition) == len(Condition.__members__)


def test_only_the_servers_own_faults_are_above_499() -> None:
    server = {condition.name for condition in Condition if condition.status >= 500}
    assert server == {"BUG", "UPSTREAM", "NO_PROVIDER", "OVERLOADED", "DEADLINE"}


def test_what_is_raised_carries_condition_message_and_hints() -> None:
    refused = Refused(Condition.RATE_LIMIT, "slower", param="model", retry_after_s=1.5)
    assert (refused.condition, refused.message, refused.param, refused.retry_after_s) == (Condition.RATE_LIMIT, "slower", "model", 1.5)
    assert str(refused) == "slower"
    fault = UpstreamError(Condition.UPSTREAM, "gone")
    assert isinstance(fault, HalleyError) and isinstance(refused, HalleyError) and fault.condition is Condition.UPSTREAM
