"""The harness against the real simulator: what process tests stand on must itself hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.harness.http import Client
from tests.harness.simulator import Simulator


def test_the_simulator_answers_bills_and_forgets(tmp_path: Path) -> None:
    with Simulator(tmp_path) as simulator:
        with Client(simulator.url) as client:
            message = {"model": "sim/tokens-3", "messages": [{"role": "user", "content": "hello"}]}
            assert client.ask("POST", "/v1/chat/completions", message, key="any").json()["choices"]
            reply = client.ask("POST", "/v1/chat/completions", {**message, "stream": True}, key="any")
            pieces = list(reply.pieces())
            assert len(pieces) > 1
            assert b"".join(pieces).endswith(b"data: [DONE]\n\n")
        assert len(json.dumps(simulator.bill())) > 2
        simulator.script("sim/broken", {"status": 503})
        with Client(simulator.url) as client:
            assert client.ask("POST", "/v1/chat/completions", {**message, "model": "sim/broken"}, key="any").status == 503
        simulator.reset()
        assert simulator.state() is not None


def test_a_body_that_is_cut_short_is_an_error(tmp_path: Path) -> None:
    with Simulator(tmp_path) as simulator, Client(simulator.url) as client:
        message = {"model": "sim/tokens-200+cut-at-512", "stream": True, "messages": [{"role": "user", "content": "hello"}]}
        reply = client.ask("POST", "/v1/chat/completions", message, key="any")
        with pytest.raises((EOFError, ConnectionError)):
            reply.body()
