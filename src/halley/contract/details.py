"""The table "contract details to verify": what an operator has to know of an endpoint, in words that are safe to pass on, beside the
evidence of a run. The rows are the union of those in the smoke test guides; a run fills in what it saw and says what it did not see.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from halley.contract.profiles import CONTRACTS
from halley.contract.records import Outcome, Run

COLUMNS = ("Area", "What to verify", "Source", "Accessed", "Safe wording", "Observed evidence")
NOT_SEEN = "not seen in this run"


class Detail(NamedTuple):
    area: str
    verify: str
    source: str
    accessed: str
    wording: str
    evidence: str


def _of(run: Run, contract: str, test_case: str = "happy_path") -> Outcome | None:
    return next((each for each in run.outcomes if each.contract == contract and each.test_case == test_case), None)


def _said(outcome: Outcome | None) -> str:
    if outcome is None:
        return NOT_SEEN
    status = outcome.status if outcome.status is not None else "no reply"
    return f"{outcome.method} {outcome.endpoint}: {status}, {outcome.result}{f' ({outcome.code})' if outcome.code else ''}"


def _base(run: Run) -> str:
    seen = run.surroundings
    return f"{seen.endpoint_root} at {seen.resolved_address or 'no address'}"


def _path(run: Run) -> str:
    return _said(run.outcomes[0] if run.outcomes else None)


def _method(run: Run) -> str:
    first = run.outcomes[0] if run.outcomes else None
    return f"{first.method}, answered {first.status}" if first is not None and first.status is not None else NOT_SEEN


def _authentication(run: Run) -> str:
    sent = [name for name in run.surroundings.headers_sent if name in ("authorization", "x-api-key", "x-goog-api-key")]
    good, refused = _of(run, run.outcomes[0].contract) if run.outcomes else None, [o for o in run.outcomes if o.test_case == "error_path"]
    told = "; ".join(f"{each.contract}, {each.case}: {each.status or 'no reply'}" for each in refused)
    return f"key sent in {', '.join(sent) or 'no header'}: {good.status if good else 'no reply'}{f'; {told}' if told else ''}"


def _fields(optional: bool) -> Callable[[Run], str]:
    def seen(run: Run) -> str:
        told: list[str] = []
        for outcome in run.outcomes:
            contract = CONTRACTS.get(outcome.contract)
            if contract is None or contract.required is None or outcome.case != "happy path" or outcome.result == "not served":
                continue
            names = contract.optional if optional else contract.required("")
            if names:
                told.append(f"{outcome.contract}: {', '.join(names)} ({'taken' if outcome.result == 'pass' else 'failed'})")
        return "; ".join(told) or NOT_SEEN

    return seen


def _shape(contract: str) -> Callable[[Run], str]:
    def seen(run: Run) -> str:
        outcome = _of(run, contract)
        if outcome is None or not outcome.shape:
            return _said(outcome)
        return ", ".join(line.removeprefix(".") for line in outcome.shape if line.startswith("."))[:400]

    return seen


def _errors(run: Run) -> str:
    told = [_said(each) for each in run.outcomes if each.test_case == "error_path"]
    return "; ".join(told) or NOT_SEEN


def _scope(run: Run) -> str:
    found: dict[str, set[str]] = {"pass": set(), "fail": set(), "not served": set()}
    for each in run.outcomes:
        found[each.result].add(each.contract)
    parts = (("kept", found["pass"] - found["fail"]), ("not kept", found["fail"]), ("not served", found["not served"]))
    return "; ".join(f"{word}: {', '.join(sorted(names))}" for word, names in parts if names) or NOT_SEEN


def _said_of_responses(run: Run) -> str:
    return _said(_of(run, "responses"))


def _support(run: Run) -> str:
    return run.support_url or "none given: --support-url"


_ROWS: tuple[tuple[str, str, str, Callable[[Run], str]], ...] = (
    ("Base URL", "Scheme, host and path prefix of all calls", "the base URL that the endpoint's reference gives", _base),
    ("Endpoint path", "The whole path, with its version", "the path that answered in this run", _path),
    ("HTTP method", "The verb of each call", "the method that answered in this run", _method),
    (
        "Authentication",
        "Header, token format and prefix, and what a bad key gets",
        "the header in which the key was taken",
        _authentication,
    ),
    ("Required request fields", "Which fields a request must have", "the fields that were enough in this run", _fields(optional=False)),
    (
        "Optional request fields",
        "Which more fields are taken, and their ranges",
        "the optional fields that were taken",
        _fields(optional=True),
    ),
    ("Response shape", "The field of the text, finish reason, usage", "the fields that this reply had", _shape("chat")),
    ("Error shape", "The error object and the statuses of a refusal", "the refusals seen in this run", _errors),
    ("Responses path and method", "Path and verb, and how they differ from chat", "the responses path that answered", _said_of_responses),
    ("Responses shape", "Fields of request and reply beside those of chat", "the fields that this response had", _shape("responses")),
    ("Compatibility scope", "Which contracts of which dialect are kept", "the contracts kept in this run, and no others", _scope),
    ("Support escalation", "Where to turn to when a failure stays", "the support address of the endpoint's operator", _support),
)


def table(run: Run) -> list[Detail]:
    source = run.docs_url or "the endpoint's reference (name it with --docs-url)"
    return [Detail(area, verify, source, run.timestamp_utc[:10], wording, evidence(run)) for area, verify, wording, evidence in _ROWS]
