"""What a request would cost, without sending it: the checks of admission, then its worst case and what is expected of it. Nothing is held,
recorded or counted against a limit.

`POST /api/quote?path=/v1/messages` with the very body that would go there; `POST /api/quote/units` with counts of what prices count in, for
answers of every kind.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec

from halley.chat.usage import Usage, tier_named
from halley.errors import Condition, Refused
from halley.exchanges import listing
from halley.exchanges.standing import Quote, QuoteCase, QuoteLine, UnitQuote, Units, UnitsAsked
from halley.money import NanoDollars, ceiling, show, show_rate_per_million, show_rate_per_unit
from halley.net.request import Request
from halley.policy.pricing import Line, Worst, uncounted
from halley.pricelist import PER_MILLION, image_name
from halley.serve import admit, routes
from halley.serve.lectern import LARGE_BODY
from halley.serve.relay import Run

if TYPE_CHECKING:
    from halley.serve.gateway import Gateway


def whole(run: Run) -> None:
    """A request that goes on from a kept answer is held with what was said earlier in front, which is asked of control and not here."""
    if run.seen.previous is not None or run.seen.named:
        words = "A request that goes on from a kept answer has no quote: send what was said earlier in input, in place of its id."
        raise Refused(Condition.INVALID, words, param="previous_response_id")


CHECKS: admit.Checks = (admit.credential, admit.head_fields, admit.read, whole, admit.known_model, admit.safe_urls, admit.worst_case)
# What an answer is expected to have before any of this model's streams has taught better.
_FIRST_GUESS = 256
_UNSERVED = (
    f"path is no route that is served with a body of its own; there are {', '.join(routes.bodies())}. Images, audio, video and other media"
    " are not served yet: /api/quote/units says what their units cost."
)
_asked = msgspec.json.Decoder(UnitsAsked).decode


def answer(gateway: Gateway, request: Request) -> bytes:
    """The quote. Raises Refused as the request itself would be."""
    if len(request.body) > LARGE_BODY:
        raise Refused(Condition.BODY_TOO_LARGE, f"A quote takes bodies of up to {LARGE_BODY} bytes.")
    admit.welcome_caller(gateway, request, listing.CARRIERS)
    asked = parse_qs(request.query.decode("latin-1")).get("path", ["/v1/chat/completions"])[-1]
    served = routes.find(b"POST", asked.encode("latin-1", "replace"))
    if served is None:
        raise Refused(Condition.INVALID, _UNSERVED, param="path")
    path = asked.encode("latin-1")
    copy = Request(request.connection, b"POST", path, b"", request.fields, request.body, "1.1", request.received, keep=True)
    run = Run(gateway, copy, served.route._replace(carriers=listing.CARRIERS))
    for check in CHECKS:
        check(run)
    return msgspec.json.encode(_quote(run, asked))


def of_units(gateway: Gateway, request: Request) -> bytes:
    """What these units are charged at. Raises Refused, for a unit that the model's price does not know also."""
    caller = admit.welcome_caller(gateway, request, listing.CARRIERS)
    try:
        asked = _asked(request.body)
        usage = _usage(asked.units)
    except (msgspec.MsgspecError, ValueError) as fault:
        raise Refused(Condition.INVALID, f'Send {{"model": …, "units": {{"images": 2}}}}: {fault}.', param="units") from None
    model = gateway.tables.models.get(asked.model)
    if model is None:
        raise admit.unknown_model(asked.model, [visible.id for visible in gateway.tables.visible(caller)])
    if caller.models is not None and model.id not in caller.models:
        raise Refused(Condition.NOT_ALLOWED, f'This API key may not use the model "{model.id}".', param="model")
    missing = uncounted(model.row.price, usage)
    if missing:
        words = f'The price of "{model.id}" does not count {", ".join(missing)}; nothing can be said of what it would cost.'
        raise Refused(Condition.INVALID, words, param="units")
    lines = tuple(_line(line) for line in model.tariff.lines(usage))
    usd, nano = _money(model.tariff.charge(usage))
    return msgspec.json.encode(UnitQuote(model=model.id, price_version=model.version, usd=usd, nano_dollars=nano, lines=lines))


def _usage(units: Units) -> Usage:
    """Raises ValueError."""
    sizes = {image_name(name): count for name, count in units.image.items()}
    if len(sizes) != len(units.image):
        raise ValueError("image: the same size and quality stands there twice")
    plain = {name: getattr(units, name) for name in (*PER_MILLION, "characters", "pages")}
    return Usage(
        **plain,
        images=max(units.images, sum(sizes.values())),
        milliseconds=math.ceil(Decimal(repr(units.seconds)) * 1000),
        tools=units.tool,
        service_tier=tier_named(units.service_tier),
        sizes=sizes or None,
        vendor=units.vendor or None,
    )


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
