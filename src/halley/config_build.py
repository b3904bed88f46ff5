"""Builds frozen structs out of untyped values and collects every mistake instead of stopping at the first.

It knows shapes, bounds and spellings (the `extra={"spelling": …}` of a field's annotation); it does not know what a setting means, and it
never opens a file or reads the environment.
"""

from __future__ import annotations

import datetime
import difflib
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import msgspec
from msgspec import inspect as shape

from halley import logs, money
from halley.errors import HalleyError
from halley.secret import Secret
from halley.toml_lines import Address, line_of

S = TypeVar("S", bound=msgspec.Struct)

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2})?)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


_HUMPS = re.compile(r"[a-z][A-Z]")


class Mistake(msgspec.Struct, frozen=True):
    """One thing that is wrong, and the address at which it is wrong."""

    address: Address
    message: str


class ConfigError(HalleyError):
    """The configuration cannot be used. `problems` are whole lines for a person: where, what, and what would be right."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(map(logs.clean, problems))
        super().__init__("\n".join(self.problems))


class _Wrong(ValueError):
    """A value does not fit; its mistakes are noted already."""


def build(kind: type[S], value: object, mistakes: list[Mistake], address: Address = ()) -> S | None:
    """A `kind` from a parsed document, or None when it cannot be one. Every mistake is appended to `mistakes`."""
    try:
        return cast("S", _read(shape.type_info(kind), value, address, mistakes))
    except _Wrong:
        return None


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` when a known word is near, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""


def explain(mistakes: Iterable[Mistake], file: str, lines: Mapping[Address, int], origins: Mapping[Address, str]) -> Iterable[str]:
    """Whole lines for a person in the order of the file: `halley.toml:14: [[providers]] #2 base_url: …`.

    A value that came from a variable or a flag (`origins`) is named by that instead.
    """
    for mistake in sorted(mistakes, key=lambda mistake: line_of(lines, mistake.address) or 0):
        prefixes = (mistake.address[:end] for end in range(1, len(mistake.address) + 1))
        origin = next((origins[prefix] for prefix in prefixes if prefix in origins), None)
        line = line_of(lines, mistake.address)
        place = f"{file}:{line}: " if file and line else ""
        yield f"{origin}: {mistake.message}" if origin else f"{place}{_address_text(mistake.address)}: {mistake.message}"


def _address_text(address: Address) -> str:
    """`[server] port`, `[[providers]] #2 base_url`, `[[models]] #1 offers[0].provider`."""
    match address:
        case (str(section),):
            return f"[{section}]"
        case (str(section), int(index), *rest):
            return " ".join(filter(None, (f"[[{section}]] #{index + 1}", _path_text(rest))))
        case (str(section), *rest):
            return f"[{section}] {_path_text(rest)}"
        case _:
            return ""


def _path_text(path: Iterable[str | int]) -> str:
    text = ""
    for part in path:
        if isinstance(part, str) and not _like_a_name(part):
            part = "…"
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _like_a_name(part: str) -> bool:
    """Whether it may be shown as a mistyped name of a setting. A secret in its place has digits all over, or no words."""
    return len(part) <= 32 and sum(character.isdigit() for character in part) <= 2 and len(_HUMPS.findall(part)) <= 3


def from_text(kind: shape.Type, text: str) -> object:
    """A scalar or list as an environment variable spells it. What does not parse is returned as it is, for `build` to name."""
    match kind:
        case shape.Metadata(type=inner):
            return from_text(inner, text)
        case shape.UnionType(types=types):
            return None if text == "" else from_text(types[0] if not isinstance(types[0], shape.NoneType) else types[1], text)
        case shape.BoolType():
            return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)
        case shape.IntType():
            return int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else text
        case shape.FloatType():
            return float(text) if re.fullmatch(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?", text) else text
        case shape.VarTupleType():
            return [part.strip() for part in text.split(",") if part.strip()]
        case _:
            return text


def _read(kind: shape.Type, value: object, at: Address, mistakes: list[Mistake]) -> object:
    match kind:
        case shape.StructType():
            return _struct(kind, value, at, mistakes)
        case shape.Metadata(type=inner):
            extra = cast("Mapping[str, object]", kind.extra)  # pyright: ignore[reportUnknownMemberType] - msgspec types it as a bare dict
            return _spelled(_read(inner, value, at, mistakes), extra, at, mistakes)
        case shape.UnionType(types=types):
            if value is None and any(isinstance(each, shape.NoneType) for each in types):
                return None
            return _read(_alternative(types, value), value, at, mistakes)
        case shape.VarTupleType(item_type=item):
            return tuple(_elements(item, value, at, mistakes))
        case shape.DictType(value_type=inner):
            return dict(_entries(inner, value, at, mistakes))
        case shape.LiteralType(values=values):
            if value not in values or isinstance(value, bool):
                choices = " or ".join(f'"{each}"' for each in values)
                raise _noted(mistakes, at, f"must be {choices}, not {_show(value)}{suggestion(str(value), map(str, values))}")
            return value
        case _:
            return _scalar(kind, value, at, mistakes)


def _alternative(types: Iterable[shape.Type], value: object) -> shape.Type:
    """Which of the types is meant: the list, where one may be written, else the first that is not nothing."""
    given = [each for each in types if not isinstance(each, shape.NoneType)]
    lists = [each for each in given if isinstance(each, shape.VarTupleType)]
    return lists[0] if lists and isinstance(value, list | tuple) else given[0]


def _struct(kind: shape.StructType, value: object, at: Address, mistakes: list[Mistake]) -> object:
    table = _table(value, at, mistakes)
    fields = {field.encode_name: field for field in kind.fields}
    for name in table:
        if name not in fields:
            mistakes.append(Mistake((*at, name), f"is not a setting{suggestion(name, fields)}"))
    ready: dict[str, Any] = {}
    complete = True
    for name, field in fields.items():
        if name in table:
            try:
                ready[field.name] = _read(field.type, table[name], (*at, name), mistakes)
            except _Wrong:
                complete = complete and not field.required
        elif field.required:
            mistakes.append(Mistake((*at, name), "is missing"))
            complete = False
    if not complete:
        raise _Wrong
    return kind.cls(**ready)


def _elements(item: shape.Type, value: object, at: Address, mistakes: list[Mistake]) -> Iterable[object]:
    if not isinstance(value, list | tuple):
        raise _noted(mistakes, at, f"must be a list, not {_show(value)}")
    for index, element in enumerate(cast("list[object]", value)):
        try:
            yield _read(item, element, (*at, index), mistakes)
        except _Wrong:
            continue


def _entries(item: shape.Type, value: object, at: Address, mistakes: list[Mistake]) -> Iterable[tuple[str, object]]:
    for name, each in _table(value, at, mistakes).items():
        try:
            yield name, _read(item, each, (*at, name), mistakes)
        except _Wrong:
            continue


def _table(value: object, at: Address, mistakes: list[Mistake]) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise _noted(mistakes, at, f"must be a table, not {_show(value)}")
    return cast("Mapping[str, object]", value)


def _scalar(kind: shape.Type, value: object, at: Address, mistakes: list[Mistake]) -> object:
    match kind, value:
        case shape.BoolType(), bool():
            return value
        case shape.IntType(), int() if not isinstance(value, bool):
            return _bounded(kind, value, at, mistakes)
        case shape.FloatType(), int() | float() if not isinstance(value, bool):
            return _bounded(kind, float(value), at, mistakes)
        case shape.StrType(), str():
            return value
        case shape.CustomType(), str():
            return Secret(value)  # no other type of our own is in the settings
        case shape.StrType(), datetime.date():
            return value.isoformat()
        case _:
            raise _noted(mistakes, at, f"must be {_WANTED[type(kind)]}, not {_show(value)}{_quote_hint(kind, value)}")


def _bounded(kind: shape.IntType | shape.FloatType, value: float, at: Address, mistakes: list[Mistake]) -> float:
    if kind.ge is not None and value < kind.ge:
        raise _noted(mistakes, at, f"must be at least {kind.ge}, not {value}")
    if kind.gt is not None and not value > kind.gt:
        raise _noted(mistakes, at, f"must be more than {kind.gt}, not {value}")
    if kind.le is not None and not value <= kind.le:
        raise _noted(mistakes, at, f"must be at most {kind.le}, not {value}")
    return value


_WANTED: dict[type[shape.Type], str] = {
    shape.BoolType: "true or false",
    shape.IntType: "a whole number",
    shape.FloatType: "a number",
    shape.StrType: "a string",
    shape.CustomType: "a string",
}


def _quote_hint(kind: shape.Type, value: object) -> str:
    if isinstance(kind, shape.StrType | shape.CustomType) and isinstance(value, int | float) and not isinstance(value, bool):
        return f'; write it in quotes: "{value}"'
    return ""


def _show(value: object) -> str:
    """A wrong value for a message. Long texts are not repeated: a key pasted into the wrong place must not reach a terminal."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return quoted(value)
        case Mapping():
            return "a table"
        case list() | tuple():
            return "a list"
        case None:
            return "nothing"
        case _:
            return str(value)


