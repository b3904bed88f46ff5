"""Who may call the simulator as a cloud: one key pair of AWS, one service account of Google. Both are public and worth nothing elsewhere.

Signatures are checked here from the documents of both clouds, with none of the code that makes them: AWS Signature Version 4
(docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html) and RFC 7515, 7523, 8017 (read 2026-11).
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import time
from base64 import urlsafe_b64decode
from urllib.parse import parse_qs, quote

import msgspec

from halley.simulator.http import Request

AWS_KEY_ID = "SIMULATEDKEYID000000"
AWS_SECRET = "simulated/secret/of/nobody+0000000000000"  # noqa: S105 - of the simulator
GOOGLE_EMAIL = "halley@simulated-project.iam.gserviceaccount.com"
SKEW_S = 300
TOKEN_S = 3600
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# The public half of the service account's key: modulus and exponent.
_MODULUS = int(
    "a46a97aafa6288c6915c5e1fd3e9023f9b240441f508d3fe3bf1ea91ae900010c237309d6e4acfc1dcb3c552a6ae0cc1"
    "0f6d4a94ccdb350d56f9e8fa8993f17d6a341213f48840b82dba05de3a818339f81fa978886e3c94d5d25e9ee628fbf3"
    "bf7f3fb7a49b3f60883a6e12b07e056d711a9d84c349ea755b0cc23cdae1032938012b9b7e68e1cf3494622ad132d5d6"
    "27a361f8c08a36670de80b4325a7a58c6b1fe0d6e391b5e3a2c8fbbe457211e618a41b09f24ce51f144172833b9afd48"
    "64f72fb066eadd85f9dfcbff163e74a4dd7188d3f9dda7e480379880fff079ad6112a939223f540bb20644f100e934b9"
    "51c931e3390c689f316d196aea22bb2b",
    16,
)
_EXPONENT = 65537
# DER of the algorithm's name before a SHA-256 digest (RFC 8017, 9.2, note 1).
_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def unsigned(request: Request, now: float) -> str | None:
    """Why a request is not signed as AWS wants it; None if it is."""
    kind, _, rest = request.fields.get(b"authorization", b"").decode("latin-1").partition(" ")
    if kind != "AWS4-HMAC-SHA256":
        return "Missing Authentication Token"
    said: dict[str, str] = {}
    for part in rest.split(","):
        name, _, value = part.strip().partition("=")
        said[name] = value
    identity, _, scope = said.get("Credential", "").partition("/")
    day, region, service, end = (scope.split("/") + [""] * 4)[:4]
    stamp = request.fields.get(b"x-amz-date", b"").decode("latin-1")
    names = said.get("SignedHeaders", "").split(";")
    if identity != AWS_KEY_ID:
        return "The security token included in the request is invalid."
    if (service, end) != ("bedrock", "aws4_request") or not region or not stamp.startswith(day) or not {"host", "x-amz-date"} <= set(names):
        return "Credential should be scoped to a valid region and service, and host and date be signed."
    try:
        moment = time.mktime(time.strptime(stamp, "%Y%m%dT%H%M%SZ")) - time.timezone
    except ValueError:
        return "The date of the signature cannot be read."
    if abs(moment - now) > SKEW_S:
        return "Signature expired."
    path, _, query = request.target.decode("latin-1").partition("?")
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, values in parse_qs(query).items() for value in values)
    headers = "".join(f"{name}:{' '.join(request.fields.get(name.encode(), b'').decode('latin-1').split())}\n" for name in names)
    canonical = "\n".join(
        (
            request.method,
            "/".join(quote(part, safe="-_.~") for part in path.split("/")),
            "&".join(f"{name}={value}" for name, value in pairs),
            headers,
            ";".join(names),
            hashlib.sha256(request.body).hexdigest(),
        )
    )
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{AWS_SECRET}".encode()
    for part in (day, region, service, end):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    wanted = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(wanted, said.get("Signature", "")):
        return "The request signature we calculated does not match the signature you provided."
    return None


class _Head(msgspec.Struct):
    alg: str


class _Claims(msgspec.Struct):
    iss: str
    aud: str
    scope: str
    iat: int
    exp: int


class Grants:
    """The access tokens that were given to the service account, and until when each is good (Unix seconds)."""

    def __init__(self) -> None:
        self._good_until: dict[str, float] = {}

    def exchange(self, request: Request, address: str, now: float) -> tuple[int, bytes]:
        """Status and body of the answer to a token request that came to `address`."""
        form = parse_qs(request.body.decode("latin-1"))
        proof = "".join(form.get("assertion", ()))
        wrong = _unproved(proof, address, now) if _GRANT in form.get("grant_type", ()) else "the grant is of another kind"
        if wrong:
            return 400, msgspec.json.encode({"error": "invalid_grant", "error_description": wrong})
        token = f"ya29.simulated-{len(self._good_until)}-{int(now * 1000):x}"
        self._good_until[token] = now + TOKEN_S
        return 200, msgspec.json.encode({"access_token": token, "expires_in": TOKEN_S, "token_type": "Bearer"})

    def unknown(self, request: Request, now: float) -> str | None:
        """Why a request's token is not good; None if it is."""
        kind, _, token = request.fields.get(b"authorization", b"").decode("latin-1").partition(" ")
        if kind != "Bearer" or self._good_until.get(token, 0.0) <= now:
            return "Request had invalid authentication credentials. Expected OAuth 2 access token."
        return None


def _unproved(assertion: str, address: str, now: float) -> str:
    """What is wrong with an assertion; empty for nothing."""
    try:
        head, claims, signature = assertion.split(".")
        said = msgspec.json.decode(_decoded(claims), type=_Claims)
        algorithm = msgspec.json.decode(_decoded(head), type=_Head).alg
        number = pow(int.from_bytes(_decoded(signature), "big"), _EXPONENT, _MODULUS)
    except (ValueError, binascii.Error, msgspec.DecodeError, TypeError):
        return "the assertion is no signed token"
    size = (_MODULUS.bit_length() + 7) // 8
    digest = _DIGEST_INFO + hashlib.sha256(f"{head}.{claims}".encode()).digest()
    if number.to_bytes(size, "big") != b"\0\1" + b"\xff" * (size - len(digest) - 3) + b"\0" + digest:
        return "the signature of the assertion is wrong"
    if (algorithm, said.iss, said.aud, said.scope) != ("RS256", GOOGLE_EMAIL, address, _SCOPE):
        return "the assertion is for somebody else"
    if not said.iat - SKEW_S <= now < said.exp <= said.iat + 3600:
        return "the assertion is not of this hour"
    return ""


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
