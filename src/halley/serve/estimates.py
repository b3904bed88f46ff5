"""A count of tokens where no provider of the model counts: the gateway's own, marked as an estimate, and free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from halley.chat.usage import Usage
from halley.errors import Refused
from halley.serve import faults
from halley.serve.crossing import MOST_OBJECTS

if TYPE_CHECKING:
    from halley.serve.relay import Run


def answered(run: Run) -> bool:
    """Whether an admitted request needed no provider: it has its answer then, and no record, because nothing was asked and is owed."""
    dialect = run.route.dialect
    if dialect.estimate is None or dialect.swap is None or dialect.exchange in run.model.exchanges:
        return False
    body, model = run.request.body, run.model
    try:
        ask = dialect.swap.read(body, run.seen.model) if body.count(b"{") <= MOST_OBJECTS else None
    except Refused as refusal:
        run.refused(refusal)
        return True
    usage = Usage(run.input_guess) if ask is None else dialect.estimate(ask, model.learned.input_bytes)
    fields = b"%b%bx-halley-estimated: 1\r\n" % (faults.JSON, faults.identity(dialect, run.sent_id))
    run.dismiss((200, fields, dialect.swap.write_answer(usage, ask)))
    return True
