"""One run while it goes on: what was asked for, how an attempt is sent, and how what came of it is recorded.

The key leaves this module only as a field of a request to the base URL's own host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from halley.contract import diagnosis, keep, proxies
from halley.contract.addresses import Environment, endpoint_root, host_root
from halley.contract.checks import Wrong
from halley.contract.choosing import Chosen, Shelf
from halley.contract.contracts import INVALID_KEY, VERSION, Case, Contract, Fields
from halley.contract.diagnosis import Setting
from halley.contract.evidence import Evidence
from halley.contract.exchange import Attempt, carry_out
from halley.contract.extra import Header
from halley.contract.findings import Finding, finding
from halley.contract.proxies import Proxy
from halley.contract.records import Outcome
from halley.contract.shapes import fingerprint
from halley.redaction import Redactor
from halley.secret import Secret

Say = Callable[[str], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    base: str  # as given, without trailing slashes
    key: Secret
    key_source: str
    environment: Environment
    timeout_s: float
    home: Path
    capture: bool
    profile: str
    contracts: tuple[str, ...]
    explicit: bool = False
    """Whether each contract was named: then a surface that is not there is a broken contract."""
    model: str = ""
    named: Mapping[str, str] = {}
    """Models for kinds other than text."""
    fields: Fields = {}
    """Optional fields that the operator adds to the body of chat."""
    headers: tuple[Header, ...] = ()
    """Fields that the operator adds to the head of every request."""
    proxies: Mapping[str, str] = {}
    """The variables of the environment that tell of proxies."""
    provider: str = ""
    bisect: bool = False
    allow_load: bool = False
    load: int = 40
    parallel: int = 4
    task_timeout_s: float = 300.0
    variables: tuple[str, ...] = ()
    command: str = ""
    support_url: str = ""
    docs_url: str = ""


class Judged(NamedTuple):
    """One attempt at a case: what came back, the row that says so, and the code of what is wrong."""

    evidence: Evidence
    outcome: Outcome
    code: str
    wrong: Wrong | None = None


class Done(NamedTuple):
    contract: Contract
    judged: tuple[Judged, ...]
    reason: str = ""
    """Why it was not run to its end."""

    @property
    def passed(self) -> bool:
        return bool(self.judged) and not self.reason and all(each.outcome.result == "pass" for each in self.judged)


class Session:
    """One run while it goes on: attempts are made and counted here, findings come together here."""

    def __init__(self, plan: Plan, run_id: str, say: Say) -> None:
        self.plan, self.id, self.say = plan, run_id, say
        self.root = endpoint_root(plan.base)
        self.host = host_root(plan.base)
        self.codes: list[str] = []
        self.findings: dict[Finding, None] = {}
        self.number = 0
        self.shelf = Shelf(named={**plan.named, "text": plan.model} if plan.model else plan.named)
        self.listed: Evidence | None = None
        self.chosen: dict[str, Chosen] = {}
        self.peer = ""
        self.proxy: Proxy | None = None
        self.headers: set[str] = set()
        self.answered: set[str] = set()
        """Models that have answered: whatever refuses them later, they are active."""
        self.gate_passed = False
        self._redactor = Redactor(plan.key, *(each.value for each in plan.headers if each.variable))
        self._added = [each.value.reveal() for each in plan.headers if not each.variable]

    def note(self, found: Finding) -> None:
        if found not in self.findings:
            self.findings[found] = None
            self.say(f"{found.code}: {found.cause}. Fix: {found.fix}.")
        self.codes.append(found.code)

    def setting(self, contract: Contract, fields: Fields | None) -> Setting:
        listed = diagnosis.names(self.listed) if self.listed is not None else None
        return Setting(self.model(contract), listed and listed | self.answered, self.plan.provider, frozenset(fields or ()))

    def model(self, contract: Contract) -> str:
        return self.chosen[contract.name].model if contract.name in self.chosen else ""

    def added(self) -> list[tuple[str, str]]:
        """The operator's own fields, for a request to the base URL's own paths."""
        return [(each.name, each.value.reveal()) for each in self.plan.headers]

    def secrets(self) -> list[str]:
        return [self.plan.key.reveal(), *(value for _, value in self.added()), *proxies.passwords(self.plan.proxies)]

    def credential(self, case: Case) -> str | None:
        return {"given": self.plan.key.reveal(), "none": None, "invalid": INVALID_KEY}[case.credential]

    def url(self, contract: Contract, path: str) -> str:
        match contract.root:
            case "v1":
                return self.root + path
            case "v1beta":
                return f"{self.root.rpartition('/')[0]}/v1beta{path}"
            case "host":
                return self.host + path

    async def attempt(
        self, contract: Contract, case: Case, fields: Fields | None, *, path: str | None = None, method: str | None = None
    ) -> Evidence:
        """One request. `path` and `method` are those of the contract unless a task asks for more."""
        head = [("Accept", "text/event-stream" if contract.stream else "application/json"), ("Accept-Encoding", "identity")]
        head.append(("User-Agent", "halley-smoke"))
        body = contract.body(fields)
        if body is not None:
            head.append(("Content-Type", body[0]))
        credential = self.credential(case)
        if credential is not None:
            match contract.carrier:
                case "bearer":
                    head.append(("Authorization", f"Bearer {credential}"))
                case "x-api-key" | "x-goog-api-key":
                    head.append((contract.carrier, credential))
                case "none":
                    pass
        if contract.carrier == "x-api-key":
            head.append(("anthropic-version", VERSION))
        head.extend(self.added())
        url = self.url(contract, path if path is not None else contract.place(self.model(contract)))
        return await self.send(f"{contract.name} {case.name}", method or contract.method, url, head, body[1] if body else b"", contract.cap)

    async def send(
        self, name: str, method: str, url: str, head: Sequence[tuple[str, str]], body: bytes = b"", cap: int = 1 << 20
    ) -> Evidence:
        self.number += 1
        if not name.startswith("probe"):
            self.headers |= {field.lower() for field, _ in head}
        proxy = proxies.choose(self.plan.proxies, url)
        self.proxy = self.proxy or proxy
        evidence = await carry_out(Attempt(name, method, url, tuple(head), body, cap, self.number, proxy), self.plan.timeout_s)
        self.peer = self.peer or evidence.peer
        return evidence

    def keep(self, evidence: Evidence) -> None:
        if not self.plan.capture or not (evidence.head or evidence.body):
            return
        try:
            path = keep.capture(self.plan.home, self.id, evidence, *self.secrets())
        except OSError:
            self.note(finding("capture-failed"))
        else:
            self.say(f"{evidence.case}: the reply is kept in {path}")

    def record(self, contract: Contract, case: Case, evidence: Evidence, wrong: Wrong | None) -> Judged:
        notes = [case.name if contract.name == "chat" else f"{contract.name} {case.name}"]
        wrong = self._beside_a_pass(contract, wrong) if wrong and self.gate_passed and not self.is_gate(contract) else wrong
        if wrong:
            found = diagnosis.explain(wrong, evidence)
            cause = self.masked(found.cause)
            place = "" if self.is_gate(contract) or cause.startswith(contract.name) else f"{contract.name}: "
            self.note(Finding(found.code, place + cause, found.fix))
            notes += [found.code, cause]
            self.keep(evidence)
        elif case.credential != "given" and evidence.status not in (401, 403):
            notes.append(f"refused with {evidence.status}, where 401 or 403 is usual")
        if not wrong and case.test_case == "happy_path":
            self.answered |= {self.model(contract)} - {""}
            self.gate_passed = self.gate_passed or self.is_gate(contract)
        code = wrong.code if wrong else ""
        shape = () if wrong else tuple(self.masked(line) for line in fingerprint(contract, evidence))
        return Judged(evidence, self.outcome(contract, case, evidence, "fail" if wrong else "pass", code, notes, shape), code, wrong)

    def _beside_a_pass(self, contract: Contract, wrong: Wrong) -> Wrong:
        """What the first contract has proved is no longer in question: the key that it passed with is good, and the endpoint is up."""
        match wrong.code:
            case "key-refused":
                return Wrong("key-refused-here", {"bearer": "Authorization"}.get(contract.carrier, contract.carrier))
            case "server-error":
                return Wrong("surface-fails")
            case _:
                return wrong

    def outcome(
        self, contract: Contract, case: Case, evidence: Evidence, result: str, code: str, notes: list[str], shape: tuple[str, ...] = ()
    ) -> Outcome:
        parts = urlsplit(evidence.url)
        return Outcome(
            contract.name, case.name, case.test_case, contract.method, self.masked(parts.path), evidence.started, evidence.status, result,
            code, "; ".join(notes), shape,
        )  # fmt: skip

    def absent(self, contract: Contract, case: Case, evidence: Evidence) -> Judged:
        listed = diagnosis.names(self.listed) if self.listed is not None else None
        note = f"{contract.name} is not served here ({evidence.status})"
        if contract.kind and listed is not None and self.model(contract) not in listed:
            note += ", or not for this model, which is not in the list"
        return Judged(evidence, self.outcome(contract, case, evidence, "not served", "", [note]), "")

    def is_gate(self, contract: Contract) -> bool:
        return contract.name == self.plan.contracts[0]

    def required(self, contract: Contract) -> bool:
        return self.plan.explicit or self.is_gate(contract)

    def masked(self, text: str) -> str:
        """Text of foreign origin without the key and the added fields; one under six characters would take ordinary words apart."""
        for known in (self.plan.key.reveal().strip(), *self._added):
            text = text.replace(known, "[masked]") if len(known) >= 6 else text
        return self._redactor.known(text, "[masked]")
