"""Names what evidence shows: the one code that explains an attempt, from status, head, body and the model list. Pure.

A network fact outranks the checks that it makes pointless, and what cannot be told apart gets the wider name: nothing is guessed.
"""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

import msgspec

from halley.contract.checks import Wrong
from halley.contract.contracts import Case, Contract
from halley.contract.evidence import UNREAD, Evidence, items, member, members
from halley.contract.findings import Finding, finding
from halley.contract.streams import events

_MODEL_CODES = ("model_not_found", "invalid_model", "model_not_available", "model_not_active", "model_not_allowed", "model_disabled")
_KEY_CODES = ("invalid_api_key", "API_KEY_INVALID")
# What may follow a model's name without making it another model: a date, a numbered revision, or a word for the newest. A version is none.
_REVISION = re.compile(
    r"(?:[-@:](?:\d{3,4}|\d{6}|\d{8}|\d{4}-\d{2}-\d{2}|latest|free|default|(?:preview|exp)(?:-\d{2}-(?:\d{4}|\d{2}))?))+$"
)

_FIELD = re.compile(r"(?!none$|null$|body$)[a-z][a-z0-9_]{1,40}", re.IGNORECASE)


class Setting(msgspec.Struct, frozen=True):
    """What of the run a judgement needs. `listed` is None where no model list was seen; `provider` is whom the operator expects."""

    model: str
    listed: frozenset[str] | None = None
    provider: str = ""
    fields: frozenset[str] = frozenset()
    """Names that stood in the body: only these may be quoted from a reply."""


def failure(contract: Contract, case: Case, evidence: Evidence, setting: Setting) -> Wrong | None:
    """What is wrong with this attempt, or None."""
    status, given = evidence.status, case.credential == "given"
    if not given and status is not None and 200 <= status < 300 and not evidence.is_html():
        return Wrong("bad-key-accepted")
    if status is None or (evidence.fault and status == 200):
        return _fault(evidence)
    if given and 400 <= status < 600 and _names_model(evidence):
        return Wrong("model-rejected")
    if given and (status in (401, 403) or (status == 400 and _names_key(evidence))) and not evidence.is_html():
        return Wrong("key-refused")
    if evidence.is_html():
        return Wrong("website" if given and status < 500 else "html-page")
    if 300 <= status < 400:
        return Wrong("redirected" if "location" in evidence.fields or status in (301, 302, 303, 307, 308) else "unexpected-status")
    if status >= 500:
        return Wrong("proxy-error" if status in (502, 503, 504) and not members(evidence.value()) else "server-error")
    if status == 407:
        return Wrong("proxy-authentication")
    if evidence.fault:
        return _fault(evidence)
    if evidence.capped:
        return Wrong("reply-too-large")
    if given and 400 <= status < 500:
        return _rejection(evidence, setting)
    wrong = next((wrong for check in case.checks if (wrong := check(evidence))), None)
    return wrong or (_fallback(contract, evidence, setting) if given else None)


def is_absent(evidence: Evidence) -> bool:
    """Whether the endpoint says that it has no such surface."""
    return evidence.status in (404, 405, 501) and not _names_model(evidence)


def _fault(evidence: Evidence) -> Wrong:
    fault = evidence.fault
    return Wrong(fault.kind, f": {fault.detail}" if fault.detail else "") if fault else Wrong("protocol")


def _error(evidence: Evidence) -> object:
    """The error of a reply, wherever servers put it."""
    value = evidence.value()
    value = items(value)[0] if items(value) else value
    found = member(value, "error")
    return found if members(found) else value


def _names_model(evidence: Evidence) -> bool:
    error = _error(evidence)
    return member(error, "code") in _MODEL_CODES or member(error, "type") in _MODEL_CODES or member(error, "param") == "model"


def _names_key(evidence: Evidence) -> bool:
    """Whether a 400 says by its code that it is about the key; Google's does so in `details` (https://cloud.google.com/apis/design/errors)."""
    error = _error(evidence)
    reasons = [member(detail, "reason") for detail in items(member(error, "details"))]
    return any(word in _KEY_CODES for word in (member(error, "code"), *reasons))


