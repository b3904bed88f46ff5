"""AWS Signature Version 4, as a function of the request, the credential and the time.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html, read 2026-11. The path is escaped once
more than it is sent, as every service but S3 wants it; no request is presigned and no body is left unsigned.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from urllib.parse import quote, unquote

import msgspec

SERVICE = "bedrock"
ALGORITHM = "AWS4-HMAC-SHA256"
_HOST = re.compile(r"(?:.+\.)?bedrock-runtime(?:-fips)?\.([a-z0-9-]+)\.(?:vpce\.)?amazonaws\.com(?:\.cn)?(?::\d+)?")
_BLANKS = re.compile(r"[ \t\r\n]+")


class Place(msgspec.Struct, frozen=True):
    """Whom the signature is for; it is worth nothing anywhere else."""

    region: str
    service: str


class Identity(msgspec.Struct, frozen=True):
    """A key pair, and the session token of a temporary one. It is made where it is used and not kept."""

    key_id: str
    secret_key: str
    token: str = ""

    @classmethod
    def parse(cls, text: str) -> Identity:
        parts = text.split(":", 2)
        if len(parts) < 2 or not all(parts):
            raise ValueError("an AWS credential is ACCESS_KEY_ID:SECRET_ACCESS_KEY, or the same with :SESSION_TOKEN")
        return cls(*parts)

    def __repr__(self) -> str:
        return "Identity(…)"


def place(host: str) -> Place:
    """Region and service by the host's name. ValueError for a host that is not Bedrock's."""
    found = _HOST.fullmatch(host)
    if found is None:
        raise ValueError("the host of an AWS request is bedrock-runtime.REGION.amazonaws.com, or its region has to be named")
    return Place(found.group(1), SERVICE)


def sign(
    identity: Identity, place: Place, method: str, host: str, path: str, fields: Iterable[tuple[str, str]], body: bytes, now: float
) -> list[tuple[str, str]]:
    """The fields to add. All of `fields` are signed, so none may be changed afterwards; `now` is Unix time."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    added = [("x-amz-date", stamp)]
    if identity.token:
        added.append(("x-amz-security-token", identity.token))
    canonical, names = canonical_request(method, path, [("host", host), *fields, *added], body)
    scope = f"{stamp[:8]}/{place.region}/{place.service}/aws4_request"
    to_sign = string_to_sign(stamp, scope, canonical)
    signature = hmac.digest(_signing_key(identity.secret_key, stamp[:8], place), to_sign.encode(), "sha256").hex()
    value = f"{ALGORITHM} Credential={identity.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return [*added, ("authorization", value)]


def canonical_request(method: str, path: str, fields: Sequence[tuple[str, str]], body: bytes) -> tuple[str, str]:
    """The request in the one spelling that both sides hash, and the names of its fields."""
    target, _, query = path.partition("?")
    folded: dict[str, list[str]] = {}
    for name, value in fields:
        folded.setdefault(name.lower(), []).append(_BLANKS.sub(" ", value.strip()))
    lines = [f"{name}:{','.join(folded[name])}\n" for name in sorted(folded)]
    names = ";".join(sorted(folded))
    digest = hashlib.sha256(body).hexdigest()
    return "\n".join((method, canonical_path(target), canonical_query(query), "".join(lines), names, digest)), names


def string_to_sign(stamp: str, scope: str, canonical: str) -> str:
    return "\n".join((ALGORITHM, stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()))


def canonical_path(path: str) -> str:
    """Without empty, `.` and `..` segments (RFC 3986, 5.2.4), every other byte escaped."""
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(quote(segment, safe="-_.~"))
    closing = "/" if kept and segments[-1] in ("", ".", "..") else ""
    return "/" + "/".join(kept) + closing


def canonical_query(query: str) -> str:
    pairs = (part.partition("=") for part in query.split("&") if part)
    escaped = sorted((quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~")) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in escaped)


def _signing_key(secret_key: str, day: str, place: Place) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in (day, place.region, place.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
