"""The table of findings: stable codes, each with its exit code, its cause and its fix. docs/smoke.md has a heading for every one.

In a cause `{who}` is the product that answered or the host redirected to, `{status}` the HTTP status, `{what}` a word of our own.
No byte of a reply enters a sentence beside those.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

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
    "error-shape": (
        BROKEN,
        "a refusal has neither an error nor a message field at its top level",
        "compare the error shape with the endpoint's reference",
    ),
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
        "{what} is absent, null, empty or not a string",
        "try a chat model; if it is one, report it with the kept reply",
    ),
    "reply-shape": (BROKEN, "{what} is absent or of another type in the reply", "compare the reply's fields with the endpoint's reference"),
    "unreviewed-fallback": (
        BROKEN,
        "{what} than was asked for answered",
        "this is no proof for what was asked: turn the fallback off or ask for what answered, then run again",
    ),
    "several-attempts": (
        MISSING,
        "the gateway says that it took more than one attempt or a fallback to answer",
        "look at the first attempt in the gateway's log before this counts as a pass",
    ),
    "tool-call-missing": (
        BROKEN,
        "the named tool was not called",
        "if this model has no tools, leave the contract out: --without chat-tools; else report it with the kept reply",
    ),
    "tool-arguments": (
        BROKEN,
        "the arguments of the tool call are not a JSON object in a string",
        "report it with the model; every agent reads them",
    ),
    "not-structured": (
        BROKEN,
        "the content does not keep to the JSON schema that was sent",
        "if this model has no structured output, leave the contract out: --without chat-structured",
    ),
    "stream-missing": (
        BROKEN,
        "one JSON document came although a stream was asked for",
        "look for a proxy that buffers, or a model that cannot stream",
    ),
    "stream-type": (
        BROKEN,
        "the Content-Type of a stream is not text/event-stream",
        "the endpoint must send text/event-stream; clients look at it",
    ),
    "stream-frame": (BROKEN, "an event of the stream is not JSON", "look for something between here and the API that changes the stream"),
    "stream-order": (
        BROKEN,
        "the events of the stream are out of order: {what}",
        "report it with the kept reply; clients lose or repeat text",
    ),
    "stream-finish": (BROKEN, "the stream has {what}", "report it; clients wait for exactly one"),
    "stream-end": (BROKEN, "the stream ends without {what}", "look for a proxy that closes early; clients take this for a broken answer"),
    "stream-empty": (BROKEN, "the stream carries no text", "try another model; if it is one for chat, report it with the kept reply"),
    "stream-usage": (BROKEN, "the stream carries no usage", "usage was asked for; without it nothing can be accounted"),
    "stream-event-names": (
        BROKEN,
        "an event's name and its type differ or the name is missing",
        "SDKs choose by the name: send `event: TYPE` before each data line",
    ),
    "media-type": (BROKEN, "the body's Content-Type is not of {what}", "compare with the reference; the kept reply says what came instead"),
    "retry-after-missing": (BROKEN, "a 429 says no Retry-After", "the endpoint must say how long to wait; clients guess otherwise"),
    "retry-after-shape": (
        BROKEN,
        "a 429's Retry-After is neither whole seconds nor a date",
        "the endpoint must send seconds or a date in GMT; clients ignore anything else and retry at once",
    ),
    "parameter-rejected": (
        BROKEN,
        "this endpoint rejects the parameter `{what}` ({status})",
        "leave it out for this endpoint or model, or compare its value with the reference",
    ),
    "surface-missing": (BROKEN, "{what} is not served here ({status})", "leave the contract out if the endpoint does not promise it"),
    "contract-drift": (
        BROKEN,
        "differs from the baseline: {what}",
        "compare with the reference; if the change is meant, write a new baseline",
    ),
    "contract-grew": (GO, "new since the baseline: {what}", "nothing to do; write a new baseline to take it in"),
    "header-name": (
        REFUSED,
        "this endpoint takes the key in the header {what}, not behind the word Bearer",
        "it is not OpenAI-compatible in this; set the header in your client or ask its operator",
    ),
    "key-permission": (
        REFUSED,
        "the key may list models but was refused here with {status}",
        "the key is real: look at its permissions, project, model and IP limits",
    ),
    "key-refused-here": (
        REFUSED,
        "the key that the first contract passed with was refused here with {status} (it was sent in {what})",
        "the key is real: look whether this surface wants another header or permission, or a gateway drops the header on the way",
    ),
    "surface-fails": (
        NETWORK,
        "this surface fails with {status}, but the first contract passed at the same base URL",
        "the endpoint is up: look for this path in its log; leave the contract out if the endpoint does not promise it",
    ),
    "website": (
        NETWORK,
        "a website answered {status}: this is not the address of an API",
        "take the API's base URL (often api.HOST/v1), not that of its website or documentation",
    ),
    "proxy-error": (
        NETWORK,
        "{who} answered {status} without a JSON body: a proxy or load balancer in front of the API",
        "no verdict on model or key; look at that proxy and at the API behind it",
    ),
    "empty-body": (
        NETWORK,
        "the body of {who} is empty (status {status})",
        "something between here and the API swallowed it; look at the proxies",
    ),
    "http-to-tls": (NETWORK, "the port speaks TLS but the base URL says http", "write https:// in the base URL"),
    "tls-to-http": (
        NETWORK,
        "the port does not speak TLS but the base URL says https",
        "write http:// in the base URL, or repair TLS on the server",
    ),
    "stream-error": (NETWORK, "the stream ended with an error event", "no verdict on model or key; repeat when the endpoint is up"),
    "evidence-gap": (MISSING, "{what} could not be checked", "mend what the reason says and run again; nothing is guessed"),
    "task-failed": (
        MISSING,
        "the task ended as failed",
        "the contract of its result could not be seen; look at the task's error with its operator",
    ),
    "task-unfinished": (MISSING, "the task was not done in time", "raise --task-timeout or ask for the task later"),
    "request-rejected": (
        BROKEN,
        "the request was rejected with {status}{what}",
        "compare the fields sent with the reference; --bisect finds the one that is refused",
    ),
    "model-rejected": (
        BROKEN,
        "the model is not active for this key ({status})",
        "choose an id from the model list of this key (GET /models), or leave --model out",
    ),
    "wrong-base-url": (
        BROKEN,
        "there is no such endpoint at this base URL ({status}){what}",
        "take the API's base URL, ending in /v1, not that of its website or documentation",
    ),
    "missing-v1": (
        BROKEN,
        "there is no such endpoint at this base URL ({status}), but an API answers at {what} of this host",
        "put {what} behind the host in the base URL",
    ),
    "doubled-v1": (GO, "the base URL has /v1 twice", "remove one /v1"),
    "key-refused": (
        REFUSED,
        "the given key was refused with {status}",
        "check that the key is active, meant for this endpoint, allowed from this address, and without blanks or a prefix",
    ),
    "html-page": (
        NETWORK,
        "{who} answered {status} with an HTML page",
        "a proxy, a login page or a website answered instead of the API; check base URL and network path",
    ),
    "server-error": (NETWORK, "{who} answered {status}", "no verdict on model or key; repeat when the endpoint is up"),
    "redirected": (NETWORK, "{status} redirects to {who}; not followed", "set the base URL to the final address if you trust that host"),
    "proxy-authentication": (
        NETWORK,
        "a proxy asks for authentication (407)",
        "put user and password into the proxy's address in HTTPS_PROXY or HTTP_PROXY, or leave the proxy out",
    ),
    "proxy-unreachable": (
        NETWORK,
        "the proxy that the environment names cannot be reached{what}",
        "correct HTTPS_PROXY or HTTP_PROXY, or put this endpoint's host into NO_PROXY",
    ),
    "proxy-refused": (
        NETWORK,
        "the proxy did not connect to the host{what}",
        "ask whoever runs that proxy to allow the host, or put it into NO_PROXY",
    ),
    "proxy-unsupported": (
        MISSING,
        "the environment names a proxy that the tester cannot use{what}",
        "name one that begins with http://, or put this endpoint's host into NO_PROXY",
    ),
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
        "the TLS handshake failed{what}",
        "check scheme and certificate; trust a private authority with SSL_CERT_FILE",
    ),
    "timeout": (NETWORK, "no complete reply in time", "raise --timeout or look at the upstream's health"),
    "cut": (NETWORK, "the connection ended before the reply did", "look for a proxy that closes early"),
    "misframed": (
        NETWORK,
        "the reply is not valid HTTP/1.1{what}",
        "look at the kept reply; the server, or a proxy before it, frames its replies wrongly, and clients differ in what they make of it",
    ),
    "protocol": (NETWORK, "what came back is not HTTP/1.1", "check scheme (http or https) and port"),
    "rate-limited": (
        MISSING,
        "the happy path was rate-limited (429)",
        "wait and run again, with --parallel 1 if the key may ask for little at once: the contract could not be seen",
    ),
    "no-credit": (MISSING, "the account has no credit (402)", "add credit and run again: the contract could not be seen"),
    "reply-too-large": (
        MISSING,
        "the reply is larger than the tester reads, and was not read to its end",
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
    "proxy-used": (
        GO,
        "requests went through the proxy {what}",
        "if this endpoint is to be reached directly, put its host into NO_PROXY",
    ),
    "key-blank": (GO, "the key begins or ends with a blank", "remove it: servers may refuse such a key"),
    "key-bearer-prefix": (GO, "the key begins with Bearer, which is sent before every key", "store the key alone"),
    "key-quoted": (GO, "the key stands in quotes", "remove the quotes"),
    "several-keys": (GO, "several key variables hold different keys", "unset all but one"),
    "plain-http": (GO, "the key goes over plain HTTP to another machine", "use https"),
}


def finding(code: str, *, who: str = "", status: int | None = None, what: str = "") -> Finding:
    _, cause, fix = TABLE[code]
    told = {"who": who, "status": status if status is not None else "no status", "what": what}
    return Finding(code, cause.format(**told), fix.format(**told))


def worst(classes: Iterable[int]) -> int:
    """Of exit codes, the one that a run ends with."""
    found = set(classes)
    return next((each for each in PRECEDENCE if each in found), GO)


def exit_code(codes: Iterable[str]) -> int:
    return worst(TABLE[code][0] for code in codes)