def _rejection(evidence: Evidence, setting: Setting) -> Wrong:
    status = evidence.status
    if status in (402, 429):
        return Wrong("no-credit" if status == 402 or member(_error(evidence), "code") == "insufficient_quota" else "rate-limited")
    if status in (404, 405):
        if not evidence.body.strip() or evidence.value() is UNREAD or setting.listed is None or setting.model in setting.listed:
            return Wrong("wrong-base-url")
        return Wrong("model-rejected")
    if not evidence.body.strip():
        return Wrong("empty-body")
    if evidence.value() is UNREAD:
        return Wrong("not-json")
    return Wrong("request-rejected", _named(member(_error(evidence), "param"), setting.fields))


def _named(param: object, fields: frozenset[str]) -> str:
    """What the reply says of a field. A name that was sent may be quoted; another is told of, since then somebody between put it there."""
    name = re.split(r"[.\[]", param, maxsplit=1)[0] if isinstance(param, str) else ""
    if name in fields:
        return f"; the reply names `{name}`"
    return "; the reply names a field that was not sent: it is missed, or added on the way" if _FIELD.fullmatch(name) else ""


def _plain_name(model: str) -> str:
    return _REVISION.sub("", model.rpartition("/")[2].strip().lower())


def is_same_model(asked: str, answered: str) -> bool:
    """A date, a version or the provider's name around it leave a model what it is; anything else makes it another."""
    return _plain_name(asked) == _plain_name(answered)


def _answering_model(contract: Contract, evidence: Evidence) -> str:
    """As the reply names it; in a stream, by the first event that does, in the field of its dialect or inside the object that begins it."""
    values = [event.value for event in events(evidence.body)] if contract.stream else [evidence.value()]
    for value in values:
        for place in (value, member(value, "response"), member(value, "message")):
            found = member(place, contract.model_field)
            if isinstance(found, str) and found:
                return found
    return ""


def _fallback(contract: Contract, evidence: Evidence, setting: Setting) -> Wrong | None:
    """A pass that does not prove what was asked: another model or provider answered, or not at the first attempt."""
    fields = evidence.fields
    if contract.model_field:
        answered = _answering_model(contract, evidence)
        if answered and setting.model and not is_same_model(setting.model, answered):
            return Wrong("unreviewed-fallback", "another model")
    if setting.provider:
        told = fields.get("x-halley-provider") or member(evidence.value(), "provider")
        if not isinstance(told, str) or told.lower() != setting.provider.lower():
            return Wrong("unreviewed-fallback", "another provider, or an unnamed one,")
    attempts = (
        int_of(fields, "x-halley-attempts", 1) - 1,
        int_of(fields, "x-litellm-attempted-fallbacks", 0),
        int_of(fields, "x-litellm-attempted-retries", 0),
        int_of(fields, "x-portkey-last-used-option-index", 0),
    )
    return Wrong("several-attempts") if any(count > 0 for count in attempts) else None


def int_of(fields: dict[str, str], name: str, otherwise: int) -> int:
    text = fields.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else otherwise


def _host_of(url: str, location: str) -> str:
    try:
        return urlsplit(urljoin(url, location)).hostname or ""
    except ValueError:
        return ""


def explain(wrong: Wrong, evidence: Evidence) -> Finding:
    who = evidence.sender()
    if wrong.code == "redirected":
        host = _host_of(evidence.url, evidence.fields.get("location", ""))
        who = host if re.fullmatch(r"[a-z0-9.:-]{1,253}", host) else "an unnamed host"
    return finding(wrong.code, who=who, status=evidence.status, what=wrong.what)


def names(evidence: Evidence) -> frozenset[str] | None:
    """The ids of a model list, in the shape of any dialect; None if this is no list."""
    value = evidence.value() if evidence.status == 200 else UNREAD
    entries = [*items(member(value, "data")), *items(member(value, "models"))]
    found = frozenset(
        name.removeprefix("models/") for entry in entries if isinstance(name := members(entry).get("id") or members(entry).get("name"), str)
    )
    return found or None


def model_list(evidence: Evidence, model: str) -> str | None:
    """The advisory code of step 0. A list that the network, a proxy or a refusal kept from us says nothing about the endpoint; the next
    step names that."""
    if evidence.fault or evidence.is_html() or evidence.status not in (200, 404, 405, 501):
        return None
    listed = names(evidence)
    if listed is None:
        return "model-list-missing"
    return None if model in listed else "model-not-listed"
