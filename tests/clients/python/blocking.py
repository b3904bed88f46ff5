"""An asynchronous client under the verbs of a synchronous one: whatever it would have awaited is waited for.

The verbs of an SDK are written once, for its synchronous client. Its asynchronous client has the same names, and this makes them answer at
once, so that both are driven by the same words. What the SDK does in between, it does in its own asynchronous code.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pydantic

# From the makers of the synchronous and of the asynchronous client, the one to drive.
Client = Callable[[Any, Any], Any]
_LOOP = asyncio.new_event_loop()
_DATA = (pydantic.BaseModel, str, bytes, int, float, list, dict, tuple, type(None))


def plain(synchronous: Any, _asynchronous: Any) -> Any:
    return synchronous


def blocking(_synchronous: Any, asynchronous: Any) -> Any:
    return lambda *given, **named: Blocking(asynchronous(*given, **named))


def _waited(value: Any) -> Any:
    """What comes of it: data as it is, everything else wrapped again."""
    if inspect.isawaitable(value):
        value = _LOOP.run_until_complete(_done(value))
    paged = isinstance(value, pydantic.BaseModel) and hasattr(value, "__aiter__")
    return value if isinstance(value, _DATA) and not paged else Blocking(value)


async def _done(value: Any) -> Any:
    return await value


class Blocking:
    """Something of an SDK, of which attributes, calls, loops and `with` need no `await`."""

    def __init__(self, thing: Any) -> None:
        self._thing = thing

    def __getattr__(self, name: str) -> Any:
        return _waited(getattr(self._thing, name))

    def __call__(self, *given: Any, **named: Any) -> Any:
        return _waited(self._thing(*given, **named))

    def __enter__(self) -> Any:
        return _waited(self._thing.__aenter__())

    def __exit__(self, *error: Any) -> None:
        _waited(self._thing.__aexit__(*error))

    def __iter__(self) -> Iterator[Any]:
        things = aiter(self._thing)
        while True:
            try:
                thing = _waited(anext(things))
            except StopAsyncIteration:
                return
            yield thing
