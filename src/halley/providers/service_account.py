"""Google service accounts: the signed assertion by which an access token is asked for, and the answer (RFC 7523; Google's OAuth 2.0).

Source: https://developers.google.com/identity/protocols/oauth2/service-account, read 2026-11. Pure: the request is a value that somebody
else sends, and the time is an argument. A ValueError never repeats what it was given.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from urllib.parse import quote, urlsplit

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from halley.providers.auth import Outgoing
from halley.secret import Secret

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
LIFETIME_S = 3600
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LONGEST_S = 86400
_LOOPBACK = ("127.0.0.1", "::1")
_NOT_A_KEY = "the credential must be the JSON text of a Google service account's key, with client_email and private_key"


class _KeyFile(msgspec.Struct):
    client_email: str
    private_key: str
    private_key_id: str = ""
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: int
    token_type: str = "Bearer"  # noqa: S105 - a kind


class Token(msgspec.Struct, frozen=True):
    """An access token, and for how many seconds it holds."""

    secret: Secret
    lifetime_s: int


class ServiceAccount:
    """One account, with its key ready to sign; nothing of the key can be printed."""

    __slots__ = ("_key", "_key_id", "email", "token_uri")

    def __init__(self, email: str, key: rsa.RSAPrivateKey, key_id: str, token_uri: str) -> None:
        self.email = email
        self.token_uri = token_uri
        self._key = key
        self._key_id = key_id

    @classmethod
    def read(cls, secret: Secret) -> ServiceAccount:
        """From the text of a key file. Raises ValueError."""
        try:
            written = msgspec.json.decode(secret.reveal(), type=_KeyFile)
            key = serialization.load_pem_private_key(written.private_key.encode(), None)
        except (msgspec.DecodeError, ValueError, TypeError, UnsupportedAlgorithm):
            raise ValueError(_NOT_A_KEY) from None
        if not isinstance(key, rsa.RSAPrivateKey) or not written.client_email:
            raise ValueError(_NOT_A_KEY)
        uri = urlsplit(written.token_uri)
        safe = uri.scheme == "https" or (uri.scheme == "http" and uri.hostname in _LOOPBACK)
        if not safe or not uri.hostname or uri.username is not None or not written.token_uri.isprintable():
            raise ValueError("the token_uri of a service account's key must begin with https://")
        return cls(written.client_email, key, written.private_key_id, written.token_uri)

    def assertion(self, now: float) -> str:
        """What the account says of itself, signed; good for `LIFETIME_S` seconds from `now`, which is Unix time."""
        head = {"alg": "RS256", "typ": "JWT", **({"kid": self._key_id} if self._key_id else {})}
        issued = int(now)
        claims = {"iss": self.email, "scope": SCOPE, "aud": self.token_uri, "iat": issued, "exp": issued + LIFETIME_S}
        signed = b".".join((_encoded(msgspec.json.encode(head)), _encoded(msgspec.json.encode(claims))))
        signature = self._key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
        return b".".join((signed, _encoded(signature))).decode("ascii")

    def request(self, now: float) -> Outgoing:
        """What to send to the host of `token_uri` for an access token."""
        uri = urlsplit(self.token_uri)
        body = f"grant_type={quote(_GRANT, safe='')}&assertion={self.assertion(now)}".encode("ascii")
        fields = (("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json"))
        return Outgoing("POST", uri.netloc, uri.path or "/", fields, body)


def read_token(body: bytes) -> Token:
    """The answer to `ServiceAccount.request`. Raises ValueError for anything that is no token to use."""
    try:
        granted = msgspec.json.decode(body, type=_Granted)
    except msgspec.DecodeError:
        raise ValueError("the token endpoint's answer holds no access token") from None
    text = granted.access_token
    if granted.token_type.lower() != "bearer" or not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("the token endpoint's answer holds no access token that can be used")
    if not 0 < granted.expires_in <= _LONGEST_S:
        raise ValueError("the token endpoint's answer holds a token of an impossible lifetime")
    return Token(Secret(text), granted.expires_in)


def _encoded(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")