def quoted(text: str) -> str:
    """A word of the file for a message, unless it is long enough to be a key that was pasted into the wrong place."""
    harmless = len(text) <= 12 or (len(text) <= 40 and not any(character.isdigit() for character in text))
    return f'"{text}"' if harmless else f"a string of {len(text)} characters"


def _noted(mistakes: list[Mistake], at: Address, message: str) -> _Wrong:
    mistakes.append(Mistake(at, message))
    return _Wrong()


def _spelled(value: object, extra: Mapping[str, object], at: Address, mistakes: list[Mistake]) -> object:
    """Holds a string against the spelling that its annotation names."""
    spelling = str(extra["spelling"])
    if isinstance(value, str | Secret):
        _checked(value if isinstance(value, str) else value.reveal(), spelling, at, mistakes)
    return cast("object", value)


def _checked(text: str, spelling: str, at: Address, mistakes: list[Mistake]) -> None:
    if text or spelling in _NEVER_EMPTY:
        try:
            SPELLINGS[spelling](text)
        except ValueError as wrong:
            raise _noted(mistakes, at, str(wrong)) from None


def _decimal(text: str) -> None:
    """Said here for what could be a key that was pasted into the wrong place: `money` quotes what it cannot read."""
    if not re.fullmatch(r"[-+0-9.,eE_ ]{1,40}", text):
        raise ValueError(f"{quoted(text)} is not a decimal number")


