"""What some hosts want of a body."""

from __future__ import annotations

import json

import pytest

from halley.providers.compatible import KINDS
from halley.providers.tweaks import TWEAKS, apply, moved, take_in
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


@pytest.mark.parametrize(
    ("body", "said", "written", "unknown"),
    [
        (b'{"a":1}', b"", b'{"a":1}', ()),
        (b'{"a":1}', b"claude-code-20250219", b'{"a":1}', ("claude-code-20250219",)),
        (
            b'{ "a": 1 }',
            b"effort-2025-11-24, x,context-1m-2025-08-07,effort-2025-11-24",
            b'{ "a": 1 ,"anthropic_beta":["effort-2025-11-24","context-1m-2025-08-07"]}',
            ("x",),
        ),
        (b'{"anthropic_beta":["mine"]}', b"effort-2025-11-24", b'{"anthropic_beta":["mine"]}', ()),
    ],
)
def test_what_a_head_says_stands_in_the_body_of_a_host_that_wants_it_there(
    body: bytes, said: bytes, written: bytes, unknown: tuple[str, ...]
) -> None:
    rows = moved(KINDS["bedrock"].speaks["messages"].tweaks)
    assert take_in(body, rows, {b"anthropic-beta": said} if said else {}) == (written, unknown)
    assert moved(KINDS["vertex"].speaks["messages"].tweaks) == ()


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(Malformed):
        apply(b"[]", ("model-in-path",))


def test_every_tweak_is_somebodys_and_every_name_is_known() -> None:
    named = {name for kind in KINDS.values() for spoken in kind.speaks.values() for name in spoken.tweaks}
    assert named == TWEAKS.keys()
