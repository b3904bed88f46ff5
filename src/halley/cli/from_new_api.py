"""The database of new-api or one-api as a configuration of Halley's: channels, models, prices, users; and what has no place here. Pure.

A ratio of 1 is 2 USD per million tokens of prompt, 500,000 of quota are 1 USD. Numbers of channel types are those of the two projects,
which agree in part (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation, Overflow
from typing import cast

import msgspec

from halley.cli.carried import Carried, Served
from halley.money import usd
from halley.pricelist import Written
from halley.secret import Secret

_COMMON = {
    1: "openai", 6: "openai-compatible", 8: "openai-compatible", 14: "anthropic", 16: "zhipu", 17: "dashscope", 20: "openrouter",
    24: "gemini", 25: "moonshot",
}  # fmt: skip
_NEW_API = _COMMON | {
    4: "ollama", 26: "zhipu", 27: "perplexity", 34: "cohere", 35: "minimax", 40: "siliconflow", 42: "mistral", 43: "deepseek",
    45: "volcengine", 47: "openai-compatible", 48: "xai",
}  # fmt: skip
_ONE_API = _COMMON | {
    4: "openai-compatible", 27: "minimax", 28: "mistral", 29: "groq", 30: "ollama", 35: "cohere", 36: "deepseek", 39: "together",
    40: "volcengine", 41: "novita", 50: "openai-compatible",
}  # fmt: skip
_PER_RATIO = Decimal(2)  # USD per million tokens
_QUOTA = Decimal(500_000)  # of one USD
Row = Mapping[str, object]


def carry(tables: Mapping[str, Sequence[Row]]) -> Carried:
    found = Carried()
    channels = tables.get("channels", ())
    if not channels:
        found.lost.append("channels: there are none; is this the database of new-api or one-api?")
    # A column that only one of the two has.
    kinds = _NEW_API if any("auto_ban" in channel for channel in channels) else _ONE_API
    for channel in channels:
        _channel(found, channel, kinds)
    options = {str(row.get("key")): str(row.get("value") or "") for row in tables.get("options", ())}
    _prices(found, options)
    for user in tables.get("users", ()):
        _user(found, user)
    tokens = [token for token in tables.get("tokens", ()) if token.get("status") == 1]
    if tokens:
        found.lost.append(
            f"{len(tokens)} client keys: Halley's have a checksum and a form of their own; clients get new ones, see the end of the file"
        )
        names = {user.get("id"): str(user.get("username") or "") for user in tables.get("users", ())}
        for token in tokens:
            owner = names.get(token.get("user_id"), "")
            account = f" --account {_word(owner)}" if owner in found.accounts else ""
            name, quota = _word(str(token.get("name") or token.get("id"))), token.get("remain_quota")
            found.after.append(f"halley keys create --name {name}{account}")
            if isinstance(quota, int) and not token.get("unlimited_quota"):
                _afterwards(found, "halley budgets set key", max(quota, 0), f" --of {name}{account}", where=f'key "{name}"')
    found.priced()
    return found


def _channel(found: Carried, channel: Row, kinds: Mapping[int, str]) -> None:
    name, number = str(channel.get("name") or channel.get("id")), channel.get("type")
    kind = kinds.get(number) if isinstance(number, int) else None
    where = f'channel "{name}"'
    base_url = str(channel.get("base_url") or "").rstrip("/")
    if kind is None:
        found.lost.append(f"{where}: its type {number} is none that Halley calls; see docs/providers.md")
        return
    if kind == "openai-compatible" and not base_url:
        found.lost.append(f"{where}: it has no base URL")
        return
    if kind == "openai" and base_url and "api.openai.com" not in base_url:
        kind = "openai-compatible"
    if kind == "openai-compatible" and not base_url.endswith("/v1"):
        base_url += "/v1"
    elif kind != "openai-compatible" and base_url:
        found.lost.append(f"{where}: its base URL {base_url} is kept; check that its path is what docs/providers.md says of {kind}")
    keys = [line.strip() for line in str(channel.get("key") or "").splitlines() if line.strip()]
    if len(keys) > 1:
        found.lost.append(f"{where}: the first of its {len(keys)} keys is carried; write a provider for each of the others")
    provider = found.provider(kind, base_url, Secret(keys[0] if keys else ""), name, enabled=channel.get("status") == 1)
    mapping = _json(found, str(channel.get("model_mapping") or ""), f"{where}: model_mapping")
    weight, priority = channel.get("weight"), channel.get("priority")
    for model in filter(None, (each.strip() for each in str(channel.get("models") or "").split(","))):
        found.model(model).offers.append(
            Served(
                provider,
                str(mapping.get(model, model)),
                min(max(weight, 1), 1000) if isinstance(weight, int) else 1,
                -priority if isinstance(priority, int) else 0,  # there the greatest comes first
            )
        )


def _prices(found: Carried, options: Mapping[str, str]) -> None:
    ratios, completion, calls, cached, written = (
        _json(found, options.get(key, ""), f"option {key}")
        for key in ("ModelRatio", "CompletionRatio", "ModelPrice", "CacheRatio", "CreateCacheRatio")
    )
    for model in found.models:
        try:
            if model.id in calls:
                per_request = _text(Decimal(str(calls[model.id])))
                found.price(model, Written(input="0", output="0", per_request=per_request), "option ModelPrice")
            elif model.id in ratios:
                prompt = Decimal(str(ratios[model.id])) * _PER_RATIO
                price = Written(
                    input=_text(prompt),
                    output=_text(prompt * Decimal(str(completion.get(model.id, 1)))),
                    cache_read=_text(prompt * Decimal(str(cached[model.id]))) if model.id in cached else None,
                    cache_write_5m=_text(prompt * Decimal(str(written[model.id]))) if model.id in written else None,
                )
                found.price(model, price, "option ModelRatio")
                if model.id not in completion:
                    found.lost.append(
                        f"{model.id}: no completion ratio is stored, and the built-in one is not known here; check its output price"
                    )
        except (InvalidOperation, Overflow):
            found.lost.append(f"{model.id}: its ratio is no number")
    groups = {name: ratio for name, ratio in _json(found, options.get("GroupRatio", ""), "option GroupRatio").items() if ratio != 1}
    if groups:
        found.lost.append(f"option GroupRatio: {', '.join(groups)}: prices are the same for all accounts; [billing] markup is for all")


def _user(found: Carried, user: Row) -> None:
    name, quota = str(user.get("username") or ""), user.get("quota")
    if user.get("status", 1) != 1 or not name:
        return
    account = _word(name)
    if account != name:
        found.lost.append(f'user "{name}": the account is called {account}')
    found.accounts.append(account)
    if isinstance(quota, int) and quota > 0:
        _afterwards(found, f"halley credit {account}", quota, "", where=f'user "{name}"')


def _afterwards(found: Carried, command: str, quota: int, rest: str, *, where: str) -> None:
    """The command with so many dollars, unless that is more than Halley counts to."""
    amount = _text(Decimal(quota) / _QUOTA)
    try:
        usd(amount)
    except ValueError as fault:
        found.lost.append(f"{where}: its quota of {quota} is no amount here, {fault}")
    else:
        found.after.append(f"{command} {amount}{rest}")


def _json(found: Carried, text: str, where: str) -> Mapping[str, object]:
    if not text.strip():
        return {}
    try:
        value: object = msgspec.json.decode(text)
    except msgspec.DecodeError:
        found.lost.append(f"{where}: is no JSON")
        return {}
    return cast("Mapping[str, object]", value) if isinstance(value, dict) else {}


def _word(name: str) -> str:
    """A name that is one word of a shell and one of Halley's."""
    return (
        "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "-" for letter in name).strip("-.")[:64]
        or "unnamed"
    )


def _text(number: Decimal) -> str:
    return f"{number.normalize():f}"
