"""Admission: a visible tuple of checks, each of which refuses or adds what it found. Nothing is spent before all of them have passed.

`UNTIL_READ` and `AFTER_READING` run in order on every request of every exchange; the limits and the hold are taken last, so that a refused
request leaves no trace.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from halley.chat.hosted import most_calls
from halley.chat.usage import Usage, tier_named
from halley.errors import Condition, Refused
from halley.exchanges.record import Carriers
from halley.policy import urls
from halley.policy.pricing import Worst
from halley.serve.credentials import find_caller
from halley.serve.hold import LEAST_OUTPUT, Hold
from halley.serve.keeping import with_its_provider
from halley.serve.peers import within
from halley.serve.tables import DEFAULT_OUTPUT_CAP, Caller, Model
from halley.wire import jsonbody

if TYPE_CHECKING:
    from halley.net.server import Request
    from halley.serve.gateway import Gateway
    from halley.serve.relay import Run

MOST_IMAGE_TOKENS = 50_000
_ANY_TIER = (None, "auto")  # the provider chooses

# Halley does not fetch these itself, so the port and the transport are the provider's business; where they lead is not.
_FETCHED_BY_PROVIDERS = urls.UrlPolicy(plain_http=True, ports=None)


def head_fields(run: Run) -> None:
    check = run.route.dialect.check_fields
    if check is not None:
        check(run.request.fields)
    value = run.request.fields.get(b"content-type")
    if value is None or value == b"application/json":
        return
    kind, _, parameters = value.lower().partition(b";")
    charset = parameters.replace(b" ", b"").replace(b'"', b"")
    if kind.strip() != b"application/json" or charset not in (b"", b"charset=utf-8"):
        raise Refused(Condition.WRONG_TYPE, "Send the body as application/json in UTF-8.")


def credential(run: Run) -> None:
    run.caller = caller = welcome_caller(run.gateway, run.request, run.route.carriers)
    if caller.routes is not None:
        check_routes(caller, frozenset({run.route.dialect.exchange, run.route.text}))
    run.account = caller.account


def check_routes(caller: Caller, names: frozenset[str]) -> None:
    """Raises Refused (403) if the key may call nothing of these names."""
    routes = caller.routes
    if routes is not None and routes.isdisjoint(names):
        words = f"may be used for {', '.join(sorted(routes))} only" if routes else "calls no models: it lacks the scope inference"
        raise Refused(Condition.NOT_ALLOWED, f"This API key {words}.")


def welcome_caller(gateway: Gateway, request: Request, carriers: Carriers) -> Caller:
    """The caller of a key that is in force and may be used from where the request comes. Raises Refused (401, 403)."""
    caller = find_caller(request, gateway.tables, carriers)
    if caller.expires_at is not None and caller.expires_at <= gateway.clock.wall:
        raise Refused(Condition.BAD_KEY, "This API key has expired; create or rotate one.")
    if caller.networks is not None and not within(gateway.peers.address(request), caller.networks):
        raise Refused(Condition.NOT_ALLOWED, "This API key may not be used from this address.")
    return caller


def not_ending(run: Run) -> None:
    if run.gateway.turning_away:
        raise Refused(Condition.OVERLOADED, "The gateway is restarting; send the request again.", retry_after_s=1.0)


def read(run: Run) -> None:
    run.seen = run.route.dialect.peek(run.request.body, run.request.path)


def known_model(run: Run) -> None:
    models = run.gateway.tables.models
    name = run.seen.model
    model = models.get(name)
    if model is None:
        if "\0" in name or not name.strip():
            raise Refused(Condition.INVALID, "model is not a name: it holds nothing, or NUL.", param="model")
        raise unknown_model(name, [visible.id for visible in run.gateway.tables.visible(run.caller)])
    allowed = run.caller.models
    if allowed is not None and model.id not in allowed:
        raise Refused(Condition.NOT_ALLOWED, f'This API key may not use the model "{name[:128]}".', param="model")
    if not model.offers:
        raise Refused(Condition.NO_PROVIDER, f'No provider serves the model "{model.id}" now.', retry_after_s=5.0)
    dialect = run.route.dialect
    if dialect.exchange not in model.exchanges and dialect.estimate is None:
        words = f'No provider of the model "{model.id}" serves {run.route.text}; it is no model for this.'
        raise Refused(Condition.INVALID, words, param="model")
    run.model = model if dialect.billed else model.unbilled
    run.offers = model.offers


def unknown_model(name: str, known: Iterable[str]) -> Refused:
    near = difflib.get_close_matches(name[:128], list(known), 3, 0.6)
    hint = " Did you mean " + " or ".join(f'"{other}"' for other in near) + "?" if near else " GET /v1/models lists what this key may use."
    return Refused(Condition.UNKNOWN_MODEL, f'The model "{name[:128]}" is not in the catalogue.{hint}', param="model")


def safe_urls(run: Run) -> None:
    """A URL that a provider would fetch for the caller must be one that anybody may fetch."""
    for url in run.seen.image_urls:
        if url.startswith("data:image/"):
            continue
        verdict = urls.judge(url, _FETCHED_BY_PROVIDERS)
        if isinstance(verdict, urls.Refusal):
            raise Refused(Condition.INVALID, f"The image_url is not allowed: {verdict.message}.", param="image_url")


def within_limits(run: Run) -> None:
    gateway = run.gateway
    over = run.caller.limits.take(run.token_guess, gateway.clock.now)
    if over is not None:
        raise Refused(Condition.RATE_LIMIT, f"The limit of {over[0]} of this API key is reached.", retry_after_s=over[1])
    run.limited = True


def journal_in_time(run: Run) -> None:
    """When nobody has folded the journal for a while, no more paid work is taken on."""
    if run.gateway.behind and not run.model.free:
        raise Refused(Condition.OVERLOADED, "Accounting is behind; paid models are refused until it has caught up.", retry_after_s=5.0)


def worst_case(run: Run) -> None:
    """How many tokens the request can use at most, about how many it will, and what to hold for them."""
    seen, model, size = run.seen, run.model, len(run.request.body)
    # Every token of a byte-level vocabulary is at least one byte; a linked picture is text of a few bytes and tokens of its own.
    most = size + MOST_IMAGE_TOKENS * len(seen.image_urls)
    if model.context is not None and model.context < most:
        most = model.context
    run.input_guess = guess = int(size / model.learned.input_bytes) + 1
    worst = model.worst if not model.worst.varied else varied_worst(run, most)
    cap = seen.cap
    if cap is None:
        run.token_guess = guess + LEAST_OUTPUT * seen.n
        strict = run.request.fields.get(b"x-halley-strict") == b"1"
        run.hold = Hold(run.account, worst, most, _own_cap(run, model, strict=strict), seen.n, flexible=not strict)
    else:
        run.token_guess = guess + cap * seen.n
        if model.max_output is not None and model.max_output < cap:
            cap = model.max_output
        run.hold = Hold(run.account, worst, most, cap, seen.n, flexible=False)
    levels = run.caller.levels
    if levels is not None:
        run.hold.pots = levels.pots(run.request, seen.members, run.route.dialect.end_user, run.gateway.wall())


def varied_worst(run: Run, most: int) -> Worst:
    """The worst case at a price that depends on the request: how long it is, which tools the provider may call, which tier it names."""
    worst, dialect, seen = run.model.worst, run.route.dialect, run.seen
    calls = most_calls(run.request.body, seen.members, dialect.hosted, worst.tools) if worst.tools else {}
    tier = jsonbody.word(seen.members, dialect.tier_field) if worst.factors else None
    tools = {name: most_of * seen.n for name, most_of in calls.items()}
    return worst.request(Usage(most, tools=tools), run.model.unasked_tier if tier in _ANY_TIER else tier_named(tier))


def _own_cap(run: Run, model: Model, *, strict: bool) -> int:
    """Without a cap in the request: the model's own, or the operator's smaller one, which is then sent upstream."""
    cap = model.max_output
    if cap is not None and (model.default_cap is None or model.default_cap >= cap):
        return cap
    cap = model.default_cap or DEFAULT_OUTPUT_CAP
    if not model.free:
        if strict:
            words = f"max_tokens would be set to {cap} for this request; send a cap, or no x-halley-strict."
            raise Refused(Condition.INVALID, words, param="max_tokens")
        run.sent_cap = cap
    return cap


Checks = tuple[Callable[["Run"], None], ...]

BEFORE_READING: Checks = (credential, not_ending, head_fields)
UNTIL_READ: Checks = (*BEFORE_READING, read)
AFTER_READING: Checks = (
    known_model,
    with_its_provider,
    safe_urls,
    journal_in_time,
    worst_case,
    within_limits,
)


def passes(run: Run, checks: Checks) -> bool:
    """Whether all of them let it pass; if not, it has been refused."""
    try:
        for check in checks:
            check(run)
    except Refused as refusal:
        run.refused(refusal)
        return False
    return True
