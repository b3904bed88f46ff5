"""What a request would cost, without sending it: the checks of admission, then its worst case and what is expected of it. Nothing is held,
recorded or counted against a limit.

`POST /api/quote?path=/v1/messages` with the very body that would go there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec

from halley.chat.usage import Usage
from halley.errors import Condition, Refused
from halley.exchanges import listing
from halley.exchanges.standing import Quote, QuoteCase, QuoteLine
from halley.money import NanoDollars, ceiling, show, show_rate_per_million, show_rate_per_unit
from halley.net.request import Request
from halley.policy.pricing import Line, Worst
from halley.pricelist import PER_MILLION
from halley.serve import admit, routes
from halley.serve.lectern import LARGE_BODY
from halley.serve.relay import Run

if TYPE_CHECKING:
    from halley.serve.gateway import Gateway

CHECKS: admit.Checks = (admit.credential, admit.head_fields, admit.read, admit.known_model, admit.safe_urls, admit.worst_case)
# What an answer is expected to have before any of this model's streams has taught better.
_FIRST_GUESS = 256


def answer(gateway: Gateway, request: Request) -> bytes:
    """The quote. Raises Refused as the request itself would be."""
    if len(request.body) > LARGE_BODY:
        raise Refused(Condition.BODY_TOO_LARGE, f"A quote takes bodies of up to {LARGE_BODY} bytes.")
    admit.welcome_caller(gateway, request, listing.CARRIERS)
    asked = parse_qs(request.query.decode("latin-1")).get("path", ["/v1/chat/completions"])[-1]
    served = routes.find(b"POST", asked.encode("latin-1", "replace"))
    if served is None:
        raise Refused(Condition.INVALID, "path is no route that takes a request; send for example ?path=/v1/messages.", param="path")
    path = asked.encode("latin-1")
    copy = Request(request.connection, b"POST", path, b"", request.fields, request.body, "1.1", request.received, keep=True)
    run = Run(gateway, copy, served.route._replace(carriers=listing.CARRIERS))
    for check in CHECKS:
        check(run)
    return msgspec.json.encode(_quote(run, asked))


def _quote(run: Run, path: str) -> Quote:
    hold, model = run.hold, run.model
    most_out = hold.cap * hold.choices
    answered = int(model.learned.answer_tokens) or _FIRST_GUESS
    expected = Usage(min(run.input_guess, hold.input_most), min(answered * hold.choices, most_out))
    return Quote(
        model=model.id,
        path=path,
        price_version=model.version,
        cap=hold.cap,
        worst=QuoteCase(hold.input_most, most_out, *_money(hold.need), _worst_lines(hold.worst, hold.input_most, most_out)),
        expected=QuoteCase(
            expected.input,
            expected.output,
            *_money(model.tariff.charge(expected)),
            tuple(_line(line) for line in model.tariff.lines(expected)),
        ),
    )


def _worst_lines(worst: Worst, inputs: int, outputs: int) -> tuple[QuoteLine, ...]:
    """Each rounded up by itself; the hold rounds their sum once."""
    tokens = (
        Line("input", inputs, worst.input, ceiling(inputs * worst.input)),
        Line("output", outputs, worst.output, ceiling(outputs * worst.output)),
    )
    beside = Line("per_request", 1, worst.per_request, ceiling(worst.per_request))
    return tuple(_line(line) for line in (*tokens, beside) if line.count and line.rate)


def _line(line: Line) -> QuoteLine:
    rate = show_rate_per_million(line.rate) if line.unit in PER_MILLION else show_rate_per_unit(line.rate)
    return QuoteLine(line.unit, line.count, rate, *_money(line.amount))


def _money(amount: NanoDollars) -> tuple[str, NanoDollars]:
    return show(amount), amount
