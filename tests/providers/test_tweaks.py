"""What some hosts want of a body."""

from __future__ import annotations

import json

import pytest

from halley.providers.compatible import KINDS
from halley.providers.tweaks import TWEAKS, apply
from halley.wire.jsonbody import Malformed

BODY = b'{ "model": "m", "stream":true, "messages": [ {"role":"user","content":"\\u00e9"} ], "max_tokens": 1e2 }'


def test_without_tweaks_a_body_is_the_same_bytes() -> None:
    assert apply(BODY, ()) is BODY


def test_what_stands_in_the_path_is_not_in_the_body() -> None:
    tweaked = apply(BODY, KINDS["bedrock"].speaks["messages"].tweaks)
    assert tweaked == (b'{"messages":[ {"role":"user","content":"\\u00e9"} ],"max_tokens":1e2,"anthropic_version":"bedrock-2023-05-31"}')


def test_a_host_with_its_own_version_gets_it_whatever_the_client_wrote() -> None:
    body = b'{"model":"m","anthropic_version":"x","messages":[]}'
    assert json.loads(apply(body, ("model-in-path", "vertex-version"))) == {"anthropic_version": "vertex-2023-10-16", "messages": []}


def test_an_absent_member_changes_nothing() -> None:
    assert apply(b'{ "a": 1 }', ("model-in-path",)) == b'{ "a": 1 }'
    assert apply(b'{"model":"m"}', ("model-in-path",)) == b"{}"


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(Malformed):
        apply(b"[]", ("model-in-path",))


def test_every_tweak_is_somebodys_and_every_name_is_known() -> None:
    named = {name for kind in KINDS.values() for spoken in kind.speaks.values() for name in spoken.tweaks}
    assert named == TWEAKS.keys()
