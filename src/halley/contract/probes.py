"""The attempts beyond one per case: what a task needs to its end, what tells causes apart after a failure, and the burst for a rate limit.

A probe names a cause and never turns a failure into a pass. It sends no more than the contract did: most probes ask for the model list,
and where another address is tried, no key goes with it.
"""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from halley.contract import diagnosis
from halley.contract.checks import POLLED, Wrong, binary
from halley.contract.contracts import INVALID_KEY, Case, Contract, Fields
from halley.contract.evidence import UNREAD, Evidence, member, members
from halley.contract.exchange import speaks_tls
from halley.contract.session import Done, Judged, Session

_HEADERS = ("X-API-Key", "api-key", "x-goog-api-key", "Authorization")
_PLAIN = (("Accept", "application/json"), ("User-Agent", "halley-smoke"))
_PLACES = ("/v1", "/api/v1", "/openai/v1")


async def narrow(session: Session, contract: Contract, case: Case, fields: Fields | None, wrong: Wrong, evidence: Evidence) -> Wrong:
    """A narrower name for what was found, if a probe finds one."""
    clear = (
        evidence.url.startswith("http:") and evidence.status in (None, 400) and wrong.code in ("cut", "website", "not-json", "empty-body")
    )
    if clear and session.proxy is None and session.is_gate(contract) and await speaks_tls(evidence.url, session.plan.timeout_s):
        return Wrong("http-to-tls")
    if wrong.code == "key-refused" and session.is_gate(contract):
        return await _key(session) or wrong
    if wrong.code in ("wrong-base-url", "website") and session.is_gate(contract):
        return await _place(session, wrong)
    if wrong.code == "request-rejected" and await _is_unknown(session, contract):
        return Wrong("model-rejected")
    if wrong.code == "request-rejected" and session.is_gate(contract):
        wrong = await _whoever_asks(session, wrong)
    if wrong.code == "request-rejected" and session.plan.bisect and contract.required is not None and fields:
        return await _field(session, contract, case, fields, wrong)
    return wrong


async def _key(session: Session) -> Wrong | None:
    """Is the key taken in another header, or known and not allowed? The model list answers, if it is not open to everybody."""
    key, listed = session.plan.key.reveal(), session.listed
    url = f"{session.root}/models"
    if listed is not None and diagnosis.names(listed) is not None:
        bad = (*_PLAIN, *session.added(), ("Authorization", f"Bearer {INVALID_KEY}"))
        open_to_all = await session.send("probe of the model list", "GET", url, bad)
        return Wrong("key-permission") if open_to_all.status in (401, 403) else None
    if listed is None or listed.status not in (401, 403):
        return None
    # A key that says Bearer itself would pass without the word before it, which is the key's slip and not the endpoint's.
    for header in _HEADERS[:-1] if key.strip("\"' ").lower().startswith("bearer") else _HEADERS:
        found = await session.send("probe of a header", "GET", url, (*_PLAIN, *session.added(), (header, key)))
        if found.status == 200 and found.value() is not UNREAD:
            return Wrong("header-name", header if header != "Authorization" else "Authorization without the word Bearer")
    return None


async def _whoever_asks(session: Session, wrong: Wrong) -> Wrong:
    """Where the model list is rejected too, its body cannot be at fault: is it the key, which some servers refuse with 400, or is
    everybody rejected?"""
    listed = session.listed
    if listed is None or listed.fault or listed.status not in (400, 422):
        return wrong
    url, own = f"{session.root}/models", (*_PLAIN, *session.added())
    bad = await session.send("probe with a bad key", "GET", url, (*own, ("Authorization", f"Bearer {INVALID_KEY}")))
    bare = await session.send("probe without a key", "GET", url, own)
    if bad.status == listed.status and bare.status in (401, 403):
        return Wrong("key-refused")
    if bad.status == bare.status == listed.status:
        return Wrong(wrong.code, "; so is the model list, whatever the key: the endpoint may want a head field (--header NAME=VALUE)")
    return wrong


