"""The part of YAML that is read means what it means in YAML; the rest is refused by its line."""

from __future__ import annotations

import pytest

from halley.cli.yaml_subset import NotRead, read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing\n", None),
        ("---\na: 1\n", {"a": 1}),
        ("a: b c\nd: 'it''s'\ne: \"x \\\"y\\\"\"\n", {"a": "b c", "d": "it's", "e": 'x "y"'}),
        ("a: true\nb: no\nc: ~\nd:\ne: 0.5\nf: -3\n", {"a": True, "b": False, "c": None, "d": None, "e": "0.5", "f": -3}),
        ("a:\n  b:\n    c: 1\n  d: 2\n", {"a": {"b": {"c": 1}, "d": 2}}),
        ("a:\n- 1\n- 2\nb: 3\n", {"a": [1, 2], "b": 3}),
        ("a:\n  - x: 1\n    y:\n      z: 2\n  - x: 3\n", {"a": [{"x": 1, "y": {"z": 2}}, {"x": 3}]}),
        ("- - 1\n  - 2\n-\n  a: 1\n", [[1, 2], {"a": 1}]),
        ("a: [1, 'b, c', [2]]\nb: {x: 1, \"y\": z}\nc: []\nd: {}\n", {"a": [1, "b, c", [2]], "b": {"x": 1, "y": "z"}, "c": [], "d": {}}),
        ('url: https://a.test/x#y # comment\nkey: "a # b"\n', {"url": "https://a.test/x#y", "key": "a # b"}),
        ("'quoted key': 1\nmodel: a/b:free\n", {"quoted key": 1, "model": "a/b:free"}),
    ],
)
def test_it_is_read_as_yaml(text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: &x 1\n", 1),
        ("a: 1\nb: |\n  text\n", 2),
        ("a:\n\tb: 1\n", 2),
        ("a: 1\n  b: 2\n", 2),
        ("a: [1,\n  2]\n", 1),
        ("a: 1\nword\n", 2),
        ("a: *x\n", 1),
    ],
)
def test_what_is_not_read_is_refused_by_its_line(text: str, line: int) -> None:
    with pytest.raises(NotRead, match=f"line {line}:"):
        read(text)


@pytest.mark.parametrize(
    "text, value",
    [
        ('a: {b: "x\\"], [y", c: 1}', {"a": {"b": 'x"], [y', "c": 1}}),
        ('a: "1\\n2 \\u00e9" # said', {"a": "1\n2 é"}),
        ('a: "x\\" # y"', {"a": 'x" # y'}),
        ("a: {'b:c': 'it''s, so', d: [1, 'e,f']}", {"a": {"b:c": "it's, so", "d": [1, "e,f"]}}),
        ('a: "C:\\\\new"', {"a": "C:\\new"}),
    ],
)
def test_quotes_hold_what_stands_in_them(text: str, value: object) -> None:
    assert read(text) == value


def test_an_escape_that_json_has_not_is_refused_by_its_line() -> None:
    with pytest.raises(NotRead, match="line 2"):
        read('a: 1\nb: "\\x41"')
