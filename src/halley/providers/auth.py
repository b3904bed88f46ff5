"""How an upstream wants its credential: one function per scheme. The only place that writes an upstream secret.

Pure: the secret, the request and the time are arguments. `SCHEMES` holds those whose lines are the same for every request, so that a relay
writes them once per host; `SIGNERS` holds all of them, for a request as a value. A `ValueError` never repeats a secret.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import msgspec

from halley.providers import sigv4
from halley.secret import Secret

ANTHROPIC_VERSION = "2023-06-01"


class Outgoing(msgspec.Struct, frozen=True):
    """A request before it has a credential. `path` is the target with its query; `fields` are names in lower case and their values;
    `region` is where the host is, if its name does not say so."""

    method: str
    host: str
    path: str
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    region: str = ""

    def has(self, name: str) -> bool:
        return any(name == each for each, _ in self.fields)


class Signed(msgspec.Struct, frozen=True):
    """What the credential adds: header lines, each with its line end, and the path to use from now on."""

    path: str
    lines: bytes


Scheme = Callable[[Secret], bytes]
Signer = Callable[[Secret, Outgoing, float], Signed]


def bearer(api_key: Secret) -> bytes:
    return _line("authorization", f"Bearer {api_key.reveal()}") if api_key else b""


def x_api_key(api_key: Secret) -> bytes:
    """With the version that Anthropic's API demands beside it."""
    return _line("x-api-key", api_key.reveal()) + _line("anthropic-version", ANTHROPIC_VERSION) if api_key else b""


def x_goog_api_key(api_key: Secret) -> bytes:
    return _line("x-goog-api-key", api_key.reveal()) if api_key else b""


def azure_api_key(api_key: Secret) -> bytes:
    return _line("api-key", api_key.reveal()) if api_key else b""


SCHEMES: dict[str, Scheme] = {
    "bearer": bearer,
    "x-api-key": x_api_key,
    "x-goog-api-key": x_goog_api_key,
    "api-key": azure_api_key,
}


def _same_for_all(scheme: Scheme) -> Signer:
    return lambda secret, request, now: Signed(request.path, scheme(secret))


def _anthropic(secret: Secret, request: Outgoing, now: float) -> Signed:
    """The version that the request names already is followed."""
    lines = x_api_key(secret)
    if request.has("anthropic-version"):
        lines = _line("x-api-key", secret.reveal()) if secret else b""
    return Signed(request.path, lines)


def _query(secret: Secret, request: Outgoing, now: float) -> Signed:
    """For hosts that know no header. The key stands in a place that others log: the last choice."""
    if not secret:
        return Signed(request.path, b"")
    return Signed(f"{request.path}{'&' if '?' in request.path else '?'}key={quote(secret.reveal(), safe='')}", b"")


def _aws(secret: Secret, request: Outgoing, now: float) -> Signed:
    """The secret is ACCESS_KEY_ID:SECRET_ACCESS_KEY or the same with :SESSION_TOKEN. ValueError for anything else, or for a foreign host
    of which no region is known."""
    place = sigv4.Place(request.region, sigv4.SERVICE) if request.region else sigv4.place(request.host)
    fields = sigv4.sign(
        sigv4.Identity.parse(secret.reveal()), place, request.method, request.host, request.path, request.fields, request.body, now
    )
    return Signed(request.path, b"".join(_line(name, value) for name, value in fields))


SIGNERS: dict[str, Signer] = {
    **{name: _same_for_all(scheme) for name, scheme in SCHEMES.items()},
    "x-api-key": _anthropic,
    "query": _query,
    "aws-sigv4": _aws,
    # The secret is the access token of the moment: `providers.service_account` says how one is asked for, `net.tokens` keeps it.
    "google-service-account": _same_for_all(bearer),
}


def _line(name: str, value: str) -> bytes:
    """One header line. ValueError if the value could become more than one."""
    if not value.isascii() or not value.isprintable():
        raise ValueError(f"the credential for {name} holds a character that no header may hold")
    return f"{name}: {value}\r\n".encode("ascii")
