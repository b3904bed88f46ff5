"""How a credential travels to a provider."""

from __future__ import annotations

import pytest

from halley.providers.auth import SCHEMES, SIGNERS, Outgoing
from halley.secret import Secret

REQUEST = Outgoing("POST", "bedrock-runtime.us-east-1.amazonaws.com", "/model/m/invoke?x=1", (("content-type", "application/json"),), b"{}")
KEY = Secret("sk-x")


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("bearer", b"authorization: Bearer sk-x\r\n"),
        ("x-api-key", b"x-api-key: sk-x\r\nanthropic-version: 2023-06-01\r\n"),
        ("x-goog-api-key", b"x-goog-api-key: sk-x\r\n"),
        ("api-key", b"api-key: sk-x\r\n"),
    ],
)
def test_a_key_in_a_header_is_the_same_for_every_request(name: str, lines: bytes) -> None:
    assert SCHEMES[name](KEY) == lines
    signed = SIGNERS[name](KEY, REQUEST, 0.0)
    assert (signed.path, signed.lines) == (REQUEST.path, lines)


def test_without_a_key_nothing_is_sent() -> None:
    assert all(scheme(Secret("")) == b"" for scheme in SCHEMES.values())
    assert all(SIGNERS[name](Secret(""), REQUEST, 0.0).lines == b"" for name in (*SCHEMES, "query", "google-service-account"))
    assert SIGNERS["query"](Secret(""), REQUEST, 0.0).path == REQUEST.path


def test_a_version_that_the_request_has_already_is_followed() -> None:
    request = Outgoing("POST", "a.test", "/v1/messages", (("anthropic-version", "2024-01-01"),))
    assert SIGNERS["x-api-key"](KEY, request, 0.0).lines == b"x-api-key: sk-x\r\n"


def test_a_key_in_the_query_is_escaped() -> None:
    signed = SIGNERS["query"](Secret("a&b=c/d"), REQUEST, 0.0)
    assert (signed.path, signed.lines) == ("/model/m/invoke?x=1&key=a%26b%3Dc%2Fd", b"")
    assert SIGNERS["query"](KEY, Outgoing("GET", "a.test", "/v1"), 0.0).path == "/v1?key=sk-x"


def test_a_signature_is_made_of_the_request_and_the_time() -> None:
    secret = Secret("AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY:token")
    signed = SIGNERS["aws-sigv4"](secret, REQUEST, 1_440_938_160.0)
    names = [line.split(b":")[0] for line in signed.lines.split(b"\r\n")]
    assert names == [b"x-amz-date", b"x-amz-security-token", b"authorization", b""]
    assert b"SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=" in signed.lines
    assert b"wJalr" not in signed.lines
    assert signed != SIGNERS["aws-sigv4"](secret, REQUEST, 1_440_938_161.0)


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\0b", "ключ", "a\x7fb"])
def test_a_key_that_would_become_another_line_is_refused_without_showing_it(value: str) -> None:
    for scheme in SCHEMES.values():
        with pytest.raises(ValueError, match="holds a character") as refused:
            scheme(Secret(value))
        assert value not in str(refused.value)
