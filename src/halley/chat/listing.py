"""A model as a list of models tells it, in no dialect's words, and a page of such a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from halley.chat.published import Parameter
from halley.errors import Condition, Refused

NUMBER = "^[0-9]{1,9}$"


class Listed(msgspec.Struct, frozen=True):
    """`context` and `output` are tokens, where they are known; `exchanges` is what it is for, by name."""

    id: str
    name: str
    owner: str
    description: str
    context: int | None
    output: int | None
    exchanges: frozenset[str] = frozenset()


class Lister(NamedTuple):
    """The list of models in one dialect's words. `write` takes what the query asked for, and raises Refused. `page` and `entry` are the
    shapes of what is written, `query` what may be asked for."""

    write: Callable[[Sequence[Listed], dict[str, str]], bytes]
    write_one: Callable[[Listed], bytes]
    page: type[msgspec.Struct]
    entry: type[msgspec.Struct]
    query: tuple[Parameter, ...] = ()


def asked(query: bytes) -> dict[str, str]:
    """A query's parameters; of a repeated one the last counts."""
    pairs = (pair.partition(b"=") for pair in query.split(b"&") if pair)
    return {_text(name): _text(value) for name, _, value in pairs}


def number(query: dict[str, str], name: str, default: int, most: int) -> int:
    """A page's size. Raises Refused."""
    text = query.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:9]) <= most or len(text) > 9:
        raise Refused(Condition.INVALID, f"{name}: a number from 1 to {most}.", param=name)
    return int(text)


def place(models: Sequence[Listed], id: str, param: str) -> int:
    """Where a model stands in the list. Raises Refused."""
    for index, model in enumerate(models):
        if model.id == id:
            return index
    raise Refused(Condition.INVALID, f"{param}: no model of the list has this id.", param=param)


def _text(raw: bytes) -> str:
    return unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8", "replace")
