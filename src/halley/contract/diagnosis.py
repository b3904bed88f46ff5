"""Names what evidence shows: stable codes, each with its cause, its fix and its exit code. Pure; no byte of a reply enters a sentence.

Only a product word of `server`/`via` and a redirect's host are quoted. docs/smoke.md has a heading for every code.
"""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

import msgspec

from halley.contract.evidence import UNREAD, Evidence, items, member
from halley.contract.profiles import Case

GO, BROKEN, MISSING, REFUSED, NETWORK, ACCEPTED = 0, 1, 3, 4, 5, 6
PRECEDENCE = (ACCEPTED, BROKEN, REFUSED, NETWORK, MISSING)
VERDICTS = {
    GO: "go",
    BROKEN: "contract_broken",
    MISSING: "evidence_missing",
    REFUSED: "key_refused",
    NETWORK: "network",
    ACCEPTED: "bad_key_accepted",
}


class Finding(msgspec.Struct, frozen=True):
    code: str
    cause: str
    fix: str


# code: (exit, cause, fix); `{who}` is the product that answered or the host redirected to, `{status}` the HTTP status.
TABLE: dict[str, tuple[int, str, str]] = {
    "bad-key-accepted": (
        ACCEPTED,
        "a request without a valid key was answered with {status}",
        "stop the release: the endpoint does not check keys; escalate at once",
    ),
    "content-in-error": (
        BROKEN,
        "a refusal carries generated content",
        "the endpoint generates before it refuses; report it to its operator",
    ),
    "error-shape": (BROKEN, "a refusal has neither an error nor a message field", "compare the error shape with the endpoint's reference"),
    "unexpected-status": (
        BROKEN,
        "the status is {status} where the contract asks for another",
        "read the kept reply and compare it with the reference",
    ),
    "event-stream": (
        BROKEN,
        "an event stream came although stream was false",
        "look for a proxy or a default that turns streaming on; the reply must be application/json",
    ),
    "content-type": (BROKEN, "the body is JSON but its Content-Type does not say so", "the endpoint must send application/json"),
    "error-with-200": (BROKEN, "status 200 with a top-level error field", "the endpoint hides a failure behind 200; read the kept reply"),
    "no-choices": (BROKEN, "the reply has no choices array", "check that the URL is a chat completions endpoint"),
    "empty-choices": (BROKEN, "the choices array is empty", "report it with the model and the kept reply; it breaks every client"),
    "content-missing": (
        BROKEN,
        "choices[0].message.content is absent, null, empty or not a string",
        "try a chat model; if it is one, report it with the kept reply",
    ),
    "request-rejected": (
        BROKEN,
        "the request was rejected with {status}",
        "compare model, messages and stream with the reference; the kept reply may name the field",
    ),
    "model-rejected": (BROKEN, "the model was rejected with {status}", "choose an id from the model list of this key"),
    "wrong-base-url": (
        BROKEN,
        "this URL has no chat completions endpoint ({status})",
        "take the API's base URL, ending in /v1, not that of its website or documentation",
    ),
    "missing-v1": (BROKEN, "the base URL has another version segment than /v1 and the endpoint was not found", "end the base URL in /v1"),
    "doubled-v1": (GO, "the base URL has /v1 twice", "remove one /v1"),
    "key-refused": (
        REFUSED,
        "the given key was refused with {status}",
        "check that the key is active, without blanks or prefix, and meant for this endpoint as a Bearer token",
    ),
    "html-page": (
        NETWORK,
        "{who} answered {status} with an HTML page",
        "a proxy, a login page or a website answered instead of the API; check base URL and network path",
    ),
    "server-error": (NETWORK, "{who} answered {status}", "no verdict on model or key; repeat when the endpoint is up"),
    "redirected": (NETWORK, "{status} redirects to {who}; not followed", "set the base URL to the final address if you trust that host"),
    "proxy-authentication": (NETWORK, "{who} asks for proxy authentication (407)", "configure the proxy or leave it out"),
    "not-json": (
        NETWORK,
        "the body of {who} is not JSON (status {status})",
        "look at the kept reply; something between here and the API may have changed it",
    ),
    "compressed-reply": (
        NETWORK,
        "the body is compressed although identity was asked for",
        "look for a proxy that compresses without being asked",
    ),
    "dns": (NETWORK, "the host name does not resolve", "check the base URL and this machine's resolver"),
    "connection-refused": (NETWORK, "nothing listens on that host and port", "start the server or correct the port"),
    "unreachable": (NETWORK, "the host cannot be reached", "check route, firewall and egress rules"),
    "connect-timeout": (NETWORK, "no connection in time", "check firewall and egress rules"),
    "tls": (
        NETWORK,
        "the TLS handshake failed or the certificate is not trusted",
        "check scheme and certificate; trust a private authority with SSL_CERT_FILE",
    ),
    "timeout": (NETWORK, "no complete reply in time", "raise --timeout or look at the upstream's health"),
    "cut": (NETWORK, "the connection ended before the reply did", "look for a proxy that closes early"),
    "protocol": (NETWORK, "what came back is not HTTP/1.1", "check scheme (http or https) and port"),
    "rate-limited": (MISSING, "the happy path was rate-limited (429)", "wait and run again: the contract could not be seen"),
    "no-credit": (MISSING, "the account has no credit (402)", "add credit and run again: the contract could not be seen"),
    "reply-too-large": (
        MISSING,
        "the reply is over 1 MiB and was not read to its end",
        "look at the kept part; a smoke test's reply is small",
    ),
    "capture-failed": (MISSING, "the reply of a failed check could not be kept", "make HALLEY_HOME writable"),
    "record-failed": (MISSING, "a record could not be written", "check the path and its permissions"),
    "model-list-missing": (GO, "no model list at /models", "check the model id in the endpoint's reference instead"),
    "model-not-listed": (GO, "the model is not in the list of this key", "choose an id from the list"),
    "environment-mismatch": (
        GO,
        "--environment and the host of the base URL do not fit together",
        "correct one of them before the record is taken as proof",
    ),
    "proxy-environment": (
        GO,
        "a proxy is set in the environment; the smoke test connects directly",
        "compare with a client that uses the proxy",
    ),
    "key-blank": (GO, "the key begins or ends with a blank", "remove it: servers may refuse such a key"),
    "key-bearer-prefix": (GO, "the key begins with Bearer, which is sent before every key", "store the key alone"),
    "key-quoted": (GO, "the key stands in quotes", "remove the quotes"),
    "several-keys": (GO, "several key variables hold different keys", "unset all but one"),
    "plain-http": (GO, "the key goes over plain HTTP to another machine", "use https"),
}


