"""How a credential travels to a provider."""

from __future__ import annotations

from halley.providers.auth import SCHEMES
from halley.secret import Secret


def test_bearer_is_one_header_line() -> None:
    assert SCHEMES["bearer"](Secret("sk-x")) == b"authorization: Bearer sk-x\r\n"


def test_without_a_key_nothing_is_sent() -> None:
    assert all(scheme(Secret("")) == b"" for scheme in SCHEMES.values())
