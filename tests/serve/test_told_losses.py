"""What of a provider's answer its client is not told stands in the head of a whole answer, and always in the row of the request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from halley.policy.snapshot import OfferRow
from tests.serve.rig import rig, snapshot
from tests.serve.test_large_crossings import ANSWER, TO_MESSAGES

ROWS = snapshot(providers=TO_MESSAGES.providers, offers=(OfferRow("messages", "claude-x"),))


def event(name: str, **fields: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps({'type': name} | fields)}\n\n".encode()


def test_fields_of_a_whole_answer_that_nobody_knows_are_told_in_its_head_and_in_the_row(tmp_path: Path) -> None:
    with rig(tmp_path, ROWS) as found:
        client = found.ask(max_tokens=7, seed=5)
        content = [{"type": "text", "text": "hello", "mood": "gay"}, {"type": "text", "text": "!", "mood": "a secret"}]
        found.call.reply(200, json.dumps(ANSWER | {"content": content, "weather": {"now": "a secret"}}).encode())
        found.flush()
        assert client.field("x-halley-lost") == "seed, weather, content[].mood"
        assert found.end.lost == ("seed", "weather", "content[].mood")
        assert json.loads(client.body)["choices"][0]["message"]["content"] == "hello!"
        assert b"secret" not in client.fields


def test_fields_and_events_of_a_stream_that_nobody_knows_are_told_in_the_row(tmp_path: Path) -> None:
    with rig(tmp_path, ROWS) as found:
        client = found.ask(max_tokens=7, seed=5, stream=True)
        found.call.stream(event("message_start", message=ANSWER | {"content": [], "stop_reason": None}))
        assert client.field("x-halley-lost") == "seed"
        found.call.stream(event("content_block_start", index=0, content_block={"type": "text", "text": ""}))
        for word in ("hel", "lo"):
            found.call.stream(event("content_block_delta", index=0, delta={"type": "text_delta", "text": word, "mood": "a secret"}))
            found.call.stream(event("content_block_mood", index=0, mood="a secret"))
        found.call.stream(event("content_block_stop", index=0))
        found.call.stream(event("message_delta", delta={"stop_reason": "end_turn", "mood": "?"}, usage={"output_tokens": 2, "mood": 1}))
        found.call.stream(event("message_stop"), done=True)
        found.flush()
        assert found.end.ending == "complete"
        assert found.end.lost == ("seed", "content_block_delta.delta.mood", "content_block_mood", "usage.mood", "mood")
        assert b"secret" not in client.body and b'"hel"' in client.body


def test_a_stream_of_the_clients_own_dialect_passes_as_it_is_and_loses_nothing(tmp_path: Path) -> None:
    with rig(tmp_path, snapshot(providers=TO_MESSAGES.providers)) as found:
        client = found.ask()
        body = b'{"id":"x","mood":1,"choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}'
        found.call.reply(200, body)
        found.flush()
        assert (client.body, client.field("x-halley-lost"), found.end.lost) == (body, None, ())
