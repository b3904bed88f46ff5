"""What of a provider's answer nobody here knows: noticed while it is read, and told by its place, never by its value.

An answer is decoded as a twin of its shape that takes no other members: to notice that there are none costs nothing. Where the twin fails
the shape itself is read, and the object is looked at member by member. A place has its lists folded (`choices[].message.mood`) and is told
once. What a dialect has and leaves out on purpose stands in a table of its own, by place and with the reason; `*.type` is of any object.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import UnionType
from typing import Any, Generic, NamedTuple, TypeVar, Union, cast, get_args, get_origin

import msgspec

from halley.chat.model import Loss
from halley.wire.jsonbody import BROKEN

MOST = 32  # places of one answer
UNKNOWN = "Halley does not know this field of an answer, so that the caller is not told it"
UNKNOWN_EVENT = "Halley does not know this event of a stream, so that the caller is not told it"
MORE = Loss("answer", f"more than {MOST} fields that Halley does not know")
UNSEEN = "what Halley does not know here could not be read"
_LONGEST = 64
_decode = msgspec.json.Decoder(object).decode
_ABSENT = msgspec.Raw()
_UNFIT = re.compile(r"[^A-Za-z0-9_.$@:/-]")

T = TypeVar("T", bound=msgspec.Struct)
LeftOut = Mapping[str, str]


class Strays:
    """Of one answer. `losses` grows."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: dict[str, Loss] = {}

    @property
    def losses(self) -> tuple[Loss, ...]:
        return tuple(self._told.values())

    def tell(self, place: str, reason: str = UNKNOWN) -> None:
        if place in self._told:
            return
        loss = Loss(place, reason) if len(self._told) < MOST else MORE
        self._told.setdefault(loss.path, loss)

    def tell_event(self, kind: str) -> None:
        self.tell(fit(kind), UNKNOWN_EVENT)

    def look(self, raw: bytes | msgspec.Raw, known: Known, at: str) -> None:
        try:
            self._look(_decode(raw), known, at)
        except BROKEN:
            self.tell(at or "answer", UNSEEN)

    def _look(self, value: object, known: Known, at: str) -> None:
        if isinstance(value, list):
            for each in cast("list[object]", value):
                self._look(each, known, f"{at}[]")
        elif isinstance(value, dict):
            value = cast("dict[str, object]", value)
            if not known.names.issuperset(value):
                for name, inner in value.items():
                    # A member without a value says nothing.
                    if name not in known.names and inner is not None and inner != [] and inner != {}:
                        self.tell(_under(at, fit(name)))
            for name, shape in known.inner.items():
                inner = value.get(name)
                if inner:
                    self._look(inner, shape, _under(at, name))


class Known(NamedTuple):
    """The members of an object that are read or left out on purpose, and those in which objects are read."""

    names: frozenset[str]
    inner: dict[str, Known]


class Watch(Generic[T]):
    """How a kind of object of a provider's answers is read, and what of it is known. `at` is where such objects stand."""

    __slots__ = ("_at", "_known", "_whole", "decode")

    def __init__(self, kind: type[T], left_out: LeftOut, at: str = "") -> None:
        twin, self._known = _twin(kind, left_out, at)
        self._at = at
        self._whole = msgspec.json.Decoder(kind).decode
        self.decode = msgspec.json.Decoder(twin).decode
        """Raises msgspec.ValidationError also where something is not known: then it is for `again`."""

    def read(self, raw: bytes | msgspec.Raw, strays: Strays) -> T:
        """Raises msgspec.DecodeError."""
        try:
            return self.decode(raw)
        except msgspec.ValidationError:
            return self.again(raw, strays)

    def again(self, raw: bytes | msgspec.Raw, strays: Strays) -> T:
        """Raises msgspec.DecodeError."""
        found = self._whole(raw)
        strays.look(raw, self._known, self._at)
        return found


def _twin(kind: type[T], left_out: LeftOut, at: str) -> tuple[type[T], Known]:
    """The same kind that takes nothing beside its fields and what is left out of it, and so of all objects within."""
    fields: list[tuple[str, Any, Any]] = []
    names: set[str] = set()
    inner: dict[str, Known] = {}
    for field in msgspec.structs.fields(kind):
        within, known = _narrowed(field.type, left_out, _under(at, field.encode_name))
        names.add(field.encode_name)
        if known is not None:
            inner[field.encode_name] = known
        options = {"default": field.default, "default_factory": field.default_factory}
        given = {name: value for name, value in options.items() if value is not msgspec.NODEFAULT}
        fields.append((field.name, within, msgspec.field(name=field.encode_name, **given)))
    places = (place.rpartition(".") for place in left_out)
    also = {name for above, _, name in places if above in (at, "*")} - names
    fields += [(f"left_out_{index}", msgspec.Raw, msgspec.field(name=name, default=_ABSENT)) for index, name in enumerate(sorted(also))]
    config = kind.__struct_config__
    twin: Any = msgspec.defstruct(
        kind.__name__, fields, bases=(kind,), kw_only=True, forbid_unknown_fields=True, gc=config.gc, frozen=config.frozen
    )
    return twin, Known(frozenset(names | also), inner)


def _narrowed(kind: Any, left_out: LeftOut, at: str) -> tuple[Any, Known | None]:
    """A field's type with twins for the objects in it, and what is known of those."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _twin(kind, left_out, at)
    origin: object = get_origin(kind)
    inside: tuple[Any, ...] = get_args(kind)
    if origin is list:
        element, known = _narrowed(inside[0], left_out, f"{at}[]")
        return list[element], known
    if origin is Union or origin is UnionType:
        found = [_narrowed(each, left_out, at) for each in inside]
        return Union[tuple(each for each, _ in found)], next((known for _, known in found if known is not None), None)  # noqa: UP007
    return cast("object", kind), None


def _under(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def fit(name: str) -> str:
    """A name of the provider's own, fit for a header and a log."""
    return _UNFIT.sub("?", name[:_LONGEST])