async def _is_unknown(session: Session, contract: Contract) -> bool:
    """Whether a model that is not in the list is not there when asked for by name either."""
    setting = session.setting(contract, None)
    if not contract.kind or setting.listed is None or setting.model in setting.listed:
        return False
    key = session.plan.key.reveal()
    url = f"{session.root}/models/{quote(setting.model, safe='')}"
    found = await session.send("probe of the model", "GET", url, (*_PLAIN, *session.added(), ("Authorization", f"Bearer {key}")))
    return found.status == 404


async def _place(session: Session, wrong: Wrong) -> Wrong:
    """Does an API answer elsewhere on this host, where none does at the base URL? Asked without a key."""
    if "/v1/v1" in session.root or (session.listed is not None and diagnosis.names(session.listed) is not None):
        return wrong
    for place in _PLACES:
        if f"{session.host}{place}" == session.root:
            continue
        found = await session.send("probe of an address", "GET", f"{session.host}{place}/models", _PLAIN)
        if (found.status == 200 and diagnosis.names(found)) or (found.status in (401, 403) and members(found.value()).get("error")):
            return Wrong("missing-v1", place)
    return wrong


async def _field(session: Session, contract: Contract, case: Case, fields: Fields, wrong: Wrong) -> Wrong:
    """Leaves out all optional fields, then adds them back one at a time until the one is found that is refused."""
    assert contract.required is not None
    bare = dict(contract.required(session.model(contract)))
    optional = {name: value for name, value in fields.items() if name not in bare}

    async def is_refused(body: Fields) -> bool:
        evidence = await session.attempt(contract, case, body)
        found = diagnosis.failure(contract, case, evidence, session.setting(contract, body))
        return found is not None and found.code == wrong.code

    if not optional or await is_refused(bare):
        return wrong
    for name, value in optional.items():
        if await is_refused({**bare, name: value}):
            return Wrong("parameter-rejected", name)
    return wrong


async def follow(session: Session, contract: Contract, submitted: Evidence) -> list[Judged]:
    """From the submitted task to its result: asks until it is done, then fetches."""
    path = f"{contract.path}/{quote(str(member(submitted.value(), 'id')), safe='')}"
    poll, fetch = Case("poll", "happy_path", "given", POLLED), Case("fetch", "happy_path", "given", binary("video/"))
    loop = asyncio.get_running_loop()
    ends, pause = loop.time() + session.plan.task_timeout_s, 0.1
    while True:
        evidence = await session.attempt(contract, poll, None, path=path, method="GET")
        wrong = diagnosis.failure(contract, poll, evidence, session.setting(contract, None))
        state = member(evidence.value(), "status")
        if wrong is None and state in ("failed", "error", "cancelled"):
            wrong = Wrong("task-failed")
        elif wrong is None and state != "completed" and loop.time() > ends:
            wrong = Wrong("task-unfinished")
        if wrong is not None or state == "completed":
            break
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 5.0)
    polled = session.record(contract, poll, evidence, wrong)
    if wrong is not None:
        return [polled]
    content = await session.attempt(contract, fetch, None, path=f"{path}/content", method="GET")
    wrong = diagnosis.failure(contract, fetch, content, session.setting(contract, None))
    return [polled, session.record(contract, fetch, content, wrong)]


async def burst(session: Session, contract: Contract) -> Done:
    """Many small requests at once, until one is refused for their number. How many it takes is nobody's contract."""
    fields = contract.sent(session.model(contract), {})
    for _ in range(0, session.plan.load, 10):
        replies = await asyncio.gather(*(session.attempt(contract, contract.happy, fields) for _ in range(10)))
        refused = next((each for each in replies if each.status == 429), None)
        if refused is not None:
            wrong = next((wrong for check in contract.happy.checks if (wrong := check(refused))), None)
            return Done(contract, (session.record(contract, contract.happy, refused, wrong),))
    return Done(contract, (), f"no 429 came within {session.plan.load} requests")
