"""The money of one ending at the relay: which usage counts, what is charged, and the record that says so.

The table itself is `policy.settlement.settle`. Here are the facts it needs: the upstream's report if there is one, else our own count of
what was delivered, from bytes and the model's learned bytes per token.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from halley.chat.usage import Usage
from halley.policy.settlement import COMPLETE, FAILED, Ending, counted
from halley.policy.settlement import settle as settled_by
from halley.serve.answers import losses
from halley.store.journal import End, Progress, Start
from halley.wire import jsonbody

if TYPE_CHECKING:
    from halley.serve.relay import Run

NOT_COUNTED = Usage()


def delivered(run: Run, output_bytes: int) -> Usage:
    """Own count: the prompt by its size, the output by the bytes of content that came."""
    output = math.ceil(output_bytes / max(run.model.learned.output_bytes, 1.0))
    return counted(run.meter.partial if run.metered else None, run.input_guess, output)


def start(run: Run) -> Start:
    """The record that must be written before anything goes upstream."""
    own = run.request.fields.get(b"x-request-id")
    return Start(
        run.id,
        run.gateway.wall(),
        run.account.id,
        run.caller.key,
        run.route.text,
        run.model.id,
        run.model.version,
        run.hold.amount,
        run.hold.leased,
        run.seen.stream,
        run.input_guess,
        own[:128].decode("latin-1") if own is not None else None,
        run.hold.held_in,
    )


def progress(run: Run) -> Progress:
    """What a crash at this moment would be charged by."""
    usage = delivered(run, run.meter.delivered_bytes)
    charge = min(run.model.tariff.charge(usage), run.hold.amount)
    return Progress(run.id, run.gateway.wall(), run.offer.host.name, usage, charge)


def conclude(run: Run, ending: Ending, status: int, reported: Usage | None, output_bytes: int) -> None:
    """Settle, free what was reserved, and queue the end record; `run.ended` follows when it is written."""
    gateway, model, request, hold = run.gateway, run.model, run.request, run.hold
    body_bytes = len(request.body)
    if run.metered:
        meter = run.meter
        if reported is None:
            reported = meter.usage
        if reported is None:
            output_bytes = output_bytes or meter.delivered_bytes
        elif ending == COMPLETE and model.learned.curious:
            model.learned.learn(body_bytes, reported.input, meter.delivered_bytes, reported.output)
    own = NOT_COUNTED
    if reported is None:
        own = delivered(run, output_bytes)
    elif model.row.price.tools and not reported.tools:
        reported = searched(run, reported)
    settled = settled_by(ending, model.tariff, hold.amount, reported=reported, delivered=own, after_break=gateway.tables.after_break)
    charge, usage = settled.charge, settled.usage
    hold.end(charge)
    run.caller.limits.give_back(run.token_guess, usage.input + usage.output, gateway.clock.now)
    run.limited = False
    provider = cancel = ""
    cost = None
    if run.attempts:
        provider, cancel = run.offer.host.name, run.offer.host.cancel
        if run.offer.cost is not None:
            cost = run.wasted + (_wasted(run) if ending == FAILED else run.offer.cost.charge(usage))
        counts = run.offer.by_status
        counts[status, ending] = counts.get((status, ending), 0) + 1
    received = request.received
    gateway.journal.append(
        End(
            run.id,
            gateway.wall(),
            ending,
            status,
            provider,
            usage,
            settled.estimated,
            charge,
            settled.loss,
            run.attempts,
            body_bytes,
            run.bytes_out + len(run.final) + (len(run.answer[2]) if run.answer is not None else 0),
            # Milliseconds in whole microseconds.
            int((run.admitted - received) * 1e6) / 1e3,
            int((run.first - received) * 1e6) / 1e3 if run.first else 0.0,
            int((gateway.monotonic() - received) * 1e6) / 1e3,
            run.upstream_id.decode("latin-1")[:128] if run.upstream_id is not None else None,
            losses(run),
            cost,
            cancel,
            model.tariff.unpriced(usage) if usage.tools or usage.service_tier or usage.images or usage.vendor else (),
        ),
        run.ended,
    )


def forget(run: Run) -> None:
    """The attempt came to nothing and another one follows: what it cost is the operator's, and nothing else of it stays."""
    run.wasted += _wasted(run)
    run.parts = None
    run.received = 0
    run.metered = False


def _wasted(run: Run) -> int:
    """What the provider charges for an attempt that delivered nothing, as far as it said so."""
    cost = run.offer.cost
    said = (run.meter.usage or run.meter.partial) if run.metered else None
    return cost.charge(said) if cost is not None and said is not None else 0


def searched(run: Run, reported: Usage) -> Usage:
    """The report of a provider that searches when it is told to and does not count searches: one for each answer."""
    if not run.attempts:
        return reported
    spoken = run.passage.spoken
    if not spoken.searched or "web_search" not in run.model.row.price.tools:
        return reported
    if spoken is run.route.dialect:
        told = bool(jsonbody.member(run.request.body, run.seen.members, spoken.searched))
    else:
        told = spoken.searched.encode() in run.passage.body
    if not told:
        return reported
    return msgspec.structs.replace(reported, tools={"web_search": run.seen.n})
