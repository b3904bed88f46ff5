"""A gateway of two relays with a priced simulated provider, a customer with credit and their token, and how tests ask it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.harness.gateway import Gateway
from tests.harness.http import Client, Reply
from tests.harness.priced import chat, configuration, customer
from tests.harness.process import until
from tests.harness.simulator import Simulator

MODELS = ("sim/tokens-5", "sim/status-429", "sim/tokens-400+slow-20ms")
CHAT = "/v1/chat/completions"


class House(NamedTuple):
    gateway: Gateway
    key: str
    token: str

    def ask(self, method: str, path: str, body: Any = None, *, by: str | None = None, **fields: str) -> tuple[Reply, bytes]:
        """`by`: the credential, a token by default; empty for none."""
        credential = self.token if by is None else by
        with self.gateway.client() as client:
            reply = client.ask(method, path, body, key=credential, fields=fields)
            return reply, reply.body()

    def json(self, method: str, path: str, body: Any = None, *, by: str | None = None, status: int = 200) -> Any:
        reply, text = self.ask(method, path, body, by=by)
        assert reply.status == status, text
        return json.loads(text)

    def chat(self, by: str, model: str = MODELS[0]) -> int:
        return self.ask("POST", CHAT, chat(model), by=by)[0].status

    def until_booked(self, count: int) -> None:
        """Until so many requests of the account are in the books."""
        until(lambda: self.json("GET", "/api/usage")["total"]["requests"] == count, lambda: "the requests were not folded")

    def on_both_relays(self) -> tuple[Client, Client]:
        """Connections to each of the two relays."""
        found: dict[str, Client] = {}
        for _ in range(200):
            client = self.gateway.client()
            # The beginning of an id is the relay's own.
            relay = client.ask("GET", "/healthz").fields["x-request-id"][:22]
            if relay in found:
                client.close()
            else:
                found[relay] = client
            if len(found) == 2:
                first, second = found.values()
                return first, second
        raise AssertionError("one relay took all connections")


@contextmanager
def open_house(place: Path, *, workers: int = 2, more: str = "") -> Iterator[House]:
    """`more` is added to the configuration."""
    with Simulator(place) as simulator, Gateway(place, configuration(simulator.url, MODELS) + more, workers=workers) as gateway:
        key = customer(gateway, "acme", "5")
        gateway.cli("users", "create", "ada", "--account", "acme", "--role", "owner")
        token = gateway.cli_json("tokens", "create", "--name", "ci", "--user", "ada", "--account", "acme")["token_text"]
        yield House(gateway, key, token)
