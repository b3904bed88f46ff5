"""A count of tokens where no provider of the model counts: the gateway's own, marked as an estimate, and free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halley.chat.usage import Usage
from halley.errors import Refused
from halley.serve import faults
from halley.serve.crossing import is_small

if TYPE_CHECKING:
    from typing import Any

    from halley.dialects import Dialect
    from halley.serve.answers import Answer
    from halley.serve.relay import Run


def answered(run: Run) -> bool:
    """Whether an admitted request needed no provider: it has its answer then, and no record, because nothing was asked and is owed."""
    dialect = run.route.dialect
    if dialect.estimate is None or dialect.swap is None or (dialect.exchange in run.model.exchanges and _is_asked(run)):
        return False
    body = run.request.body
    try:
        ask = dialect.swap.read(body, run.seen.model) if is_small(body) else None
    except Refused as refusal:
        run.refused(refusal)
        return True
    run.dismiss(estimate(run, dialect, ask, faults.JSON + faults.identity(dialect, run.sent_id)))
    return True


def _is_asked(run: Run) -> bool:
    """Whether a provider of the model is worth asking: a large body is not translated on the relay's loop to be counted."""
    if is_small(run.request.body):
        return True
    ways = (offer.host.way(run.route.dialect) for offer in run.model.offers)
    return any(way is not None and way.dialect is run.route.dialect for way in ways)


def estimate(run: Run, dialect: Dialect, ask: Any, fields: bytes) -> Answer:
    """Of an ask in its own dialect, None of one that is too large to be read."""
    assert dialect.estimate is not None and dialect.swap is not None
    usage = Usage(run.input_guess) if ask is None else dialect.estimate(ask, run.model.learned.input_bytes)
    return 200, b"%bx-halley-estimated: 1\r\n" % fields, dialect.swap.write_answer(usage, ask)
