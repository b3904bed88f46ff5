"""Every request of the fixtures, asked of a provider of every other dialect over real sockets: none refuses what it is asked.

The simulator reads as strictly as the providers do. A refusal before anything was asked is the gateway's own and names what cannot be said;
a refusal by the provider would be a fault of the crossing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.goldens import FIXTURES
from tests.harness.simulator import Simulator

PROVIDERS = {
    "openai_chat": ("openai-compatible", "/v1"),
    "openai_responses": ("openai-responses", "/v1"),
    "anthropic": ("anthropic", "/v1"),
    "gemini": ("gemini", "/v1beta"),
}
PATHS = {"openai_chat": "/v1/chat/completions", "openai_responses": "/v1/responses", "anthropic": "/v1/messages"}
ASKS = [path for path in sorted((FIXTURES / "asks").glob("*/*.json")) if ".to-" not in path.name]
# OpenAI takes Wave and MP3, and hosts that follow it more; its own refusal says so.
REFUSED = {("gemini", "audio_in", "openai_chat")}


class House(NamedTuple):
    gateway: Gateway
    simulator: Simulator
    key: str


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("fixtures")
    with Simulator(place) as simulator:
        lines = [
            f'[[providers]]\nname = "{name}"\nkind = "{kind}"\nbase_url = "{simulator.url}{base}"\napi_key = "sk-any"\n'
            f'[[models]]\nid = "{name}/model"\nmax_output = 64000\noffers = [{{ provider = "{name}", model = "sim/tokens-5" }}]\n'
            'price = { input = "0.1505", output = "0.6015" }\n'
            for name, (kind, base) in PROVIDERS.items()
        ]
        with Gateway(place, "\n".join(lines)) as gateway:
            gateway.cli("credit", "default", "1000")
            yield House(gateway, simulator, gateway.key())


def request(dialect: str, body: Any, model: str, stream: bool) -> tuple[str, Any]:
    if dialect == "gemini":
        return f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent"), body
    return PATHS[dialect], body | {"model": model, "stream": stream}


@pytest.mark.parametrize("path", ASKS, ids=lambda path: "/".join(path.parts[-2:]))
def test_no_provider_refuses_what_it_is_asked(house: House, path: Path) -> None:
    dialect = path.parent.name
    body = json.loads(path.read_bytes())
    for provider in PROVIDERS:
        if provider == dialect or (dialect, path.stem, provider) in REFUSED:
            continue
        for stream in (False, True):
            target, asked = request(dialect, body, f"{provider}/model", stream)
            with house.gateway.client() as client:
                reply = client.ask("POST", target, asked, key=house.key)
                said = reply.body()
            where = f"{provider}, {'streamed' if stream else 'whole'}: {said[:400].decode()}"
            if reply.status == 200:
                assert b'"error":{' not in said.replace(b" ", b""), where
            else:
                assert (reply.status, reply.fields.get("x-halley-provider")) == (400, None), where


def test_afterwards_the_books_agree(house: House) -> None:
    audit(house.gateway, house.simulator)
