"""Lines of a TOML text: every key of what the standard parser reads is found, on the line where it was written."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley.toml_lines import Address, line_of, positions

TEXT = '''# a comment with [brackets] and "quotes"
title = "x"

[server]
port = 1 # [not.a.table]
"quoted key" = 'a = b'
dotted . key = [1,
  2, # two ]
  [3, 4],
]

[[providers]]
name = """
[fake]
name = "no"
"""

[[providers]]
name = \'\'\'it''s\'\'\'
[providers.extra]
a.b = { c = 1, d = [ { e = 2 } ] }

[[models]]
offers = [
  {provider = "a"},
  {provider = "b", cost = {input = "1"}},
]
[[models.deep]]
x = 1979-05-27 07:32:00
'''


def test_keys_tables_and_elements_stand_where_they_were_written() -> None:
    lines = positions(TEXT)
    expected: dict[Address, int] = {
        ("title",): 2,
        ("server",): 4,
        ("server", "port"): 5,
        ("server", "quoted key"): 6,
        ("server", "dotted", "key"): 7,
        ("server", "dotted", "key", 1): 8,
        ("server", "dotted", "key", 2, 0): 9,
        ("providers",): 12,
        ("providers", 0): 12,
        ("providers", 0, "name"): 13,
        ("providers", 1): 18,
        ("providers", 1, "name"): 19,
        ("providers", 1, "extra"): 20,
        ("providers", 1, "extra", "a", "b", "d", 0, "e"): 21,
        ("models", 0, "offers", 1, "cost", "input"): 26,
        ("models", 0, "deep", 0, "x"): 29,
    }
    assert {address: lines.get(address) for address in expected} == expected
    assert ("fake",) not in lines


def test_a_missing_key_stands_where_its_table_stands() -> None:
    lines = positions(TEXT)
    assert line_of(lines, ("providers", 1, "kind")) == 18
    assert line_of(lines, ("nowhere",)) is None


def addresses(value: object, at: Address = ()) -> Iterator[Address]:
    if at:
        yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from addresses(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from addresses(inner, (*at, index))


KEYS = st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True) | st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)
SCALARS = st.integers(-(2**60), 2**60) | st.booleans() | st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8)


class Writer:
    """Writes a document in a spelling drawn by the test and remembers on which line each address was put."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[Address, int] = {}

    def put(self, text: str) -> None:
        self.text += text

    def mark(self, address: Address) -> None:
        self.lines[address] = self.text.count("\n") + 1

    def key(self, key: str) -> str:
        plain = key.isascii() and key.replace("-", "a").replace("_", "a").isalnum()
        return key if plain and self.draw(st.booleans()) else self.string(key)

    def string(self, text: str) -> str:
        if text.isprintable() and "'" not in text and self.draw(st.booleans()):
            return f"'{text}'"
        return '"' + "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text) + '"'

    def long_string(self, text: str) -> str:
        return '"""\n' + "".join(c if (c.isprintable() or c == "\n") and c not in '"\\' else f"\\U{ord(c):08x}" for c in text) + '"""'

    def value(self, value: object, at: Address, *, inline: bool = False) -> None:
        if isinstance(value, dict):
            self.put("{ ")
            for number, (key, inner) in enumerate(value.items()):
                self.put(", " if number else "")
                self.mark((*at, key))
                self.put(f"{self.key(key)} = ")
                self.value(inner, (*at, key), inline=True)
            self.put(" }")
        elif isinstance(value, list):
            self.put("[")
            for index, inner in enumerate(value):
                self.put(self.draw(st.sampled_from(["", " ", "\n  ", " # ] ' \" [\n\t"])))
                self.mark((*at, index))
                self.value(inner, (*at, index), inline=inline)
                self.put(self.draw(st.sampled_from([",", " ,", "\n,"])))
            self.put("]")
        elif isinstance(value, str):
            self.put(self.long_string(value) if self.draw(st.booleans()) else self.string(value))
        else:
            self.put(str(value).lower())


@st.composite
def documents(draw: st.DrawFn) -> Writer:
    writer = Writer(draw)
    for table in draw(st.lists(KEYS, max_size=4, unique=True)):
        copies = draw(st.integers(0, 2))
        for index in range(max(copies, 1)):
            writer.put(draw(st.sampled_from(["", "\n", "# [x] = '\n", "\r\n"])))
            at: Address = (table, index) if copies else (table,)
            writer.mark(at)
            writer.put(f"[[{writer.key(table)}]]\n" if copies else f"[ {writer.key(table)} ]\n")
            for key, value in draw(st.dictionaries(KEYS, VALUES, max_size=3)).items():
                writer.mark((*at, key))
                writer.put(f"{writer.key(key)} = ")
                writer.value(value, (*at, key))
                writer.put(draw(st.sampled_from(["\n", " # comment\n", "\n\n"])))
    return writer


@given(documents())
def test_every_key_of_any_document_has_the_line_it_was_written_on(writer: Writer) -> None:
    parsed = tomllib.loads(writer.text)
    lines = positions(writer.text)
    assert all(address in lines for address in addresses(parsed))
    assert {address: lines[address] for address in writer.lines} == writer.lines


@pytest.mark.parametrize(
    "text", ["", "\n\n", "# only a comment", 'a = "\\u00e9"', "\ta=1\r\n", "a.b.c = 1", 'a = """"quoted""""', "a = ''''''"]
)
def test_small_texts_are_walked_to_their_end(text: str) -> None:
    lines = positions(text)
    assert all(address in lines for address in addresses(tomllib.loads(text)))
