"""Values that cannot be printed by accident.

A `Secret` (text) or `SecretBytes` shows as `Secret(…)` in every rendering Python has and is refused by every serialiser; the plain value
leaves only through `reveal()`, which is easy to search for.
"""

from __future__ import annotations

import hmac
from typing import Generic, NoReturn, TypeVar, cast

T = TypeVar("T", str, bytes)


class _Hidden(Generic[T]):
    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def reveal(self) -> T:
        return self._value

    def _raw(self) -> bytes:
        value = self._value
        return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")

    def __bool__(self) -> bool:
        """Whether there is anything to keep."""
        return bool(self._value)

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __dir__(self) -> list[str]:
        return ["reveal"]

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and hmac.compare_digest(self._raw(), cast("_Hidden[T]", other)._raw())

    def __hash__(self) -> int:
        return hash((type(self), self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is neither pickled nor copied")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a Secret is neither pickled nor copied")


class Secret(_Hidden[str]):
    __slots__ = ()


class SecretBytes(_Hidden[bytes]):
    __slots__ = ()


def revealed(value: object) -> str | bytes:
    """For an encoder whose output only another process of this node can read (msgspec's `enc_hook`). Raises NotImplementedError."""
    if isinstance(value, Secret | SecretBytes):
        return value.reveal()
    raise NotImplementedError


def hidden(kind: type, value: object) -> object:
    """The other way round (msgspec's `dec_hook`)."""
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    if kind is SecretBytes and isinstance(value, bytes):
        return SecretBytes(value)
    raise NotImplementedError
