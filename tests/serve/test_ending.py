"""The end of a relay: nobody who was accepted is left without an answer."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from halley.serve.ending import end
from halley.serve.orders import Order


class Door:
    """A listener that accepts one more client in the turn of the loop in which it is told to accept nobody."""

    def __init__(self) -> None:
        self.clock = SimpleNamespace(tick=lambda: None)
        self.waiting: list[str] = []
        self.served: list[str] = []
        self.cut: list[str] = []
        self.owners: list[object] = []
        self.busy = self._stopped = False

    @property
    def expecting(self) -> bool:
        return bool(self.waiting)

    def drain(self, grace_s: float) -> None: ...

    def stop_accepting(self) -> None:
        if not self._stopped:
            self._stopped = True
            asyncio.get_running_loop().call_soon(self.waiting.append, "late")

    async def take_the_rest(self) -> None:
        self.stop_accepting()

    def sweep(self) -> None:
        """Whoever waits has asked and is answered, a look later."""
        ready, self.waiting = self.waiting, []
        asyncio.get_running_loop().call_soon(self.served.extend, ready)

    def close_all(self) -> None:
        self.cut = [*self.waiting]


@pytest.mark.parametrize("order", [Order.LEAVE, Order.CLOSE])
def test_who_is_accepted_at_the_last_moment_is_served(order: Order) -> None:
    door = Door()
    orders = SimpleNamespace(
        given=lambda asked: asked <= order and order is Order.LEAVE, wait=lambda asked: asyncio.sleep(0), say=lambda word: None
    )
    gateway = SimpleNamespace(runs=set[object](), draining=False, turning_away=False, journal=SimpleNamespace(flush=lambda: None))

    async def run() -> None:
        await end(cast(Any, gateway), cast(Any, door), cast(Any, orders), asyncio.get_running_loop().time() + 5.0)
        await asyncio.sleep(0)

    asyncio.run(run())
    assert (door.served, door.cut) == (["late"], [])
