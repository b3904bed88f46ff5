"""AWS Signature Version 4, held against the cases of the test suite that AWS publishes and the examples of its documentation."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley.providers.sigv4 import Identity, Place, canonical_path, canonical_request, place, sign

SUITE = Identity("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGd"
    "QrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz"
    "+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
NOW = datetime(2015, 8, 30, 12, 36, tzinfo=UTC).timestamp()
FORM = ("content-type", "application/x-www-form-urlencoded")

# Name in the suite: method, path, fields, body, session token, signature.
VECTORS = {
    "get-vanilla": ("GET", "/", [], b"", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "get-vanilla-query-order-key-case": (
        "GET", "/?Param2=value2&Param1=value1", [], b"", "", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-header-key-duplicate": (
        "GET", "/", [("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1")], b"", "",
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    "get-header-value-trim": (
        "GET", "/", [("My-Header1", " value1"), ("My-Header2", ' "a   b   c"')], b"", "",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "post-header-key-sort": (
        "POST", "/", [("My-Header1", "value1")], b"", "", "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
    ),
    "post-x-www-form-urlencoded": (
        "POST", "/", [FORM], b"Param1=value1", "", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
    "post-sts-header-before": ("POST", "/", [], b"", TOKEN, "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"),
}  # fmt: skip


@pytest.mark.parametrize("name", VECTORS)
def test_a_published_case_has_its_signature(name: str) -> None:
    method, path, fields, body, token, signature = VECTORS[name]
    identity = Identity(SUITE.key_id, SUITE.secret_key, token)
    added = dict(sign(identity, Place("us-east-1", "service"), method, "example.amazonaws.com", path, fields, body, NOW))
    assert added["x-amz-date"] == "20150830T123600Z"
    assert added.get("x-amz-security-token", "") == token
    names = ";".join(sorted({"host", "x-amz-date", *(field.lower() for field, _ in fields), *(["x-amz-security-token"] if token else [])}))
    credential = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
    assert added["authorization"] == f"{credential}, SignedHeaders={names}, Signature={signature}"


def test_the_example_of_the_documentation_has_its_signature() -> None:
    path = "/?Action=ListUsers&Version=2010-05-08"
    fields = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")]
    added = dict(sign(SUITE, Place("us-east-1", "iam"), "GET", "iam.amazonaws.com", path, fields, b"", NOW))
    assert added["authorization"].endswith("Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7")


@pytest.mark.parametrize(
    ("path", "digest"),
    [
        ("/?Param2=value2&Param1=value1", "816cd5b414d056048ba4f7c5386d6e0533120fb1fcfa93762cf0fc39e2cf19e0"),
        ("/", "bb579772317eb040ac9ed261061d46c1f17a8133879d6129b6e1c25292927e63"),
        ("/ሴ", "2a0a97d02205e45ce2e994789806b19270cfbbb0921b278ccf58f5249ac42102"),
    ],
)
def test_a_canonical_request_has_the_published_digest(path: str, digest: str) -> None:
    fields = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")]
    canonical, _ = canonical_request("GET", path, fields, b"")
    assert hashlib.sha256(canonical.encode()).hexdigest() == digest


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("/example space/", "/example%20space/"),
        ("//example//", "/example/"),
        ("/./example", "/example"),
        ("/example/..", "/"),
        ("/example1/example2/../..", "/"),
        ("//", "/"),
        ("/./", "/"),
        ("/-._~0123456789ABCxyz", "/-._~0123456789ABCxyz"),
        ("/model/anthropic.claude%3A0/invoke", "/model/anthropic.claude%253A0/invoke"),
    ],
)
def test_a_path_is_normalised_and_escaped_once_more_than_it_is_sent(path: str, canonical: str) -> None:
    assert canonical_path(path) == canonical


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("bedrock-runtime.us-east-1.amazonaws.com", "us-east-1"),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("bedrock-runtime.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("vpce-0123-abcd.bedrock-runtime.eu-west-3.vpce.amazonaws.com", "eu-west-3"),
    ],
)
def test_the_region_stands_in_the_host(host: str, region: str) -> None:
    assert place(host) == Place(region, "bedrock")


@pytest.mark.parametrize("host", ["example.test", "s3.us-east-1.amazonaws.com", "bedrock-runtime.us-east-1.amazonaws.com.evil.test"])
def test_nothing_is_signed_for_another_host(host: str) -> None:
    with pytest.raises(ValueError, match=r"bedrock-runtime\.REGION"):
        place(host)


@pytest.mark.parametrize("text", ["", "only-one", ":secret", "id:", "id:secret:"])
def test_half_a_credential_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match="ACCESS_KEY_ID:SECRET_ACCESS_KEY") as refused:
        Identity.parse(text)
    assert not text or text not in str(refused.value)


def test_a_credential_does_not_print() -> None:
    assert "secret" not in repr(Identity.parse("id:secret:token:with:colons")) and Identity.parse("id:s:t:u").token == "t:u"


@given(st.binary(max_size=64), st.text(st.characters(codec="ascii", exclude_categories=("Cc",)), max_size=30))
def test_every_part_of_a_request_changes_its_signature(body: bytes, path: str) -> None:
    where = Place("us-east-1", "bedrock")

    def signature(path: str, body: bytes, fields: list[tuple[str, str]]) -> str:
        return dict(sign(SUITE, where, "POST", "bedrock-runtime.us-east-1.amazonaws.com", path, fields, body, NOW))["authorization"]

    plain = signature(f"/model/{path}", body, [])
    assert plain == signature(f"/model/{path}", body, [])
    assert plain != signature(f"/model/{path}", body + b"x", [])
    assert plain != signature(f"/other/{path}", body, []) or path.startswith("..") or "/.." in path
    assert plain != signature(f"/model/{path}", body, [("content-type", "application/json")])
