"""What is taken over from another gateway: rows of a configuration file, what they could not say, and the file's text. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import cast

import msgspec

from halley.policy.catalogue import packaged
from halley.pricelist import NOTHING, Written, read
from halley.providers.compatible import KINDS
from halley.secret import Secret

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


class Upstream(msgspec.Struct, frozen=True):
    """A provider. `api_key` is a reference (`env:NAME`) or the key itself, empty where there is none."""

    name: str
    kind: str
    base_url: str = ""
    api_key: Secret = Secret("")
    enabled: bool = True


class Served(msgspec.Struct, frozen=True):
    """One way to serve a model."""

    provider: str
    model: str
    weight: int = 1
    priority: int = 0


class Offered(msgspec.Struct):
    id: str
    offers: list[Served]
    price: Written = NOTHING
    aliases: list[str] = []
    context: int | None = None
    max_output: int | None = None


class Carried(msgspec.Struct):
    """`lost` says what was not carried and what to do about it; `after` are commands to run when the gateway is up."""

    providers: list[Upstream] = []
    models: list[Offered] = []
    accounts: list[str] = []
    lost: list[str] = []
    after: list[str] = []
    _named: dict[tuple[str, str, str, bool], str] = {}
    _by_id: dict[str, Offered] = {}
    _taken: dict[str, int] = {}

    def provider(self, kind: str, base_url: str, api_key: Secret, name: str = "", *, enabled: bool = True) -> str:
        """The name of such a provider, which is made unless there is one already."""
        what = (kind, base_url, api_key.reveal(), enabled)
        if what in self._named:
            return self._named[what]
        wanted = free = _UNFIT.sub("-", name or kind).strip("-.")[:48] or kind
        while free in self._taken:
            self._taken[wanted] += 1
            free = f"{wanted}-{self._taken[wanted]}"
        self._taken[free] = 1
        self._named[what] = free
        self.providers.append(Upstream(free, kind, base_url, api_key, enabled))
        return free

    def model(self, name: str) -> Offered:
        """The model of that name, which is made unless there is one already."""
        found = self._by_id.get(name)
        if found is None:
            found = self._by_id[name] = Offered(name, [])
            self.models.append(found)
        return found

    def price(self, model: Offered, price: Written, where: str) -> None:
        """What a model costs, unless a price list cannot say it: that is lost."""
        try:
            read(price)
        except ValueError as fault:
            self.lost.append(f"{where} ({model.id}): its price is none, {str(fault)[-200:]}")
        else:
            model.price = price

    def priced(self) -> None:
        """Give models without a price what the packaged catalogue knows of them; say of which nobody knows one."""
        kinds = {provider.name: provider.kind for provider in self.providers}
        costs = {(model.kind, model.id): model.cost for model in packaged().models}
        for model in self.models:
            places = [(kinds[offer.provider], offer.model) for offer in model.offers]
            if model.price == NOTHING and not any((kind, model.id) in costs for kind, _ in places):
                model.price = next((costs[place] for place in places if place in costs), NOTHING)
                if model.price == NOTHING and not all(KINDS[kind].free for kind, _ in places):
                    self.lost.append(f"{model.id}: no price is known; write one, or the configuration is refused")


def text(carried: Carried, source: str, *, secrets: bool) -> str:
    """The configuration file. Without `secrets` keys are left out, so that it may be shown."""
    parts = [f"# Taken over from {source} by `halley import`; check it with `halley config check`.\n"]
    for provider in carried.providers:
        rows: list[tuple[str, object]] = [("name", provider.name), ("kind", provider.kind)]
        if provider.base_url:
            rows.append(("base_url", provider.base_url))
        if key := provider.api_key.reveal():
            rows.append(("api_key", key if secrets or key.startswith("env:") else "…"))
        if not provider.enabled:
            rows.append(("enabled", False))
        parts.append("[[providers]]\n" + _rows(rows))
    for model in carried.models:
        rows = [("id", model.id)]
        rows += [(name, value) for name in ("aliases", "context", "max_output") if (value := getattr(model, name))]
        rows.append(("offers", [_offer(offer, model.id) for offer in model.offers]))
        if model.price != NOTHING:
            rows.append(("price", msgspec.to_builtins(model.price)))
        parts.append("[[models]]\n" + _rows(rows))
    parts += [f'[[accounts]]\nname = {_value(name)}\ncredit = "prepaid"\n' for name in carried.accounts]
    if carried.after:
        parts.append("".join(f"# {command}\n" for command in ("When the gateway runs:", *carried.after)))
    return "\n".join(parts)


def _offer(offer: Served, name: str) -> dict[str, object]:
    row: dict[str, object] = {"provider": offer.provider}
    if offer.model != name:
        row["model"] = offer.model
    if offer.weight != 1:
        row["weight"] = offer.weight
    if offer.priority:
        row["priority"] = offer.priority
    return row


def _rows(rows: Iterable[tuple[str, object]]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in rows)


def _value(value: object) -> str:
    match value:
        case dict():
            pairs = cast("dict[str, object]", value).items()
            return "{ " + ", ".join(f"{_bare(key)} = {_value(each)}" for key, each in pairs) + " }"
        case list() | tuple():
            return "[" + ", ".join(_value(each) for each in cast("list[object]", value)) + "]"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case _:
            return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def _bare(key: str) -> str:
    return key if key and not _UNFIT.search(key) and "." not in key else json.dumps(key)
