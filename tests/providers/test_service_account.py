"""What a Google service account says to have a token, checked by its public key."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from halley.providers.service_account import ServiceAccount, Token, read_token
from halley.secret import Secret

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NOW = 1_700_000_000.7


def pem(key: PrivateKeyTypes) -> str:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def key_file(**changes: object) -> Secret:
    written = {"type": "service_account", "client_email": "h@p.test", "private_key": pem(KEY), "private_key_id": "k1"}
    return Secret(json.dumps(written | changes))


def decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_an_assertion_is_signed_by_the_accounts_key_and_says_for_whom_and_how_long() -> None:
    head, claims, signature = ServiceAccount.read(key_file()).assertion(NOW).split(".")
    KEY.public_key().verify(decoded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
    assert json.loads(decoded(head)) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    assert json.loads(decoded(claims)) == {
        "iss": "h@p.test",
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": "https://oauth2.googleapis.com/token",
        "iat": 1_700_000_000,
        "exp": 1_700_003_600,
    }


def test_the_request_for_a_token_is_a_form() -> None:
    account = ServiceAccount.read(key_file(token_uri="https://tokens.test:8443/t"))
    request = account.request(NOW)
    assert (request.method, request.host, request.path) == ("POST", "tokens.test:8443", "/t")
    assert request.fields[0] == ("content-type", "application/x-www-form-urlencoded")
    form = parse_qs(request.body.decode(), strict_parsing=True)
    assert form == {"grant_type": ["urn:ietf:params:oauth:grant-type:jwt-bearer"], "assertion": [account.assertion(NOW)]}


@pytest.mark.parametrize(
    "secret",
    [
        Secret("canary"),
        Secret("[]"),
        key_file(private_key="canary"),
        key_file(client_email=""),
        key_file(private_key=None),
        key_file(private_key=pem(ec.generate_private_key(ec.SECP256R1()))),
        key_file(token_uri="http://canary.test/t"),
        key_file(token_uri="https://canary@tokens.test/t"),
        key_file(token_uri="https:///canary"),
    ],
)
def test_what_is_no_such_key_is_refused_without_showing_it(secret: Secret) -> None:
    with pytest.raises(ValueError, match="service account") as refused:
        ServiceAccount.read(secret)
    assert "canary" not in str(refused.value) and "PRIVATE" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_token_and_its_lifetime_are_read() -> None:
    assert read_token(b'{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}') == Token(Secret("ya29.x"), 3599)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"error":"canary"}',
        b'{"access_token":"","expires_in":3599}',
        b'{"access_token":"canary\\r\\nx: y","expires_in":3599}',
        b'{"access_token":"canary","expires_in":0}',
        b'{"access_token":"canary","expires_in":1e9}',
        b'{"access_token":"canary","expires_in":"soon"}',
        b'{"access_token":"canary","expires_in":60,"token_type":"mac"}',
        b"\xff",
    ],
)
def test_an_answer_without_a_token_to_use_is_refused_without_showing_it(body: bytes) -> None:
    with pytest.raises(ValueError, match="token endpoint") as refused:
        read_token(body)
    assert "canary" not in str(refused.value)
