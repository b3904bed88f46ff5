"""How a credential travels to a provider."""

from __future__ import annotations

from halley.providers.auth import SCHEMES


def test_bearer_is_one_header_line() -> None:
    assert SCHEMES["bearer"]("sk-x") == b"authorization: Bearer sk-x\r\n"


def test_without_a_key_nothing_is_sent() -> None:
    assert all(scheme("") == b"" for scheme in SCHEMES.values())
