"""A credential that is none of its scheme is named before anything is sent with it, and never repeated."""

from __future__ import annotations

import json

import pytest

from halley.providers.compatible import KINDS
from halley.providers.credentials import fault, pieces
from halley.secret import Secret
from tests.harness import service_account

AWS = "https://bedrock-runtime.eu-central-1.amazonaws.com"
VERTEX = "https://l-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/google"


@pytest.mark.parametrize(
    ("kind", "secret", "base_url", "region", "word"),
    [
        ("openai", "sk-any", "", "", None),
        ("openai", "sk-ä", "", "", "no header may hold"),
        ("bedrock", "AKIA:s3cret", AWS, "", None),
        ("bedrock", "AKIA:s3cret:token", AWS, "", None),
        ("bedrock", "AKIA:s3cret", "http://127.0.0.1:9", "eu-test-1", None),
        ("bedrock", "AKIA:s3cret", "http://127.0.0.1:9", "", "region has to be named"),
        ("bedrock", "s3cret", AWS, "", "ACCESS_KEY_ID:SECRET_ACCESS_KEY"),
        ("vertex", "s3cret", VERTEX, "", "service account"),
        ("vertex", service_account.key_file("a@b", "https://oauth2.googleapis.com/token"), VERTEX, "", None),
        ("vertex", service_account.key_file("a@b", "http://127.0.0.1:9/token"), VERTEX, "", None),
        ("vertex", service_account.key_file("a@b", "http://example.org/token"), VERTEX, "", "https://"),
    ],
)
def test_what_is_wrong_is_said_without_the_credential(kind: str, secret: str, base_url: str, region: str, word: str | None) -> None:
    found = fault(KINDS[kind], Secret(secret), base_url, region)
    assert (found is None) == (word is None)
    assert found is None or (word in found and "s3cret" not in found)


def test_the_secret_pieces_of_a_credential_are_known() -> None:
    key = service_account.key_file("a@b", "https://oauth2.googleapis.com/token")
    for kind, secret, found in (
        ("openai", "sk-any", ["sk-any"]),
        ("bedrock", "AKIA:s3cret:token", ["AKIA", "s3cret", "token"]),
        ("vertex", key, [json.loads(key)["private_key"]]),
        ("vertex", "{}", ["{}"]),
    ):
        assert [piece.reveal() for piece in pieces(KINDS[kind], Secret(secret))] == found
