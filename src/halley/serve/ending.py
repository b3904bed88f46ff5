"""The end of a relay: what is open is finished within the drain limit, then gets one refusal or error event; nobody is cut off silently.

It decides nothing about money: every request is settled on its own way out, and a hang-up during the drain is settled as a hang-up.
"""

from __future__ import annotations

import asyncio

from halley.errors import Condition, Refused
from halley.net.listener import Listener
from halley.serve.gateway import Gateway
from halley.serve.orders import Order, Orders

# How long a client that was told that its connection is kept may still use it: where newcomers are served by others, and where by nobody.
LEAVING_GRACE_S = 5.0
ENDING_GRACE_S = 1.0
# What is left for last words once nothing, or no more time, is left.
FLUSH_S = 1.0
_LOOK_S = 0.05


async def end(gateway: Gateway, listener: Listener, orders: Orders, limit: float) -> None:
    """Returns when no request is open here any more. `limit` is the loop's time at which the drain limit is reached."""
    loop = asyncio.get_running_loop()
    gateway.draining = True
    leaving = orders.given(Order.LEAVE)
    gateway.turning_away = not leaving
    listener.drain(LEAVING_GRACE_S if leaving else ENDING_GRACE_S)
    while loop.time() < limit and not orders.given(Order.NOW):
        leaving = orders.given(Order.LEAVE)
        if leaving:
            listener.stop_accepting()
        _sweep(listener)
        # While newcomers come, one of them is always expected: who turns them away waits only for what was there before.
        if not (gateway.runs or (listener.expecting if leaving else listener.busy)):
            break
        await asyncio.sleep(_LOOK_S)
    else:
        listener.give_up(_refusal())
        _expel(gateway, listener)
    if leaving:
        listener.stop_accepting()
    else:
        orders.say("finished")
        await orders.wait(Order.CLOSE)
        await listener.take_the_rest()
    last = loop.time() >= limit or orders.given(Order.NOW)
    flushed = loop.time() + FLUSH_S
    while True:
        if last:
            listener.drain(0.0)
        # Who was accepted in this very turn of the loop is known in the next one: nobody is left before it.
        await asyncio.sleep(_LOOK_S / 2)
        _sweep(listener)
        if not (gateway.runs or listener.expecting) or loop.time() >= flushed:
            break
    # Who could not be answered in this time does not read; a request that came at the last moment is ended like the others.
    _expel(gateway, listener)
    gateway.journal.flush()
    listener.close_all()


def _expel(gateway: Gateway, listener: Listener) -> None:
    refusal = _refusal()
    for owner in {*gateway.runs, *listener.owners}:
        owner.expel(refusal)


def _sweep(listener: Listener) -> None:
    listener.clock.tick()
    listener.sweep()


def _refusal() -> Refused:
    return Refused(Condition.OVERLOADED, "The gateway is restarting; send the request again.", retry_after_s=1.0)
