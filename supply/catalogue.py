"""The packaged catalogue, made from a price map of litellm (MIT): what changed since the last one for review, and the file itself.

    script/catalogue diff MAP.json            what would change, and what is left out and why
    script/catalogue apply MAP.json --version 1.110.2 --date 2026-11-12

Figures are read as decimals and never become floats. A model with a unit that no price key has is left out, never written as if it were
free; so is one that its provider has shut down before the date.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

SOURCE = "https://github.com/BerriAI/litellm/blob/main/model_prices_and_context_window.json"
CATALOGUE = Path(__file__).parent.parent / "src" / "halley" / "policy" / "models.toml"

# The map's name of a provider, the kind that it is here, whose models they are.
PROVIDERS = {
    "openai": ("openai", "OpenAI"),
    "anthropic": ("anthropic", "Anthropic"),
    "gemini": ("gemini", "Google"),
    "deepseek": ("deepseek", "DeepSeek"),
    "xai": ("xai", "xAI"),
    "mistral": ("mistral", "Mistral"),
    "groq": ("groq", "Groq"),
    "cohere": ("cohere", "Cohere"),
    "cohere_chat": ("cohere", "Cohere"),
    "perplexity": ("perplexity", "Perplexity"),
    "moonshot": ("moonshot", "Moonshot"),
    "zai": ("zhipu", "Z.ai"),
    "minimax": ("minimax", "MiniMax"),
    "dashscope": ("dashscope", "Alibaba"),
    "cerebras": ("cerebras", "Cerebras"),
    "sambanova": ("sambanova", "SambaNova"),
    "together_ai": ("together", "Together"),
}
MODES = {
    "chat": "text",
    "responses": "text",
    "completion": "text",
    "embedding": "embedding",
    "rerank": "rerank",
    "moderation": "moderation",
}
TOKENS = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write_5m": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "reasoning": "output_cost_per_reasoning_token",
    "audio_in": "input_cost_per_audio_token",
    "audio_out": "output_cost_per_audio_token",
    "image_in": "input_cost_per_image_token",
    "image_out": "output_cost_per_image_token",
}
STEPS = (100, 128, 200, 256, 272, 512)
TIERS = ("flex", "priority")
SEARCH = "search_context_cost_per_query"
# Beside the map: OpenAI's pricing page has file search at 2.50 USD per thousand calls, Anthropic's web fetch costs its tokens (2026-11).
OWN_TOOLS = {"openai": {"file_search": "0.0025"}, "anthropic": {"web_fetch": "0"}}
# Of no effect on what a relay is billed for: batches and tiers that are not served, and figures that repeat another one.
IGNORED = (
    "_batches",
    "_ultrafast",
    "_decisions",
    "_cache_hit",
    "google_maps_grounding",
    "audio_token_cost",
    "above_12hr",
    "_image_token_cost",
)
FEATURES = {
    "supports_vision": "image-to-text",
    "supports_audio_input": "audio-to-text",
    "supports_video_input": "video-to-text",
    "supports_function_calling": "tools",
    "supports_response_schema": "structured-output",
    "supports_reasoning": "reasoning",
    "supports_web_search": "web-search",
    "supports_pdf_input": "documents",
}
Row = dict[str, Any]


class LeftOut(Exception):
    """Why a model of the map is not in the catalogue."""


def rows(prices: Mapping[str, Row], date: str) -> tuple[dict[tuple[str, str], Row], dict[str, str]]:
    """Rows of the catalogue by kind and id, and by name why others are none."""
    found: dict[tuple[str, str], Row] = {}
    left: dict[str, str] = {}
    for name, entry in prices.items():
        provider = PROVIDERS.get(entry.get("litellm_provider", ""))
        if provider is None or entry.get("mode") not in MODES or name.startswith(("ft:", "sample_spec")):
            continue
        kind, owner = provider
        short = name.removeprefix(entry["litellm_provider"] + "/").removeprefix(kind + "/")
        if name.startswith("openai/") or "*" in name or ((kind, short) in found and name != short):
            continue
        try:
            found[kind, short] = row(short, kind, owner, entry, date)
        except LeftOut as reason:
            left[name] = str(reason)
    return found, left


def row(name: str, kind: str, owner: str, entry: Row, date: str) -> Row:
    """Raises LeftOut."""
    shutdown = entry.get("deprecation_date")
    if shutdown is not None and shutdown < date:
        raise LeftOut(f"shut down {shutdown}")
    modalities = [word for word in ("text", "image", "audio", "video") if word in entry.get("supported_modalities", ["text"])] or ["text"]
    if entry.get("supports_vision") and "image" not in modalities:
        modalities.append("image")
    output = "vector" if entry["mode"] == "embedding" else "score" if entry["mode"] in ("rerank", "moderation") else "text"
    features = [f"text-to-{output}", *(feature for flag, feature in FEATURES.items() if entry.get(flag))]
    context, most = entry.get("max_input_tokens"), entry.get("max_output_tokens")
    if context is not None and most is not None and most >= context:
        most = None  # the map's way to say that nobody documents one
    return {
        "id": name,
        "kind": kind,
        "owner": owner,
        "context": context,
        "max_output": most if MODES[entry["mode"]] == "text" else None,
        "model_type": MODES[entry["mode"]],
        "modalities": modalities,
        "features": features,
        "cost": cost(name, entry),
        "source": entry.get("source") if str(entry.get("source")).startswith("https://") else None,
        "shutdown": shutdown,
    }


def cost(name: str, entry: Row) -> Row:
    """Raises LeftOut when a figure of it has no place here."""
    used = set[str]()

    def figure(key: str) -> Decimal | None:
        used.add(key)
        value = entry.get(key)
        return None if value is None else Decimal(value)

    made: Row = {key: per_million(rate) for key, word in TOKENS.items() if (rate := figure(word)) is not None}
    rates = {key: figure(word) for key, word in TOKENS.items()}
    # What costs as much as its direction has no price apart.
    for key, plain in (("reasoning", "output"), ("image_in", "input"), ("audio_in", "input"), ("cache_write_5m", "input")):
        if key in made and made[key] == made.get(plain):
            del made[key]
    if made.get("cache_write_5m") == "0":
        del made["cache_write_5m"]
    query = figure("input_cost_per_query") or figure("input_cost_per_request")
    if query:
        made["per_request"] = plain_text(query)
    steps = [{"above": size * 1000, **step} for size in STEPS if (step := _step(size, figure))]
    if steps:
        made["tier"] = steps[0] if len(steps) == 1 else steps
    factors = {tier: factor for tier in TIERS if (factor := _factor(tier, rates, figure)) is not None}
    if factors:
        made["service_tier"] = factors
    search = entry.get(SEARCH)
    used.add(SEARCH)
    if search:
        if entry["litellm_provider"] == "perplexity":
            raise LeftOut("a fee for each request that depends on its search context")
        dearest = max(Decimal(each) for each in search.values())
        made["tool"] = {"grounded_answer" if name.startswith("gemini-2") else "web_search": plain_text(dearest)} if dearest else {}
        if not made["tool"]:
            del made["tool"]
    if "tool" in made:
        made["tool"] |= OWN_TOOLS.get(entry["litellm_provider"], {})
    costs = {key for key, value in entry.items() if "cost" in key and value} - used
    unknown = [key for key in costs if not key.endswith(tuple(f"_{tier}" for tier in TIERS)) and not any(word in key for word in IGNORED)]
    if unknown:
        raise LeftOut(f"no key of a price is {', '.join(sorted(unknown))}")
    if "per_request" not in made:
        if "input" not in made:
            raise LeftOut("no price of its input")
        made.setdefault("output", "0")
        if made["input"] == made["output"] == "0" and entry["mode"] != "moderation":
            raise LeftOut("no price, or a free one that is only a preview's")
    return made


def _step(size: int, figure: Any) -> Row:
    words = {key: word.replace("_above_1hr", "") + ("_above_1hr" if "_above_1hr" in word else "") for key, word in TOKENS.items()}
    return {key: per_million(rate) for key, word in words.items() if (rate := figure(f"{word}_above_{size}k_tokens")) is not None}


def _factor(tier: str, rates: Mapping[str, Decimal | None], figure: Any) -> str | None:
    """The factor of a tier, where input and output agree on one; else an answer of that tier is named on its row as not priced."""
    found = {key: figure(f"{TOKENS[key]}_{tier}") for key in ("input", "output")}
    if not all(found.values()) or not rates["input"] or not rates["output"]:
        return None
    factors = {found[key] / rates[key] for key in ("input", "output")}  # type: ignore[operator]
    factor = factors.pop()
    return plain_text(factor) if not factors and factor == round(factor, 6) else None


def per_million(rate: Decimal) -> str:
    return plain_text(rate * 1_000_000)


def plain_text(number: Decimal) -> str:
    return f"{number.normalize():f}"


# ---- the file --------------------------------------------------------------------------------------------------------------------------


def text(found: Mapping[tuple[str, str], Row], version: str, date: str, source: str) -> str:
    head = (
        "# The packaged catalogue: models of known hosts with what they cost there. Written by script/catalogue; do not edit.\n#\n"
        f"# Prices and dates of shutdown: the price map of litellm {version} (MIT, {date}), which cites the page named in `source`.\n\n"
        f'default_source = "{source}"\ndate = "{date}"\n'
    )
    kinds = list(dict(PROVIDERS.values()))
    ordered = sorted(found.values(), key=lambda each: (kinds.index(each["kind"]), each["id"]))
    return head + "".join(f"\n[[models]]\n{_row(each)}" for each in ordered)


def _row(each: Row) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in each.items() if value)


def _value(value: Any) -> str:
    match value:
        case dict():
            return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
        case list():
            return "[" + ", ".join(map(_value, value)) + "]"
        case str():
            return json.dumps(value)
        case _:
            return str(value)


def differences(before: Iterable[Row], found: Mapping[tuple[str, str], Row]) -> Iterator[str]:
    old = {(each["kind"], each["id"]): each for each in before}
    for place in sorted(old.keys() | found.keys()):
        name = " ".join(place)
        if place not in found:
            yield f"- {name}"
        elif place not in old:
            yield f"+ {name}  {_value(found[place]['cost'])}"
        else:
            for key in ("cost", "context", "max_output", "shutdown"):
                was, now = old[place].get(key), found[place].get(key)
                if was != now:
                    yield f"~ {name}  {key}: {_value(was)} -> {_value(now)}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="script/catalogue", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("diff", "apply"))
    parser.add_argument("map", type=Path, help="model_prices_and_context_window.json, out of a release of litellm")
    parser.add_argument("--version", default="", help="the release")
    parser.add_argument("--date", required=True, help="its day, YYYY-MM-DD")
    options = parser.parse_args()
    prices = json.loads(options.map.read_text(encoding="utf-8"), parse_float=Decimal)
    found, left = rows(prices, options.date)
    before = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))["models"]
    for line in differences(before, found):
        print(line)
    for name, reason in sorted(left.items()):
        print(f"  {name}: {reason}")
    print(f"{len(found)} models, {len(left)} left out.", file=sys.stderr)
    if options.action == "apply":
        CATALOGUE.write_text(text(found, options.version, options.date, SOURCE), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
