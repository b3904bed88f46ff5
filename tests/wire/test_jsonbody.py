"""The gate in front of the parser, and replacing top-level members byte by byte."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley.wire import jsonbody
from halley.wire.jsonbody import Malformed, gate, members, places, set_members

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("depth", [99, 100])
def test_a_body_at_the_depth_limit_passes(depth: int) -> None:
    jsonbody.gate(b"[" * depth + b"]" * depth)


@pytest.mark.parametrize("opener, closer", [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("depth", [101, 1000, 100_000])
def test_a_body_nested_too_deep_is_refused_before_any_parser_sees_it(opener: bytes, closer: bytes, depth: int) -> None:
    with pytest.raises(Malformed, match=r"nested deeper|elements"):
        jsonbody.gate(opener * depth + b"1" + closer * depth)


def test_wide_and_shallow_is_not_deep() -> None:
    jsonbody.gate(b"[" + b",".join([b'{"a":[1,2]}'] * 5000) + b"]")


def test_brackets_and_commas_inside_strings_are_not_structure() -> None:
    jsonbody.gate(json.dumps({"a": "[{," * 100_000, "b": '\\" [[[[' * 200}).encode())


def test_too_many_elements_are_refused() -> None:
    with pytest.raises(Malformed, match="elements"):
        jsonbody.gate(b"[" + b"[]," * 3_000_000 + b"[]]")


@pytest.mark.parametrize("element", [b'"",', b'"\\\\",', b'"a" '])
def test_millions_of_strings_are_refused_without_looking_at_each(element: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(Malformed, match="elements"):
        jsonbody.gate(b'{"a":[' + b"[],[]," * 100_000 + element * (24_000_000 // len(element)) + b'""]}')
    assert time.monotonic() - began < 2.0


def test_as_many_keys_and_strings_as_elements_are_allowed_pass() -> None:
    jsonbody.gate(b"[" + b",".join([b'{"":""}'] * 99_000) + b"]")


@pytest.mark.parametrize("inside", [b'\\"', b"\\\\", b'"', b'",'])
def test_a_string_without_an_end_is_looked_at_once_and_not_from_each_of_its_quotes(inside: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(Malformed, match=r"nested deeper|elements"):
        jsonbody.gate(b'{"a":' + b"[" * 200 + b'"' + inside * 300_000)
    assert time.monotonic() - began < 2.0


def test_a_body_that_is_not_utf8_is_refused_where_it_breaks() -> None:
    with pytest.raises(Malformed, match="byte 6"):
        jsonbody.gate(b'{"a":"\xff"}')


@pytest.mark.parametrize(
    "body",
    [
        b"", b"   \n", b"[]", b"null", b'"x"', b"{", b'{"a":1', b'{"a":1}x', b'{"a":1}{"a":1}', b'{"a"/*c*/:1}', b'{"a":NaN}',
        b'{"a":Infinity}', b'{"a":007}', b'{"a":0x10}', b"{'a':1}", b'{"a":1,}', b'\xef\xbb\xbf{"a":1}', b"a=1&b=2", b'{"a":"\\ud800"}',
        b'{"a":tru}', ],
)  # fmt: skip
def test_what_is_not_one_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        jsonbody.members(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}', b'{"model":"a","x":1,"model":"a"}', b'{ "model" : "a" , "model" : "a" }', b'{"a":[1],"b":2,"a":[1]}',
        b'{"a":1,"\\u0061":2}', b'{"a":1,"a":1 }', b'{"a":  1,"a":1}', b'{"a":1,"b":22,"a":333333}',
    ],
)  # fmt: skip
def test_a_top_level_key_given_twice_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed, match="twice"):
        jsonbody.members(body)


CORE = frozenset({"model", "asks", "stream"})


def one_reading(body: bytes) -> None:
    jsonbody.check_one_reading(body, jsonbody.members(body), CORE, {"wishes": b"", "asks": b"picture"})


@pytest.mark.parametrize("key", ["Model", "MODEL", "modeL", "\u017ftream", "aS\u212as", "ASKS"])
def test_a_core_field_in_other_letters_is_refused(key: str) -> None:
    with pytest.raises(Malformed, match="must be spelled"):
        one_reading(json.dumps({"model": "a", key: "b"}).encode())


@pytest.mark.parametrize(
    "body",
    [
        b'{"wishes":{"a":1,"a":2}}', b'{"wishes":{"a":1,"A":1}}', b'{"wishes":{"b":{"a":1,"\\u0061":2}}}', b'{"wishes":[[{"":1,"":1}]]}',
        b'{"asks":[{"picture":1,"picture":2}]}', b'{"asks":[{"a":"picture","x":1,"x":2}]}', b'{"asks":[{"pi\\u0063ture":{"u":1,"u":2}}]}',
        b'{"asks":[{"\\u0070icture":1,"Picture":2}]}',
    ],
)  # fmt: skip
def test_a_key_given_twice_is_refused_where_more_than_the_top_level_is_judged(body: bytes) -> None:
    with pytest.raises(Malformed, match="given twice"):
        one_reading(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","x":{"a":1,"a":2}}', b'{"asks":[{"a":1,"a":2}]}', b'{"asks":[{"picture":1},{"picture":1}]}',
        b'{"Other":1,"other":2}', b'{"wishes":{"a":' + b"9" * 5000 + b',"b":1e999,"c":-0.0}}', b'{"wishes":null,"asks":"picture"}',
    ],
)  # fmt: skip
def test_what_nobody_judges_may_be_said_in_any_way(body: bytes) -> None:
    one_reading(body)


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=6), st.sampled_from([None, 1, "\t"]), st.booleans())
def test_members_are_found_whatever_the_spacing_and_escaping(value: dict[str, object], indent: int | str | None, ascii_only: bool) -> None:
    body = json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    found = jsonbody.members(body)
    assert {key: json.loads(bytes(raw)) for key, raw in found.items()} == value


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=6), JSON, st.sampled_from([None, 1]))
def test_setting_a_member_changes_that_member_alone(value: dict[str, object], new: object, indent: int | None) -> None:
    body = json.dumps(value, indent=indent).encode()
    changed = jsonbody.set_members(body, jsonbody.members(body), {"model": json.dumps(new).encode()})
    assert json.loads(changed) == {**value, "model": new}


def test_bytes_around_a_replaced_member_stay_as_they_came() -> None:
    body = b'{ "a" : [1,  2],\n\t"model" : "x" , "z":"\\u00e9" }'
    found = jsonbody.members(body)
    assert jsonbody.set_members(body, found, {"model": b'"yy"', "n": b"3"}) == b'{ "a" : [1,  2],\n\t"model" : "yy" , "z":"\\u00e9" ,"n":3}'


def test_a_member_is_added_to_an_empty_object() -> None:
    assert jsonbody.set_members(b"{ }", jsonbody.members(b"{ }"), {"a": b"1"}) == b'{ "a":1}'


def test_text_is_checked_in_pieces_and_the_place_of_the_fault_is_that_in_the_body() -> None:
    piece = 1 << 20
    for character in ("é", "€", "😀"):
        for shift in range(5):
            body = b'"' + b"a" * (piece - shift - 1) + (character * 3).encode() + b'"'
            gate(body)
            with pytest.raises(Malformed, match=rf"byte {len(body) - 1}\)"):
                gate(body[:-1] + b"\xff")
    with pytest.raises(Malformed, match=rf"byte {piece}\)"):
        gate(b"a" * piece + b"\x80" * piece)


def test_places_change_a_body_as_its_members_do() -> None:
    for body in (b'{"a":1,"b":"two","c":{"a":3}}', b' { "a" : 1 , "b":"two","c":{"a":3}\n} ', b"{}"):
        found = members(body)
        for changes in ({"a": b"9"}, {"c": b"null", "a": b"[1]"}, {"d": b"4"}, {"b": b'"x"', "e": b"5", "f": b"6"}, {}):
            assert set_members(body, places(body, found), changes) == set_members(body, found, changes)


def test_more_top_level_fields_than_anybody_needs_are_refused() -> None:
    body = b"{" + b",".join(b'"k%d":1' % number for number in range(1001)) + b"}"
    with pytest.raises(Malformed, match="more than 1000 top-level fields"):
        members(body)
