"""The key of a provider reaches that provider and nobody else: no field, header or redirect leads a request or its key elsewhere (G11)."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.simulator import Simulator

UPSTREAM_KEY = "sk-upstream-canary-0123456789abcdef"
# What other gateways and SDKs take as the place to go, or as the credential to use there.
FIELDS = (
    "base_url", "api_base", "api_base_url", "endpoint", "api_key", "provider", "custom_host", "proxy", "webhook", "callback_url",
    "organization", "model_info", "litellm_params", "extra_headers", "azure_endpoint",
)  # fmt: skip
HEADERS = (
    "x-portkey-custom-host", "x-portkey-config", "x-base-url", "x-api-base", "x-upstream-url", "x-target-url", "x-forwarded-host",
    "x-original-url", "x-rewrite-url", "x-host", "forwarded", "x-forwarded-server", "x-http-host-override", "x-proxy-url", "destination",
    "openai-base-url", "helicone-target-url", "x-halley-provider", "x-litellm-api-base", "x-envoy-original-dst-host", "via",
)  # fmt: skip
MODELS = ("sim/echo", "sim/moved", "sim/echo-head")


class House(NamedTuple):
    gateway: Gateway
    simulator: Simulator
    key: str
    evil: str
    heard: list[bytes]


class Evil(socketserver.BaseRequestHandler):
    """Notes whatever comes, and answers as a provider would."""

    def handle(self) -> None:
        assert isinstance(self.server, Listener)
        self.server.heard.append(self.request.recv(65536))
        self.request.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")


class Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Evil)
        self.heard: list[bytes] = []


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("steering")
    with Listener() as evil, Simulator(place) as simulator:
        threading.Thread(target=evil.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{evil.server_address[1]}"
        toml = f'[[providers]]\nname = "real"\nkind = "cometapi"\nbase_url = "{simulator.url}/v1"\napi_key = "{UPSTREAM_KEY}"\n'
        for model in MODELS:
            toml += f'[[models]]\nid = "{model}"\nmax_output = 900\nprice = {{ input = "0.1505", output = "0.6015" }}\n'
            toml += 'offers = [{ provider = "real" }]\n'
        with Gateway(place, toml) as gateway:
            gateway.cli("credit", "default", "10")
            yield House(gateway, simulator, gateway.key(), url, evil.heard)
        evil.shutdown()


ASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 50}),
    "responses": ("/v1/responses", {"input": "hi", "max_output_tokens": 50, "store": False}),
    "messages": ("/v1/messages", {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 50}),
    "gemini": ("/v1beta/models/MODEL:generateContent", {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
}


def ask(house: House, dialect: str, model: str, more: dict[str, Any], **fields: str) -> tuple[int, bytes]:
    path, body = ASKS[dialect]
    body = body | more | ({} if dialect == "gemini" else {"model": model})
    head = {"Authorization": f"Bearer {house.key}", "anthropic-version": "2023-06-01", **fields}
    with house.gateway.client() as client:
        reply = client.ask("POST", path.replace("MODEL", model), body, fields=head)
        return reply.status, reply.body()


@pytest.mark.parametrize("dialect", ASKS)
def test_no_field_of_a_body_leads_elsewhere(house: House, dialect: str) -> None:
    for field in FIELDS:
        for value in (house.evil, {"url": house.evil, "api_base": house.evil, "base_url": house.evil}):
            status, body = ask(house, dialect, "sim/echo", {field: value})
            assert status in (200, 400), (field, body)
            assert UPSTREAM_KEY.encode() not in body
    assert house.heard == []


@pytest.mark.parametrize("dialect", ASKS)
def test_no_header_leads_elsewhere_or_goes_along(house: House, dialect: str) -> None:
    for header in HEADERS:
        status, body = ask(house, dialect, "sim/echo-head", {}, **{header: house.evil})
        assert status == 200, (header, body)
        assert UPSTREAM_KEY.encode() not in body and house.key.encode() not in body
        assert house.evil.encode() not in body, f"{header} went to the provider"
    assert house.heard == []


@pytest.mark.parametrize("dialect", ASKS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_of_the_provider_is_not_followed(house: House, dialect: str, status: int) -> None:
    house.simulator.script("sim/moved", {"status": status, "headers": {"location": f"{house.evil}/v1/chat/completions"}})
    got, body = ask(house, dialect, "sim/moved", {})
    assert got == 502 and b"error" in body
    assert house.heard == [] and house.evil.encode() not in body


def test_the_books_add_up_and_nobody_was_told_the_key(house: House) -> None:
    audit(house.gateway, house.simulator)
    assert house.heard == []
    assert UPSTREAM_KEY not in house.gateway.logs()
    assert json.loads(ask(house, "chat", "sim/echo", {})[1])["choices"]
