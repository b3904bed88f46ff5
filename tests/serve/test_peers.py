"""Whose address counts behind proxies."""

from types import SimpleNamespace

import pytest

from halley.serve.peers import Peers


@pytest.mark.parametrize(
    "peer, forwarded, address",
    [
        ("203.0.113.9", b"1.2.3.4", "203.0.113.9"),
        ("10.0.0.1", b"1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", b"6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", b"6.6.6.6, 1.2.3.4, 10.0.0.7", "1.2.3.4"),
        ("10.0.0.1", b"2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", b"", "10.0.0.1"),
        ("10.0.0.1", b"nonsense", "nonsense"),
    ],
)
def test_only_a_trusted_proxy_is_believed_and_only_up_to_the_first_stranger(peer: str, forwarded: bytes, address: str) -> None:
    request = SimpleNamespace(connection=SimpleNamespace(peer=peer), fields={b"x-forwarded-for": forwarded} if forwarded else {})
    assert Peers(("10.0.0.0/8",)).address(request) == address  # type: ignore[arg-type]


def test_without_trusted_proxies_the_connection_is_the_caller() -> None:
    request = SimpleNamespace(connection=SimpleNamespace(peer="10.0.0.1"), fields={b"x-forwarded-for": b"1.2.3.4"})
    assert Peers(()).address(request) == "10.0.0.1"  # type: ignore[arg-type]
