"""A configuration of litellm's proxy as one of Halley's: providers, models, prices, aliases; and what of it has no place here. Pure.

Names of the two: https://docs.litellm.ai/docs/proxy/configs and docs/settings.md, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation, Overflow
from typing import cast

import msgspec

from halley.cli.carried import Carried, Offered, Served
from halley.pricelist import NOTHING, Written
from halley.providers.compatible import KINDS
from halley.secret import Secret

# Names that are the same for both stand in the provider table.
_PREFIXES = {name: name for name in KINDS} | {
    "cohere_chat": "cohere", "zai": "zhipu", "together_ai": "together", "fireworks_ai": "fireworks", "nvidia_nim": "nvidia",
    "ollama_chat": "ollama", "lm_studio": "lmstudio", "hosted_vllm": "vllm",
}  # fmt: skip
# Named alike, and spoken to in another way than these two are configured.
_ELSEWHERE = ("azure", "vertex", "bedrock", "local")
_BARE = (("claude", "anthropic"), ("gpt", "openai"), ("o1", "openai"), ("o3", "openai"), ("o4", "openai"), ("text-embedding", "openai"))
# The price of a deployment, and the key that it is here.
_PRICES = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write_5m",
    "output_cost_per_reasoning_token": "reasoning",
}
_PARAMETERS = {"model", "api_key", "api_base", "base_url", "weight", "order", *_PRICES}
Table = Mapping[str, object]


def carry(config: object) -> Carried:
    found = Carried()
    table = _table(config)
    if "model_list" not in table:
        found.lost.append("model_list: there is none; models that are kept in a database of litellm's are not read")
    for place, entry in enumerate(_list(table.get("model_list")), 1):
        _model(found, _table(entry), f"model_list entry {place}")
    router = _table(table.get("router_settings"))
    for alias, name in _table(router.get("model_group_alias")).items():
        model = next((each for each in found.models if each.id == name), None)
        if model is not None:
            model.aliases = [*model.aliases, alias]
        else:
            found.lost.append(f'router_settings.model_group_alias: "{alias}" leads to a model that is not in model_list')
    general = _table(table.get("general_settings"))
    if general.get("master_key"):
        found.lost.append(
            "general_settings.master_key: the gateway is administered on its own machine; `halley keys create` makes keys of clients"
        )
    if general.get("database_url"):
        found.lost.append(
            "general_settings.database_url: keys, teams and spend stay there; keys are hashes there, so that clients need new ones"
        )
    for section in ("litellm_settings", "router_settings", "general_settings", "environment_variables", "guardrails", "mcp_servers"):
        others = [key for key in _table(table.get(section)) if key not in ("model_group_alias", "master_key", "database_url")]
        if others:
            found.lost.append(f"{section}: {', '.join(others)} have no place here")
    found.priced()
    return found


def _model(found: Carried, entry: Table, where: str) -> None:
    name, parameters = str(entry.get("model_name") or ""), _table(entry.get("litellm_params"))
    target = str(parameters.get("model") or "")
    prefix, slash, rest = target.partition("/")
    base_url = str(parameters.get("api_base") or parameters.get("base_url") or "")
    kind = (
        (_PREFIXES.get(prefix) if prefix not in _ELSEWHERE else None)
        if slash
        else next((kind for begin, kind in _BARE if target.startswith(begin)), None)
    )
    if not name or kind is None:
        found.lost.append(f'{where}: "{target}" is of no kind that Halley calls; see docs/providers.md')
        return
    upstream = rest if slash else target
    if kind == "openai" and base_url and "api.openai.com" not in base_url:
        kind = "openai-compatible"
    if base_url.startswith("os.environ/"):
        found.lost.append(f"{where}: api_base is a variable, {base_url.removeprefix('os.environ/')}; write its value as base_url")
        base_url = ""
    provider = found.provider(kind, base_url.rstrip("/"), _key(parameters, kind))
    others = sorted(parameters.keys() - _PARAMETERS)
    if others:
        found.lost.append(f"{where} ({name}): {', '.join(others)} have no place here")
    if "*" in name or "*" in upstream:
        found.lost.append(f'{where}: "{name}" stands for every model; the provider "{provider}" brings those of the packaged catalogue')
        return
    model = found.model(name)
    weight, order = parameters.get("weight"), parameters.get("order")
    model.offers.append(
        Served(provider, upstream, max(weight, 1) if isinstance(weight, int) else 1, order if isinstance(order, int) else 0)
    )
    _describe(found, model, {**parameters, **_table(entry.get("model_info"))}, where)


def _describe(found: Carried, model: Offered, said: Table, where: str) -> None:
    context, most = said.get("max_input_tokens"), said.get("max_output_tokens")
    model.context = context if isinstance(context, int) else model.context
    model.max_output = most if isinstance(most, int) else model.max_output
    rates: dict[str, str] = {}
    for key, ours in _PRICES.items():
        if said.get(key) is not None:
            try:
                rates[ours] = f"{(Decimal(str(said[key])) * 1_000_000).normalize():f}"
            except (InvalidOperation, Overflow):
                found.lost.append(f"{where}: {key} is no number")
    if rates:
        price = msgspec.convert(rates, Written)
        if model.price not in (NOTHING, price):
            found.lost.append(f"{where} ({model.id}): its deployments have different prices; the last one counts")
        found.price(model, price, where)
    units = sorted(key for key in said if "cost_per" in key and key not in _PRICES)
    if units:
        found.lost.append(f"{where} ({model.id}): {', '.join(units)}: write them as price")


def _key(parameters: Table, kind: str) -> Secret:
    key = str(parameters.get("api_key") or "")
    if key.startswith("os.environ/"):
        return Secret("env:" + key.removeprefix("os.environ/"))
    if not key and KINDS[kind].needs_key and KINDS[kind].env:
        return Secret("env:" + KINDS[kind].env)
    return Secret(key)


def _table(value: object) -> Table:
    return cast("Table", value) if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []
