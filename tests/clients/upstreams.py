"""The simulator as four providers of a gateway, each of which speaks one dialect: of every client's four, one speaks its own."""

from __future__ import annotations

from collections.abc import Iterable

from tests.harness.priced import INPUT_USD, OUTPUT_USD

# What a provider speaks, which is its name and what its models begin with; its kind; and where the simulator speaks it.
UPSTREAMS = {
    "chat": ("openai-compatible", "/v1"),
    "responses": ("openai-responses", "/v1"),
    "messages": ("anthropic", "/v1"),
    "gemini": ("gemini", "/v1beta"),
}
PRICE = f'{{input = "{INPUT_USD}", output = "{OUTPUT_USD}"}}'


def settings(simulator: str, scripts: Iterable[str]) -> str:
    """The gateway's halley.toml: each script as a model of each provider, `chat/echo` for `sim/echo`."""
    lines: list[str] = []
    for name, (kind, base) in UPSTREAMS.items():
        lines += ["[[providers]]", f'name = "{name}"', f'kind = "{kind}"', f'base_url = "{simulator}{base}"', 'api_key = "upstream-key"']
    for name in UPSTREAMS:
        for script in scripts:
            offer = f'{{provider = "{name}", model = "sim/{script}"}}'
            lines += ["[[models]]", f'id = "{name}/{script}"', f"offers = [{offer}]", "max_output = 64000"]
            lines.append(f"price = {PRICE}")
    return "\n".join(lines) + "\n"
