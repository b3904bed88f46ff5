"""A gateway whose only provider is the simulator: its configuration with prices that do not come out even, and prepaid customers."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.harness.gateway import Gateway

# Half a nano-dollar per odd token: a wrong rounding shows.
INPUT_USD = "0.1505"
OUTPUT_USD = "0.6015"
CAP = 4000


def configuration(url: str, models: Iterable[str], *, bills_to_end: Iterable[str] = (), server: str = "", max_output: int = CAP) -> str:
    """The whole file: every model by its own name, those of `bills_to_end` at a provider that cannot cancel."""
    providers = [
        f'[[providers]]\nname = "{name}"\nkind = "openai-compatible"\nbase_url = "{url}/v1"\napi_key = "sk-any"\ncancel = "{cancel}"\n'
        for name, cancel in (("stopping", "stops_billing"), ("stubborn", "bills_to_end"))
    ]
    offers = [*((model, "stopping") for model in models), *((model, "stubborn") for model in bills_to_end)]
    rows = [
        f'[[models]]\nid = "{model}"\nmax_output = {max_output}\noffers = [{{ provider = "{provider}" }}]\n'
        f'price = {{ input = "{INPUT_USD}", output = "{OUTPUT_USD}" }}\n'
        for model, provider in offers
    ]
    return "\n".join([f"[server]\n{server}\n", *providers, *rows])


def customer(gateway: Gateway, name: str, usd: str) -> str:
    """A new prepaid account with that much credit; its key."""
    gateway.cli("accounts", "create", name)
    gateway.cli("credit", name, usd)
    return str(gateway.cli_json("keys", "create", "--name", name, "--account", name)["key"])


def chat(model: str, text: str = "Tell me a story, please.", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **more}


def encoded(model: str, text: str = "Tell me a story, please.", **more: Any) -> bytes:
    return json.dumps(chat(model, text, **more)).encode()
