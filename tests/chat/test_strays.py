"""What nobody knows of an answer is told by its place, once, and never by its value; what is known costs no second look."""

from __future__ import annotations

import msgspec
import pytest

from halley.chat.model import Loss
from halley.chat.strays import MORE, MOST, UNKNOWN, UNSEEN, Strays, Watch


class Inner(msgspec.Struct):
    said: str = ""
    kind: int = 1


class Outer(msgspec.Struct, gc=False):
    name: str
    inner: Inner | str | None = None
    many: list[Inner] = []
    deep: list[list[Inner]] | None = None
    raw: msgspec.Raw = msgspec.Raw()
    other: float = msgspec.field(default=0.5, name="anotherName")


LEFT_OUT = {"object": "", "many[].index": "", "*.type": "", "inner.a-b": ""}
WATCH = Watch(Outer, LEFT_OUT)


def read(text: str, watch: Watch[Outer] = WATCH) -> tuple[Outer, list[str]]:
    strays = Strays()
    found = watch.read(text.encode(), strays)
    return found, [loss.path for loss in strays.losses]


def test_what_is_known_or_left_out_on_purpose_is_read_at_the_first_go() -> None:
    text = b"""{"type":"t","object":"o","name":"n","inner":{"said":"s","a-b":[1],"type":"t"},"many":[{"index":0,"kind":2}],
               "raw":{"anything":1},"anotherName":2}"""
    found = WATCH.decode(text)
    assert isinstance(found, Outer) and isinstance(found.inner, Inner)
    assert (found.name, found.inner.said, found.many[0].kind, found.other, bytes(found.raw)) == ("n", "s", 2, 2.0, b'{"anything":1}')


@pytest.mark.parametrize(
    "text, places",
    [
        ('{"name":"n","mood":1}', ["mood"]),
        ('{"name":"n","inner":{"mood":"x"}}', ["inner.mood"]),
        ('{"name":"n","inner":"mood"}', []),
        ('{"name":"n","many":[{"mood":1},{"mood":2},{"said":"x","tone":false}]}', ["many[].mood", "many[].tone"]),
        ('{"name":"n","deep":[[{}],[{"mood":""}]]}', ["deep[][].mood"]),
        ('{"name":"n","raw":{"mood":1},"object":{"mood":1}}', []),
        ('{"name":"n","other":1,"index":2,"many":[{"object":1}]}', ["other", "index", "many[].object"]),
    ],
)
def test_a_field_that_nobody_knows_is_told_once_with_its_lists_folded(text: str, places: list[str]) -> None:
    assert read(text)[1] == places


def test_a_field_without_a_value_says_nothing() -> None:
    assert read('{"name":"n","a":null,"b":[],"c":{},"d":0,"e":false,"f":""}')[1] == ["d", "e", "f"]


def test_what_is_read_is_the_same_with_and_without_the_unknown() -> None:
    with_it, _ = read('{"name":"n","mood":1,"many":[{"said":"x","mood":1}],"anotherName":3}')
    without, _ = read('{"name":"n","many":[{"said":"x"}],"anotherName":3}')
    assert msgspec.to_builtins(with_it, builtin_types=(msgspec.Raw,)) | {"raw": None} == {
        name: None if name == "raw" else value
        for name, value in msgspec.to_builtins(without, builtin_types=(msgspec.Raw,)).items()
        if not name.startswith(("object", "type"))
    } | {"many": [{"said": "x", "kind": 1}]}


def test_only_so_many_are_told_and_that_there_are_more() -> None:
    strays = Strays()
    body = msgspec.json.encode({"name": "n"} | {f"mood{number}": number for number in range(MOST + 9)})
    WATCH.read(body, strays)
    WATCH.read(body, strays)
    assert [loss.path for loss in strays.losses] == [*(f"mood{number}" for number in range(MOST)), MORE.path]


def test_a_name_is_made_fit_for_a_header_and_a_value_is_never_told() -> None:
    strays = Strays()
    WATCH.read(msgspec.json.encode({"name": "n", "x\r\nset-cookie: é, " + "y" * 99: "a secret"}), strays)
    (loss,) = strays.losses
    assert loss == Loss("x??set-cookie:????" + "y" * 46, UNKNOWN)


def test_an_event_is_told_by_its_name() -> None:
    strays = Strays()
    strays.tell_event("response.mood\n.delta")
    assert [loss.path for loss in strays.losses] == ["response.mood?.delta"]


def test_what_is_wrong_is_wrong_as_before() -> None:
    for text in ('{"mood":1}', '{"name":1}', "[]", '{"name":'):
        with pytest.raises(msgspec.DecodeError):
            read(text)


def test_what_is_too_deep_to_be_looked_at_is_told_as_that() -> None:
    strays = Strays()
    strays.look(b'{"mood":' + b"[" * 100_000 + b"]" * 100_000 + b"}", WATCH._known, "inner")  # pyright: ignore[reportPrivateUsage]
    assert strays.losses == (Loss("inner", UNSEEN),)


def test_places_begin_where_the_object_stands() -> None:
    strays = Strays()
    Watch(Inner, {"content[].index": ""}, "content[]").read(b'{"index":1,"mood":1}', strays)
    assert [loss.path for loss in strays.losses] == ["content[].mood"]
