"""Every contract as data, run against the simulator: what is kept passes, what waits is run after, what is left out is not run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from halley.cli.smoke import smoke
from halley.contract.profiles import CONTRACTS, PROFILES, select
from tests.contract.gateways import REFUSED, carries_key, gateway, surface
from tests.contract.servers import GOOD_KEY, reply, serving


def mock(home: Path, *flags: str) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """Exit code, what `--json` printed, and the run that was kept."""
    result = CliRunner().invoke(
        smoke, ["--mock", "--json", *flags], env={"HALLEY_HOME": str(home), "COMETAPI_BASE_URL": None, "COMETAPI_MODEL": None}
    )
    assert result.exit_code != 2, result.output
    document = json.loads(result.stdout)
    kept = json.loads((home / "evidence" / document["smoke_test_run"]["run_id"] / "run.json").read_text())
    return result.exit_code, document, kept


@pytest.mark.parametrize("name", [name for name, contract in CONTRACTS.items() if not contract.load])
def test_the_simulator_keeps_each_contract(name: str, tmp_path: Path) -> None:
    code, document, kept = mock(tmp_path, "--contract", name)
    assert (code, document["findings"]) == (0, [])
    assert name in {outcome["contract"] for outcome in kept["outcomes"]}
    assert {outcome["result"] for outcome in kept["outcomes"]} == {"pass"}


def test_the_full_profile_runs_everything_that_needs_no_permission(tmp_path: Path) -> None:
    code, document, kept = mock(tmp_path, "--profile", "full")
    assert (code, document["findings"], [each["contract"] for each in kept["not_run"]]) == (0, [], ["rate-limit"])
    assert {outcome["contract"] for outcome in kept["outcomes"]} == set(CONTRACTS) - {"rate-limit"}


def test_a_stream_is_run_only_after_its_plain_call_has_passed(tmp_path: Path) -> None:
    code, _, kept = mock(tmp_path, "--profile", "text", "--model", "sim/empty-choices")
    assert code == 1
    reasons = {each["contract"]: each["reason"] for each in kept["not_run"]}
    assert reasons["chat-stream"] == reasons["chat-tools"] == "chat comes first and did not pass"
    assert not [each for each in kept["outcomes"] if each["contract"] == "chat-stream"]


def test_what_a_contract_waits_for_is_run_with_it_and_what_is_left_out_is_not() -> None:
    assert select("chat", ["messages-stream"]) == ("messages", "messages-stream")
    assert select("text", (), ["gemini", "gemini-stream"]) == tuple(name for name in PROFILES["text"] if not name.startswith("gemini"))


def test_a_rate_limit_is_looked_for_only_when_allowed_and_its_refusal_is_judged(tmp_path: Path) -> None:
    _, _, kept = mock(tmp_path, "--contract", "rate-limit")
    assert kept["not_run"][0]["reason"] == "it sends many requests: allow it with --allow-load"
    _, _, kept = mock(tmp_path, "--contract", "rate-limit", "--allow-load", "--load", "10")
    assert kept["not_run"][0]["reason"] == "no 429 came within 10 requests"


def test_profiles_name_contracts_in_their_order() -> None:
    for names in PROFILES.values():
        assert list(names) == [name for name in CONTRACTS if name in names] and names[0] == "chat"


def throttled(limit: int, refusal: bytes) -> Any:
    """A gateway that refuses all chat beyond so many requests."""
    seen = 0

    def answer(request: bytes) -> bytes | None:
        nonlocal seen
        seen += surface(request).startswith("chat") and carries_key(request)
        return refusal if seen > limit and surface(request).startswith("chat") and carries_key(request) else gateway()(request)

    return answer


def refusal(*fields: str, body: object = REFUSED) -> bytes:
    return reply(429, body, extra="".join(f"{field}\r\n" for field in fields))


@pytest.mark.parametrize(
    "raw, code",
    [
        (refusal("Retry-After: 7"), ""),
        (refusal("Retry-After: 0"), ""),
        (refusal("Retry-After: Fri, 27 Nov 2026 09:05:07 GMT"), ""),
        (refusal("retry-after-ms: 1500"), ""),
        (refusal("Retry-After: 2", "retry-after-ms: 1500", "x-ratelimit-remaining-requests: 0"), ""),
        (refusal(), "retry-after-missing"),
        (refusal("x-ratelimit-reset-requests: 1s"), "retry-after-missing"),
        (refusal("Retry-After: soon"), "retry-after-shape"),
        (refusal("Retry-After: -1"), "retry-after-shape"),
        (refusal("Retry-After: 1.5"), "retry-after-shape"),
        (refusal("Retry-After: 1s"), "retry-after-shape"),
        (refusal("Retry-After: Fri, 27 Nov 2026 09:05:07 +0100"), "retry-after-shape"),
        (refusal("Retry-After: 7", body={"detail": "slow down"}), "error-shape"),
        (reply(429, "slow down", kind="text/plain", extra="Retry-After: 7\r\n"), "not-json"),
    ],
)
def test_a_429_says_why_and_how_long(raw: bytes, code: str, tmp_path: Path) -> None:
    with serving(throttled(6, raw)) as url:
        environ = {"HALLEY_HOME": str(tmp_path), "COMETAPI_KEY": GOOD_KEY, "http_proxy": None, "HTTP_PROXY": None}
        words = ["--base-url", url, "--model", "m", "--contract", "rate-limit", "--allow-load", "--load", "20", "--json"]
        result = CliRunner().invoke(smoke, words, env=environ)
    document = json.loads(result.stdout)
    assert [each["code"] for each in document["findings"]] == ([code] if code else []), result.output
    assert (document["rows"][-1]["http_status"], document["rows"][-1]["outcome"]) == (429, "fail" if code else "pass")


def test_what_sends_many_requests_comes_last_so_that_it_spoils_nothing(tmp_path: Path) -> None:
    with serving(throttled(12, refusal("Retry-After: 7"))) as url:
        environ = {"HALLEY_HOME": str(tmp_path), "COMETAPI_KEY": GOOD_KEY, "http_proxy": None, "HTTP_PROXY": None}
        models = [word for kind in ("embeddings", "image", "speech", "transcription", "video") for word in ("--model-for", f"{kind}=m")]
        words = ["--base-url", url, "--model", "m", "--profile", "full", "--without", "balance", "--allow-load", "--json", *models]
        result = CliRunner().invoke(smoke, words, env=environ)
    document = json.loads(result.stdout)
    assert (result.exit_code, document["findings"]) == (0, []), result.output
    assert document["rows"][-1]["http_status"] == 429
