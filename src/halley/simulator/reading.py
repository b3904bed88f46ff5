"""A body as the simulator reads it: one value and the place where it stands, so that every refusal can name its field.

It knows no dialect. `Node` takes names as they are written; `Loose` also takes the snake_case spelling, as Google's JSON does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Self, cast

import msgspec

from halley.errors import HalleyError
from halley.simulator.schema import Json, first_lax

Path = tuple[str | int, ...]


class BadBody(HalleyError):
    """A body that the real provider would refuse; `path` is the field. `code` where the provider has one of its own."""

    def __init__(self, path: Path, why: str, code: str | None = None) -> None:
        super().__init__(why)
        self.path = path
        self.why = why
        self.code = code

    def at(self, bracket: bool) -> str:
        """`messages[0].content` or, without brackets, `messages.0.content`."""
        if not bracket:
            return ".".join(str(step) for step in self.path)
        text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        return text.removeprefix(".")


class Node:
    """A JSON value with its place. Readers raise BadBody."""

    __slots__ = ("path", "value")

    def __init__(self, value: Json, path: Path = ()) -> None:
        self.value = value
        self.path = path

    @classmethod
    def of(cls, body: bytes) -> Self:
        """The top of a body, which must be an object."""
        try:
            value = cast(Json, msgspec.json.decode(body))
        except msgspec.DecodeError as fault:
            raise BadBody((), f"The body is not JSON: {fault}.") from fault
        if not isinstance(value, dict):
            raise BadBody((), "The body must be a JSON object.")
        return cls(value)

    def bad(self, why: str, code: str | None = None) -> BadBody:
        return BadBody(self.path, why, code)

    def find(self, name: str) -> Self | None:
        """The field, None where it is absent or null."""
        fields = self.fields()
        for spelling in self.spellings(name):
            value = fields.get(spelling)
            if value is not None:
                return type(self)(value, (*self.path, spelling))
        return None

    def need(self, name: str) -> Self:
        found = self.find(name)
        if found is None:
            raise BadBody((*self.path, name), "Field required.")
        return found

    def fields(self) -> dict[str, Json]:
        if not isinstance(self.value, dict):
            raise self.bad("An object is expected here.")
        return self.value

    def items(self) -> list[Self]:
        if not isinstance(self.value, list):
            raise self.bad("An array is expected here.")
        return [type(self)(value, (*self.path, index)) for index, value in enumerate(self.value)]

    def text(self, *words: str) -> str:
        """A string; one of `words` where some are given."""
        if not isinstance(self.value, str):
            raise self.bad("A string is expected here.")
        if words and self.value not in words:
            raise self.bad(f"{self.value!r} is not one of {', '.join(words)}.")
        return self.value

    def whole(self, least: int | None = None, most: int | None = None) -> int:
        value = self.value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.bad("An integer is expected here.")
        self._within(value, least, most)
        return value

    def number(self, least: float | None = None, most: float | None = None) -> float:
        if not isinstance(self.value, int | float) or isinstance(self.value, bool):
            raise self.bad("A number is expected here.")
        self._within(self.value, least, most)
        return self.value

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.bad("A boolean is expected here.")
        return self.value

    def only(self, *names: str) -> None:
        """Refuses every field that is not named."""
        allowed = {spelling for name in names for spelling in self.spellings(name)}
        for name in self.fields():
            if name not in allowed:
                raise BadBody((*self.path, name), f"Unknown field {name!r}: extra inputs are not permitted.")

    def texts(self) -> Iterator[str]:
        for item in self.items():
            yield item.text()

    def spellings(self, name: str) -> tuple[str, ...]:
        return (name,)

    def _within(self, value: float, least: float | None, most: float | None) -> None:
        if least is not None and value < least:
            raise self.bad(f"Must be at least {least}, not {value}.")
        if most is not None and value > most:
            raise self.bad(f"Must be at most {most}, not {value}.")


class Loose(Node):
    """A node whose fields may also be written in snake_case."""

    __slots__ = ()

    def spellings(self, name: str) -> tuple[str, ...]:
        snake = re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)
        return (name,) if snake == name else (name, snake)


def strict_schema(schema: Node | None, strict: Node | None) -> None:
    """Where OpenAI is told to hold a schema strictly, it must be one that can be. Raises BadBody."""
    if schema is None or strict is None or not strict.flag():
        return
    lax = first_lax(schema.value)
    if lax is not None:
        why = "With `strict`, `additionalProperties` must be false and `required` must name every property."
        raise BadBody((*schema.path, *lax), why, "invalid_json_schema")


def flag(node: Node, name: str) -> bool:
    found = node.find(name)
    return found is not None and found.flag()


def text(node: Node, name: str, otherwise: str = "") -> str:
    found = node.find(name)
    return otherwise if found is None else found.text()


def check(node: Node, rules: dict[str, Callable[[Node], object]]) -> None:
    """Applies each rule to its field where the field is given."""
    for name, rule in rules.items():
        found = node.find(name)
        if found is not None:
            rule(found)
