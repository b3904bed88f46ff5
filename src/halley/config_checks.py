"""What no single field of the settings can tell: names used twice, references to nothing, halves of pairs, models that nobody priced.

Pure: settings in, mistakes out. What only the machine can tell (secrets, files) is checked where the settings are put to use.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import msgspec

from halley import pricelist
from halley.config_build import Mistake, quoted, suggestion
from halley.policy.budgets import NONE, read_reset
from halley.pricelist import BY_NAME, PER_UNIT, Written
from halley.toml_lines import Address

if TYPE_CHECKING:
    from halley.config import Model, Settings


class Known(msgspec.Struct, frozen=True):
    """What the settings are held against.

    `kinds` are the known kinds of providers, `free` those whose models cost nothing unless a price is written; `packaged` holds the id of
    each model that comes with a price, and the kind of provider that brings it; `routes` are what a key can be limited to. An empty
    collection is held against nothing.
    """

    kinds: Collection[str] = ()
    free: Collection[str] = ()
    packaged: Collection[tuple[str, str]] = ()
    routes: Collection[str] = ()


NOTHING_KNOWN = Known()


def contradictions(settings: Settings, known: Known) -> Iterable[Mistake]:
    yield from _names(settings)
    yield from _providers(settings, known)
    if known.packaged:
        yield from _prices(settings, known)
    for index, model in enumerate(settings.models):
        yield from _unreadable(("models", index, "price"), model.price)
        for place, offer in enumerate(model.offers):
            yield from _unreadable(("models", index, "offers", place, "cost"), offer.cost)
    yield from _budgets(settings)
    if bool(settings.alerts.webhook_url) != bool(settings.alerts.webhook_secrets):
        yield Mistake(("alerts", "webhook_url"), "webhook_url and webhook_secrets go together; one of them is missing")
    for index, key in enumerate(settings.keys):
        if not key.key:
            yield Mistake(("keys", index, "key"), "is empty")
        for place, route in enumerate(key.routes or ()):
            if known.routes and route not in known.routes:
                message = f"{quoted(route)} is neither a path that calls a model nor the name of such{suggestion(route, known.routes)}"
                yield Mistake(("keys", index, "routes", place), message)
    if settings.egress.proxy:
        yield Mistake(("egress", "proxy"), "proxies towards providers are not supported by this version; remove it")
    if bool(settings.server.tls_cert) != bool(settings.server.tls_key):
        yield Mistake(("server", "tls_cert"), "tls_cert and tls_key go together; one of them is missing")


def _budgets(settings: Settings) -> Iterable[Mistake]:
    sections = (("accounts", settings.accounts), ("teams", settings.teams), ("keys", settings.keys))
    written = [((name, index, "budget"), row.budget) for name, rows in sections for index, row in enumerate(rows)]
    written += [(("accounts", index, "end_user_budget"), row.end_user_budget) for index, row in enumerate(settings.accounts)]
    for address, budget in written:
        if budget is None:
            continue
        try:
            reset = read_reset(budget.reset)
        except ValueError as wrong:
            yield Mistake((*address, "reset"), str(wrong))
            continue
        if budget.anchor is not None and reset == NONE:
            yield Mistake((*address, "anchor"), "says when periods begin, and without a reset there are none; remove it")
    yield from _twice("teams", [((index, "name"), f"{team.account}/{team.name}") for index, team in enumerate(settings.teams)])


def _names(settings: Settings) -> Iterable[Mistake]:
    yield from _twice("providers", [((index, "name"), each.name) for index, each in enumerate(settings.providers)])
    yield from _twice("accounts", [((index, "name"), each.name) for index, each in enumerate(settings.accounts)])
    yield from _twice("payments", [((index, "name"), each.name) for index, each in enumerate(settings.payments)])
    yield from _twice("keys", [((index, "name"), each.name) for index, each in enumerate(settings.keys)])
    ids = [((index, "id"), each.id) for index, each in enumerate(settings.models)]
    aliases = [((index, "aliases", place), alias) for index, each in enumerate(settings.models) for place, alias in enumerate(each.aliases)]
    yield from _twice("models", ids + aliases)


def _twice(section: str, entries: list[tuple[Address, str]]) -> Iterable[Mistake]:
    seen: set[str] = set()
    for address, name in entries:
        if name in seen:
            yield Mistake((section, *address), f"{quoted(name)} is used twice")
        seen.add(name)


def _providers(settings: Settings, known: Known) -> Iterable[Mistake]:
    names = [provider.name for provider in settings.providers]
    for index, model in enumerate(settings.models):
        for place, offer in enumerate(model.offers):
            if offer.provider not in names:
                message = f"no provider is named {quoted(offer.provider)}{suggestion(offer.provider, names)}"
                yield Mistake(("models", index, "offers", place, "provider"), message)
    for index, provider in enumerate(settings.providers):
        if known.kinds and provider.kind not in known.kinds:
            message = f"{quoted(provider.kind)} is not a known kind{suggestion(provider.kind, known.kinds)}"
            yield Mistake(("providers", index, "kind"), message)
        if len(provider.api_keys) + bool(provider.api_key) > 1:
            yield Mistake(("providers", index, "api_keys"), "this version uses one key per provider; write a second provider for the other")


def _prices(settings: Settings, known: Known) -> Iterable[Mistake]:
    for index, model in enumerate(settings.models):
        keys = model.price.keys
        missing = [direction for direction in ("input", "output") if direction not in keys]
        if model.hidden:
            continue
        if not keys and not _priced_elsewhere(model, settings, known):
            written = 'price = { input = "1.25", output = "10" }, or { input = "0", output = "0" } if it is free'
            message = f"is missing, and no provider here brings this model with a price; write {written} (USD per million tokens)"
            yield Mistake(("models", index, "price"), message)
        elif keys and missing and keys.isdisjoint((*PER_UNIT, *BY_NAME)):
            message = f'has no {" and no ".join(missing)} price; write "0" for what is free'
            yield Mistake(("models", index, "price"), message)


def _unreadable(address: Address, written: Written) -> Iterable[Mistake]:
    """What only shows when all keys of a price are held together."""
    try:
        pricelist.read(written)
    except ValueError as wrong:
        yield Mistake(address, str(wrong))


def _priced_elsewhere(model: Model, settings: Settings, known: Known) -> bool:
    """Whether the model has a price, or is free, without one in its table."""
    configured = {provider.name: provider.kind for provider in settings.providers if provider.enabled}
    if any((model.id, kind) in known.packaged for kind in configured.values()):
        return True
    kinds = {configured[offer.provider] for offer in model.offers if offer.provider in configured}
    # An offer of a provider that is off serves nobody; an offer of one that is not there is a mistake of its own.
    return kinds <= set(known.free) if model.offers else model.id.startswith("local/")
