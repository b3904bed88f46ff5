"""One object of a request, in both spellings."""

from __future__ import annotations

import pytest

from halley.dialects.gemini.node import Node, camel
from halley.errors import Refused


def test_both_spellings_are_one_field_that_keeps_its_own_path() -> None:
    node = Node(b'{"max_output_tokens": "300", "topK": 64.0, "stopSequences": ["a"], "odd_one": 1, "gone": null}', "generationConfig")
    assert node.path("maxOutputTokens") == "generationConfig.max_output_tokens"
    assert node.path("topP") == "generationConfig.topP"
    assert (node.integer("maxOutputTokens"), node.integer("topK"), node.texts("stopSequences")) == (300, 64, ("a",))
    assert [(name, path, bytes(raw)) for name, path, raw in node.rest()] == [("oddOne", "generationConfig.odd_one", b"1")]
    assert "gone" not in node and "oddOne" in node


def test_a_field_in_both_spellings_at_once_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        Node(b'{"topK": 1, "top_k": 2}')
    assert refused.value.param == "top_k"


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (lambda node: node.text("a"), b'{"a": 1}'),
        (lambda node: node.flag("a"), b'{"a": "true"}'),
        (lambda node: node.integer("a"), b'{"a": 1.5}'),
        (lambda node: node.number("a"), b'{"a": "x"}'),
        (lambda node: node.texts("a"), b'{"a": [1]}'),
        (lambda node: node.nodes("a"), b'{"a": "x"}'),
        (lambda node: node.nodes("a"), b'{"a": [1]}'),
        (lambda node: node.node("a"), b'{"a": "x"}'),
    ],
)
def test_a_value_of_another_kind_is_refused_by_its_path(read, body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read(Node(body, "b[0]"))
    assert (refused.value.param or "").startswith("b[0].a")


def test_one_object_stands_for_a_list_of_one() -> None:
    assert [node.at for node in Node(b'{"parts": {"text": "x"}}', "contents").nodes("parts")] == ["contents.parts"]


def test_an_absent_field_is_nothing_of_any_kind() -> None:
    node = Node(b"{}")
    assert (node.text("a"), node.flag("a"), node.integer("a"), node.number("a"), node.node("a"), node.take("a")) == (None,) * 6
    assert (node.texts("a"), node.nodes("a"), node.look("a")) == ((), [], None)


def test_names_are_turned_as_the_protocol_turns_them() -> None:
    assert [camel(name) for name in ("a", "a_b", "any_of_all", "aB", "_own")] == ["a", "aB", "anyOfAll", "aB", "_own"]
