"""The provider table: every row says where, how and by whose word."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from halley.providers.auth import SCHEMES
from halley.providers.compatible import KINDS


@pytest.mark.parametrize("name", KINDS)
def test_a_row_is_complete(name: str) -> None:
    kind = KINDS[name]
    assert kind.title and kind.docs
    assert kind.auth in SCHEMES
    assert kind.cancel in ("stops_billing", "bills_to_end")


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.base_url])
def test_a_host_is_reached_by_tls_unless_it_is_this_machine(name: str) -> None:
    url = urlsplit(KINDS[name].base_url)
    assert url.scheme == "https" or (url.scheme == "http" and url.hostname == "127.0.0.1")
    assert not url.query and not url.path.endswith("/")


def test_a_variable_and_a_host_belong_to_one_row() -> None:
    for values in ([kind.env for kind in KINDS.values() if kind.env], [kind.base_url for kind in KINDS.values() if kind.base_url]):
        assert len(values) == len(set(values))


def test_what_needs_a_key_says_in_which_variable_it_usually_is() -> None:
    assert [name for name, kind in KINDS.items() if kind.needs_key and not kind.env] == []
