"""How a request ends before its answer does: its client hangs up, the gateway is to end, or our own code fails. Whatever was taken is
settled, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from halley.errors import Refused
from halley.policy.settlement import BROKE, FAILED, abandoned, stops_at_hang_up
from halley.serve import faults
from halley.serve.stages import ADMISSION, ASKING, ENDING, HEAD, OVER, STREAM, WHOLE

if TYPE_CHECKING:
    from halley.serve.relay import Run

_CALLING = (HEAD, STREAM, WHOLE)


def client_gone(run: Run) -> None:
    """The client hung up: cancel the upstream where that stops its bill, else read on in the background, within the caps."""
    run.connection = None
    if run.stage in ASKING:
        run.gateway.forget(run)
        run.dismiss()
    elif run.stage in _CALLING and run.call is not None:
        stops = stops_at_hang_up(streams=run.seen.stream, cancels=run.offer.host.cancels)
        if not stops and run.gateway.drains.adopt(run, run.gateway.clock.now):
            run.call.resume()
            return
        abandon(run)


def abandon(run: Run) -> None:
    """Stop the upstream now and settle what was delivered."""
    call = run.call
    if call is None or run.stage not in _CALLING:
        return
    sent = call.sent
    call.abort()
    run.conclude(abandoned(sent=sent), 499)


def expel(run: Run, refusal: Refused) -> None:
    """The drain limit is reached: one error event, everything settled, whatever the stage. Who had left is settled as that."""
    if run.stage in _CALLING and run.call is not None:
        if run.connection is None:
            abandon(run)
        else:
            run.call.abort()
            run.fail(refusal, BROKE if run.headed and run.metered else FAILED)
    elif run.stage is ADMISSION or run.stage in ASKING:
        run.gateway.forget(run)
        run.refused(refusal)


def broke(run: Run) -> None:
    """A bug of ours, already logged: end the request as far as that is still possible."""
    if run.stage is ADMISSION or run.stage in ASKING:
        run.refused(faults.bug())
    elif run.stage in (ENDING, OVER):
        if run.connection is not None:
            run.connection.cut()
    else:
        if run.call is not None:
            run.call.abort()
        run.fail(faults.bug(), BROKE if run.headed and run.metered else FAILED)
