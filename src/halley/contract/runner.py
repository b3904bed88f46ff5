"""Runs contracts against one base URL: the model list, the contract that all others wait for, then the others, and makes the run's record.

Each attempt is made once: it never retries and never follows, and it changes neither model, endpoint nor key to get a pass. What it cannot
see it says. The key leaves it only towards the base URL's own host.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from halley import __version__
from halley.contract import diagnosis, findings, probes, surroundings, verdict
from halley.contract.addresses import forewarnings, is_local
from halley.contract.checks import Wrong
from halley.contract.choosing import Chosen, Shelf, entries
from halley.contract.contracts import Case, Contract, Fields
from halley.contract.findings import finding
from halley.contract.profiles import CONTRACTS
from halley.contract.proxies import Proxy
from halley.contract.records import NotRun, Outcome, Row, Run
from halley.contract.session import Done, Judged, Plan, Say, Session

Progress = Callable[[int, int, str], None]
"""Contracts done, contracts in all, and the one that was done last."""


_NOWHERE = ("wrong-base-url", "missing-v1", "website", "surface-missing")


async def judge(session: Session, contract: Contract, case: Case, fields: Fields | None, first: Judged | None = None) -> Judged:
    """`first` is the happy path, where this is another."""
    evidence = await session.attempt(contract, case, fields)
    wrong = diagnosis.failure(contract, case, evidence, session.setting(contract, fields))
    if wrong and case.test_case == "happy_path":
        if not session.required(contract) and diagnosis.is_absent(evidence):
            return session.absent(contract, case, evidence)
        if session.plan.explicit and diagnosis.is_absent(evidence) and wrong.code == "wrong-base-url" and not session.is_gate(contract):
            wrong = Wrong("surface-missing", contract.name)
        wrong = await probes.narrow(session, contract, case, fields, wrong, evidence)
    elif wrong and first and first.code in _NOWHERE and evidence.status == first.evidence.status:
        wrong = first.wrong  # Where nothing is, a refusal's shape is nobody's.
    return session.record(contract, case, evidence, wrong)


async def run_contract(session: Session, contract: Contract) -> Done:
    if contract.load:
        return await probes.burst(session, contract)
    fields = contract.sent(session.model(contract), session.plan.fields if contract.name == "chat" else {})
    seen = session.listed if contract.name == "models" else None
    if seen is not None:
        wrong = diagnosis.failure(contract, contract.happy, seen, session.setting(contract, None))
        gone = wrong and not session.required(contract) and diagnosis.is_absent(seen)
        first = session.absent(contract, contract.happy, seen) if gone else session.record(contract, contract.happy, seen, wrong)
    else:
        first = await judge(session, contract, contract.happy, fields)
    if first.outcome.result == "not served":
        return Done(contract, (first,), first.outcome.notes)
    judged = [first]
    if contract.task and first.outcome.result == "pass":
        judged += await probes.follow(session, contract, first.evidence)
    judged += [await judge(session, contract, case, fields, first) for case in contract.errors]
    return Done(contract, tuple(judged))


async def choose(session: Session) -> None:
    """Reads the lists and settles which model each contract asks."""
    models, catalogue = CONTRACTS["models"], CONTRACTS["catalogue"]
    gate = CONTRACTS[session.plan.contracts[0]]
    session.listed = await session.attempt(models, models.happy, None)
    if session.listed.status != 200 and not session.listed.fault and gate.carrier in ("x-api-key", "x-goog-api-key"):
        # A vendor that serves its own surface only: its list wants the key where the surface wants it.
        own = msgspec.structs.replace(models, carrier=gate.carrier, root=gate.root)
        found = await session.attempt(own, own.happy, None)
        session.listed = found if found.status == 200 else session.listed
    wanted = [CONTRACTS[name] for name in session.plan.contracts]
    listed = tuple(entries(session.listed))
    offered = ()
    if any(contract.kind and not session.shelf.named.get(contract.kind) for contract in wanted) and not session.listed.fault:
        offered = tuple(entries(await session.attempt(catalogue, catalogue.happy, None)))
    session.shelf = Shelf(listed, offered, session.shelf.named)
    for contract in wanted:
        session.chosen[contract.name] = session.shelf.choose(contract)


async def run(plan: Plan, run_id: str, say: Say, warned: Sequence[str] = (), progress: Progress | None = None) -> Run:
    """`say` gets talk for people, `warned` are codes that the caller has already found. Raises nothing that the network can cause."""
    session = Session(plan, run_id, say)
    for code in [*warned, *forewarnings(plan.base, session.root, plan.key.reveal(), plan.environment)]:
        session.note(finding(code))
    started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    await choose(session)
    assert session.listed is not None
    gate = CONTRACTS[plan.contracts[0]]
    if gate.kind == "text" and session.model(gate):
        advice = diagnosis.model_list(session.listed, session.model(gate))
        if advice:
            session.note(finding(advice))
    done = await _carry_out(session, gate, progress)
    if session.proxy is not None and any(findings.TABLE[code][0] == findings.NETWORK for code in session.codes):
        session.note(finding("proxy-used", what=session.masked(_named(session.proxy))))
    return _report(session, started, done)


async def _carry_out(session: Session, gate: Contract, progress: Progress | None) -> dict[str, Done]:
    """The gate first, alone; then the others side by side, each after what it waits for; last what sends many requests, since the others
    would be refused with it."""
    plan, done = session.plan, dict[str, Done]()
    total = len(plan.contracts)
    slots = asyncio.Semaphore(max(1, plan.parallel))
    ended = {name: asyncio.Event() for name in plan.contracts}

    async def one(name: str) -> None:
        contract = CONTRACTS[name]
        if contract.after in ended:
            await ended[contract.after].wait()
        reason = _obstacle(session, contract, done, gate)
        if reason:
            hidden = await _hidden_list(session, contract) if contract is gate else None
            done[name] = Done(contract, (hidden,) if hidden else (), reason)
        else:
            async with slots:
                done[name] = await run_contract(session, contract)
        ended[name].set()
        if progress is not None:
            progress(len(done), total, name)

    await one(gate.name)
    later = [name for name in plan.contracts[1:] if CONTRACTS[name].load]
    async with asyncio.TaskGroup() as group:
        for name in plan.contracts[1:]:
            if name not in later:
                group.create_task(one(name))
    for name in later:
        await one(name)
    return {name: done[name] for name in plan.contracts}


async def _hidden_list(session: Session, gate: Contract) -> Judged | None:
    """Where no model could be taken because something hid the list: that something, which explains more than the lack of a model."""
    assert session.listed is not None
    listing = msgspec.structs.replace(gate, method="GET")
    case = Case("model list", "happy_path", "given", CONTRACTS["models"].happy.checks)
    wrong = diagnosis.failure(CONTRACTS["models"], case, session.listed, session.setting(gate, None))
    if wrong is None:
        return None
    wrong = await probes.narrow(session, gate, case, None, wrong, session.listed)
    if wrong.code != "missing-v1" and findings.TABLE[wrong.code][0] not in (findings.NETWORK, findings.REFUSED):
        return None
    return session.record(listing, case, session.listed, wrong)


def _obstacle(session: Session, contract: Contract, done: Mapping[str, Done], gate: Contract) -> str:
    """Why a contract is not run; empty if it is."""
    first = done.get(gate.name)
    if first is not None:
        hopeless = (findings.NETWORK, findings.REFUSED)
        stopped = next((each.code for each in first.judged if each.code and findings.TABLE[each.code][0] in hopeless), "")
        if stopped or not first.judged:
            return f"{gate.name} did not get through: {stopped or first.reason}"
    before = done.get(contract.after)
    if before is not None and (not before.judged or before.judged[0].outcome.result != "pass"):
        return f"{contract.after} comes first and did not pass"
    if contract.load and not session.plan.allow_load:
        return "it sends many requests: allow it with --allow-load"
    if contract.kind and not session.model(contract):
        seen = session.shelf.listed or session.shelf.catalogue
        return session.chosen[contract.name].why if seen else _unlisted(session, contract)
    return ""


def _unlisted(session: Session, contract: Contract) -> str:
    status = session.listed.status if session.listed else None
    option = "--model ID" if contract.kind == "text" else f"--model-for {contract.kind}=ID"
    doubt = "" if session.gate_passed else "check the base URL, or "
    return f"no usable model list at /models ({status or 'no reply'}): {doubt}name a model with {option}"


def _named(proxy: Proxy) -> str:
    return f"{proxy.name}, from {proxy.variable}"


def _report(session: Session, started: str, done: Mapping[str, Done]) -> Run:
    plan = session.plan
    not_run = [NotRun(name, each.reason) for name, each in done.items() if each.reason]
    gaps = [each for each in not_run if (plan.explicit or each.contract == plan.contracts[0]) and not done[each.contract].judged]
    for gap in gaps:
        session.note(finding("evidence-gap", what=f"{gap.contract} ({gap.reason})"))
    outcome = findings.exit_code(session.codes)
    outcomes = tuple(each.outcome for every in done.values() for each in every.judged)
    rows = tuple(
        Row(session.id, each.started, each.endpoint, each.test_case, each.status, each.result, each.notes)
        for each in outcomes
        if each.result != "not served"
    )
    seen = surroundings.look(
        os.environ, base=session.masked(plan.base), root=session.masked(session.root), address=session.peer, environment=plan.environment,
        key_from=plan.key_source, read=plan.variables, headers=tuple(sorted(session.headers)), timeout_s=plan.timeout_s,
        proxy=session.masked(_named(session.proxy)) if session.proxy else "",
    )  # fmt: skip
    chosen = {(each.kind, each.model, each.why): each for each in session.chosen.values() if each.kind}
    return Run(
        run_id=session.id, version=__version__, command=session.masked(plan.command), timestamp_utc=started, profile=plan.profile,
        verdict=findings.VERDICTS[outcome], exit=outcome, diagnosis=verdict.diagnosis(session.codes), surroundings=seen,
        models=tuple(Chosen(each.kind, session.masked(each.model), each.why) for each in chosen.values()), outcomes=outcomes,
        not_run=tuple(not_run), findings=tuple(session.findings), uncertainty=tuple(_uncertainty(plan, not_run, outcomes)),
        smoke_test_run=verdict.template(session, done, started, outcome), rows=rows, support_url=plan.support_url, docs_url=plan.docs_url,
    )  # fmt: skip


def _uncertainty(plan: Plan, not_run: Sequence[NotRun], outcomes: Sequence[Outcome]) -> Iterator[str]:
    """What this run does not prove, said aloud, so that nobody takes it for more."""
    yield "wording, length, latency, token counts, prices, quotas, uptime, other accounts and regions are not part of a contract"
    if not_run:
        yield f"{len(not_run)} contracts were not run to their end; the reasons stand beside them"
    others = [name for name in CONTRACTS if name not in plan.contracts]
    if others:
        yield f"not part of this run: {', '.join(others)}"
    if is_local(plan.base):
        yield "the endpoint is on this machine: another network, proxy or certificate was not tested"
    if plan.headers:
        names = ", ".join(dict.fromkeys(each.name for each in plan.headers))
        yield f"{names} went with every request, also with those that had to be refused for their key"
    refused = {each.contract for each in outcomes if each.case == "invalid credential" and each.result == "pass"}
    passed = {each.contract for each in outcomes if each.case == "happy path" and each.result == "pass"}
    if not refused & passed:
        why = ": the good key got no further" if refused else ""
        yield f"whether a bad key is told from a good one was not seen{why}"