def finding(code: str, *, who: str = "", status: int | None = None) -> Finding:
    _, cause, fix = TABLE[code]
    return Finding(code, cause.format(who=who, status=status if status is not None else "no status"), fix)


def exit_code(codes: list[str]) -> int:
    classes = {TABLE[code][0] for code in codes}
    return next((each for each in PRECEDENCE if each in classes), GO)


def failure(case: Case, evidence: Evidence) -> str | None:
    """The code of what is wrong with this attempt, or None if all checks hold. A network fact outranks the checks it makes pointless."""
    accepted = case.credential != "given" and evidence.status is not None and 200 <= evidence.status < 300 and not evidence.is_html()
    if accepted:
        return "bad-key-accepted"
    if evidence.status is None or (evidence.fault and evidence.status == 200):
        return evidence.fault.kind if evidence.fault else "protocol"
    if case.credential == "given" and evidence.status in (401, 403) and not evidence.is_html():
        return "key-refused"
    if evidence.is_html():
        return "html-page"
    if 300 <= evidence.status < 400:
        return "redirected"
    if evidence.status >= 500:
        return "server-error"
    if evidence.status == 407:
        return "proxy-authentication"
    if evidence.fault:
        return evidence.fault.kind
    if evidence.capped:
        return "reply-too-large"
    if case.credential == "given" and 400 <= evidence.status < 500:
        return _rejection(evidence)
    return next((check.code for check in case.checks if not check.holds(evidence)), None)


def _rejection(evidence: Evidence) -> str:
    if evidence.status in (402, 429):
        return "no-credit" if evidence.status == 402 else "rate-limited"
    if evidence.value() is UNREAD:
        return "not-json"
    code = member(member(evidence.value(), "error"), "code")
    if code in ("model_not_found", "invalid_model"):
        return "model-rejected"
    if evidence.status in (404, 405):
        return "missing-v1" if "/v1/" not in evidence.url else "wrong-base-url"
    return "request-rejected"


def explain(code: str, evidence: Evidence) -> Finding:
    who = evidence.sender()
    if code == "redirected":
        host = urlsplit(urljoin(evidence.url, evidence.fields.get("location", ""))).hostname or ""
        who = host if re.fullmatch(r"[a-z0-9.:-]{1,253}", host) else "an unnamed host"
    return finding(code, who=who, status=evidence.status)


def model_list(evidence: Evidence, model: str) -> str | None:
    """The advisory code of step 0. A list that the network kept from us says nothing about the endpoint; the next step names that fault."""
    if evidence.fault:
        return None
    entries = items(member(evidence.value(), "data")) if evidence.status == 200 else []
    if not entries:
        return "model-list-missing"
    return None if any(member(entry, "id") == model for entry in entries) else "model-not-listed"
