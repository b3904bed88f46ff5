"""A provider that streams whatever is asked: who asked for no stream gets one whole answer in its own dialect, and the books agree."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.gateway.test_crossings import House, answer, furnished, send, streamed
from tests.harness.audit import audit
from tests.harness.dialects import CLIENTS, PROVIDERS, ask

ODD = "sse-anyway+unknown-events+tokens-5"
SCRIPTS = ("sse-anyway+tokens-5", "sse-anyway+tool-weather", "sse-anyway+cut-after-2", "sse-anyway+error-frame-after-2", ODD, "tokens-5")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with furnished(tmp_path_factory.mktemp("gathered"), SCRIPTS) as made:
        yield made


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_stream_that_nobody_asked_for_is_one_answer(house: House, client: str, provider: str) -> None:
    _, _, raw = send(house, *ask(client, f"{provider}/tokens-5", ["Hello."]))
    wanted = answer(client, json.loads(raw))
    status, fields, raw = send(house, *ask(client, f"{provider}/sse-anyway+tokens-5", ["Hello."]))
    assert (status, fields["content-type"]) == (200, "application/json"), raw
    found = answer(client, json.loads(raw))
    _, _, raw = send(house, *ask(client, f"{provider}/sse-anyway+tokens-5", ["Hello."], stream=True))
    assert (found.text, found.finish) == (streamed(client, raw), wanted.finish)
    status, _, raw = send(house, *ask(client, f"{provider}/sse-anyway+tool-weather", ["Weather?"], tools=True))
    assert status == 200, raw
    assert [name for _, name, _ in answer(client, json.loads(raw)).calls] == ["weather"]


def test_what_the_stream_said_beside_is_told_within_a_dialect_too(house: House) -> None:
    status, fields, raw = send(house, *ask("messages", f"messages/{ODD}", ["Hello."]))
    assert status == 200, raw
    assert fields["x-halley-lost"] == "future_thing", fields


@pytest.mark.parametrize("script", ["cut-after-2", "error-frame-after-2"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_stream_that_does_not_come_to_its_end_is_no_answer(house: House, provider: str, script: str) -> None:
    for client in CLIENTS:
        status, _, raw = send(house, *ask(client, f"{provider}/sse-anyway+{script}", ["Hello."]))
        assert status == 502 and "error" in json.loads(raw), raw


def test_afterwards_the_books_agree(house: House) -> None:
    found = audit(house.gateway, house.simulator)
    assert "complete" in found.endings
    assert set(found.endings) <= {"complete", "unreported", "unusable", "failed"}  # what was cut has failed
