"""Lets schemathesis drive what the OpenAPI document of a gateway describes, and prints one JSON line of facts per operation.

Run by the interpreter that holds it: `python openapi.py` with the plan (URL, a key, known names by kind, cases of each operation, seed,
sound fields by the last word of a path) as JSON on standard input. Requests that fit the document and requests that
do not are made from it alone; but mostly a model or a key is one that exists, and half of those that fit get sound fields, without which
few would be answered.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from typing import Any

import hypothesis
import openapi_spec_validator
import requests
import schemathesis
from schemathesis import GenerationMode
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi import checks

PLAN = json.load(sys.stdin)
SHOWN = 5
# Events. By default schemathesis leaves earlier, and who leaves pays for what was read.
WHOLE_STREAM = 1_000_000
SESSION = requests.Session()
# What an answer must be whatever was sent, and what must be refused.
ALWAYS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


class Seen:
    """What one operation has shown. `refused` are the ids of requests that no provider was asked for."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.failures: dict[str, str] = {}
        self.accepted_nonsense: list[str] = []
        self.refused: list[str] = []
        self.keyless: Counter[int] = Counter()

    def judge(self, case: Any, response: Any) -> None:
        self.statuses[response.status_code] += 1
        if "x-halley-provider" not in response.headers and response.status_code >= 400:
            self.refused.append(response.headers.get("x-request-id", ["no id"])[0])
        try:
            case.validate_response(response, checks=ALWAYS)
        except (Failure, FailureGroup) as failure:
            for each in failure.exceptions if isinstance(failure, FailureGroup) else [failure]:
                self.failures.setdefault(type(each).__name__, f"{each}\n{case.as_curl_command()}"[:2000])
        if negated(case) and response.status_code < 300:
            self.accepted_nonsense.append(case.as_curl_command()[:500])

    def line(self, operation: Any) -> dict[str, Any]:
        return {
            "operation": f"{operation.method.upper()} {operation.path}",
            "statuses": self.statuses,
            "failures": dict(list(self.failures.items())[:SHOWN]),
            "accepted_nonsense": self.accepted_nonsense[:SHOWN],
            "refused": self.refused,
            "keyless": self.keyless,
        }


def negated(case: Any) -> bool:
    """Whether it is the body that does not fit."""
    body = case.meta.components.get(ParameterLocation.BODY)
    return body is not None and body.mode is GenerationMode.NEGATIVE


def named(case: Any, choose: random.Random) -> None:
    """Three of four requests name a model or a key that exists, wherever this operation names one; else nearly all would be refused for
    it."""
    if choose.random() < 0.25 or negated(case):
        return
    for name in case.path_parameters if isinstance(case.path_parameters, dict) else ():
        if name in PLAN["known"]:
            case.path_parameters[name] = choose.choice(PLAN["known"][name])
    if isinstance(case.body, dict):
        if isinstance(case.body.get("model"), str):
            case.body["model"] = choose.choice(PLAN["known"]["model"])
        if choose.random() < 0.5:
            case.body |= PLAN["sound"].get(case.operation.path.rpartition("/")[2].rpartition(":")[2], {})


def drive(operation: Any, mode: GenerationMode, seen: Seen) -> None:
    choose = random.Random(PLAN["seed"])

    @hypothesis.seed(PLAN["seed"])
    @hypothesis.settings(
        max_examples=PLAN["cases"],
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(mode))
    def run(case: Any) -> None:
        named(case, choose)
        keyed = bool(case.operation.definition.raw.get("security"))
        headers = {"Authorization": f"Bearer {PLAN['key']}"} if keyed else {}
        for name in ("x-api-key", "x-goog-api-key", "Authorization"):  # of the document's schemes: another key would be a second one
            case.headers.pop(name, None)
        case.query.pop("key", None)
        if choose.random() < 0.75:  # one that was used before answers for another request
            case.headers.pop("Idempotency-Key", None)
        try:
            response = case.call(base_url=PLAN["url"], headers=headers, session=SESSION)
        except requests.RequestException as error:
            seen.failures.setdefault(type(error).__name__, f"{error}\n{case.as_curl_command()}"[:2000])
            return
        seen.judge(case, response)
        if keyed and choose.random() < 0.1:
            case.headers.pop("Idempotency-Key", None)  # one that is no field at all is refused before anybody is asked who they are
            response = case.call(base_url=PLAN["url"], session=SESSION)
            seen.keyless[response.status_code] += 1
            seen.refused.append(response.headers["x-request-id"][0])

    run()


document = requests.get(f"{PLAN['url']}/openapi.json", timeout=20).json()
openapi_spec_validator.validate(document)
schema = schemathesis.openapi.from_dict(document)
schema.config.max_stream_events = WHOLE_STREAM
for result in schema.get_all_operations():
    operation = result.ok()
    seen = Seen()
    for mode in GenerationMode.POSITIVE, GenerationMode.NEGATIVE:
        try:
            drive(operation, mode, seen)
        except hypothesis.errors.Unsatisfiable:
            continue  # nothing can be wrong in a request without parameters
    print(json.dumps(seen.line(operation)), flush=True)