def _usd(text: str) -> None:
    _decimal(text)
    if money.usd(text) < 0:
        raise ValueError(f"{quoted(text)} is negative")


def _price(text: str) -> None:
    _decimal(text)
    if money.rate_per_million(text) < 0:
        raise ValueError(f"{quoted(text)} is negative")


def _unit_price(text: str) -> None:
    _decimal(text)
    if money.rate_per_unit(text) < 0:
        raise ValueError(f"{quoted(text)} is negative")


def _factor(text: str) -> None:
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", text):
        raise ValueError(f'{quoted(text)} is not a factor; write for example "1.15"')


def _url(text: str) -> None:
    """An address that an operator configures: http or https with a host, no credentials, no query."""
    try:
        parts, port = urlsplit(text), urlsplit(text).port
    except ValueError:
        # Not the library's words: they hold what stands in the place of the port, which after a forgotten "@" is a password.
        raise ValueError("is not a URL with a host and, if any, a numeric port") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"{quoted(text)} must begin with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("a URL must not hold credentials; use api_key")
    if not parts.hostname or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"{quoted(text)} is not a URL with a host")
    if parts.query or parts.fragment:
        raise ValueError(f"{quoted(text)} must end with its path, without ? or #")
    if port == 0:
        raise ValueError("port 0 is no port")


def _network(text: str) -> None:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f'{quoted(text)} is not an IP address or network such as "10.0.0.0/8"') from None


def _date(text: str) -> None:
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f'{quoted(text)} is not a date such as "2027-01-31" or "2027-01-31T12:00:00Z"') from None


def _reference(text: str) -> None:
    if text.startswith("env:") and not _VARIABLE.fullmatch(text[4:]):
        raise ValueError('"env:" must be followed by the name of an environment variable')
    if text == "file:":
        raise ValueError('"file:" must be followed by a path')
    if text != text.strip() or not text.isprintable():
        raise ValueError("has a blank or control character at its ends or within it")


def _pointer(text: str) -> None:
    if not text.startswith(("env:", "file:")):
        raise ValueError('must be "env:NAME" or "file:PATH": this secret is never written into the file itself')
    _reference(text)


def _name(text: str) -> None:
    if not _NAME.fullmatch(text):
        raise ValueError(f'{quoted(text)} is not a name: letters, digits, ".", "_" and "-", at most 64, beginning with a letter or digit')


def _model_id(text: str) -> None:
    if not text or len(text) > 200 or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"{quoted(text)} is not a model id: printable ASCII without blanks, at most 200 characters")


_NEVER_EMPTY = ("name", "model", "usd", "price", "unit_price")

SPELLINGS: dict[str, Callable[[str], None]] = {
    "usd": _usd,
    "price": _price,
    "unit_price": _unit_price,
    "factor": _factor,
    "url": _url,
    "network": _network,
    "date": _date,
    "reference": _reference,
    "pointer": _pointer,
    "name": _name,
    "model": _model_id,
}
