"""Large bodies: read by another process, with the same verdicts and the same bytes upstream, and never more of the loop than a piece."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from halley.dialects import OPENAI_CHAT
from halley.errors import Condition, Refused
from halley.serve import lectern
from halley.serve.lectern import LARGE_BODY, Lectern
from halley.serve.lector import Read, read
from halley.store.journal import Start
from tests.serve.rig import Client, Rig, make_key, rig

LIMIT_S = 20.0
LONG = "x" * LARGE_BODY


def chat(**more: object) -> bytes:
    return json.dumps({"model": "sim/echo", "messages": [{"role": "user", "content": "hi"}], **more}).encode()


def picture(url: str, count: int = 1) -> bytes:
    return chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}] * count}])


async def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < limit
        await asyncio.sleep(0.005)


def with_lector(place: Path, work: Callable[[Rig], Awaitable[None]]) -> None:
    """A rig whose gateway has a lectern on a loop that runs."""
    with rig(place) as found:

        async def inside() -> None:
            found.gateway.lectern = Lectern(asyncio.get_running_loop())
            try:
                await work(found)
            finally:
                found.gateway.lectern.close()

        asyncio.run(inside())


async def answered(client: Client) -> Client:
    await until(lambda: client.finished)
    return client


def test_a_large_body_is_served_as_a_small_one_would_be(tmp_path: Path) -> None:
    async def work(found: Rig) -> None:
        body = chat(stream=True, user="me", max_tokens=7, metadata={"a": LONG})
        client = found.post(body)
        assert not found.calls, "it is read elsewhere"
        while not found.calls and not client.finished:
            await asyncio.sleep(0.005)
            found.flush()
        assert found.call.body == body[:-1] + b',"stream_options":{"include_usage":true}}'
        (start,) = found.records()
        assert isinstance(start, Start) and start.stream
        found.call.fail("connect", written=False)

    with_lector(tmp_path, work)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (chat(temperature=9, x=LONG), 400, "temperature"),
        (chat(x=LONG)[:-1], 400, "JSON"),
        (b"[" * LARGE_BODY * 2, 400, "more than 200000 elements"),
        (chat(x=LONG)[:-3] + b'\xff"}', 400, "UTF-8"),
        (chat(model="sim/nope", x=LONG), 404, "sim/nope"),
        (chat(messages=[{"role": LONG, "content": "x"}]), 400, "role"),
        (picture("http://127.0.0.1/" + LONG), 400, "image_url"),
    ],
    ids=["field", "cut", "width", "text", "model", "role", "url"],
)  # fmt: skip
def test_what_is_wrong_with_a_large_body_is_said(body: bytes, status: int, words: str, tmp_path: Path) -> None:
    async def work(found: Rig) -> None:
        client = await answered(found.post(body))
        assert client.status == status
        assert words in client.error["message"]
        assert len(client.body) < 2000, "the value is not sent back"
        assert not found.calls and not found.records()

    with_lector(tmp_path, work)


def test_a_key_is_checked_before_a_large_body_is_read(tmp_path: Path) -> None:
    async def work(found: Rig) -> None:
        assert found.post(chat(x=LONG), key=make_key("unknown")).status == 401
        assert found.post(chat(x=LONG), fields={b"content-type": b"text/plain"}).status == 415
        assert found.gateway.lectern.open == 0

    with_lector(tmp_path, work)


def test_bodies_are_read_in_order_and_a_client_that_leaves_is_passed_over(tmp_path: Path) -> None:
    async def work(found: Rig) -> None:
        clients = [found.post(chat(model=f"sim/{number}", x=LONG)) for number in range(4)]
        clients[0].leave()
        clients[2].leave()
        await answered(clients[3])
        assert [client.status for client in clients] == [0, 404, 0, 404]
        assert found.gateway.lectern.open == 0

    with_lector(tmp_path, work)


def test_too_many_large_bodies_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lectern, "MOST_WAITING", 1)

    async def work(found: Rig) -> None:
        clients = [found.post(chat(model="sim/nope", x=LONG)) for _ in range(3)]
        assert clients[2].status == 503
        assert clients[2].field("retry-after") == "1"
        assert [(await answered(client)).status for client in clients[:2]] == [404, 404]

    with_lector(tmp_path, work)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stuck"])
def test_a_lector_that_is_lost_costs_one_body_and_is_replaced(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lectern, "LONGEST_S", 0.3)

    async def work(found: Rig) -> None:
        assert (await answered(found.post(chat(model="sim/nope", x=LONG)))).status == 404
        desk: Any = found.gateway.lectern
        os.kill(desk._process.pid, number)
        monkeypatch.setattr(lectern, "LONGEST_S", 0.3 if number == signal.SIGSTOP else 60)
        first = found.post(chat(model="sim/nope", x=LONG))
        monkeypatch.setattr(lectern, "LONGEST_S", 60)
        second = found.post(chat(model="sim/nope", x=LONG))
        while not second.finished:
            desk.each_second(asyncio.get_running_loop().time())
            await asyncio.sleep(0.01)
        assert (first.status, second.status) == (503, 404)

    with_lector(tmp_path, work)


def test_a_loop_goes_on_while_a_body_is_read(tmp_path: Path) -> None:
    async def work(found: Rig) -> None:
        body = b'{"model":"sim/nope","messages":[{"role":"user","content":"' + b'[{,\\"' * 2_000_000 + b'"}]}'
        late = 0.0
        client = found.post(body)
        while not client.finished:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            late = max(late, time.perf_counter() - before)
        assert client.status == 404
        assert late < 1.0, "ten times what the goal allows; the campaign holds it to the goal"

    with_lector(tmp_path, work)


@pytest.mark.parametrize("spaces", ["", " \n"])
def test_what_the_lector_has_seen_changes_the_body_as_what_was_seen_here(spaces: str) -> None:
    text = '{"model":"a","messages":[{"role":"user","content":"hi"}],"x":{"model":"b"},"max_tokens":3,"stream":true,"stream_options":null}'
    body = text.replace(",", "," + spaces).encode()
    there = read(0, b"", body)
    assert isinstance(there, Read)
    here = OPENAI_CHAT.peek(body)
    for model, cap in (("a", None), ("longer", 5), ("z", None)):
        assert OPENAI_CHAT.outbound(body, there.seen, model, cap, "max_tokens") == OPENAI_CHAT.outbound(
            body, here, model, cap, "max_tokens"
        )
        more = OPENAI_CHAT.outbound(body, there.seen, model, cap, "max_completion_tokens")
        assert more == OPENAI_CHAT.outbound(body, here, model, cap, "max_completion_tokens")


def test_a_lector_that_cannot_be_started_refuses_for_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*_: object, **__: object) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(lectern, "subprocess", SimpleNamespace(Popen=no, DEVNULL=-3))

    async def work(found: Rig) -> None:
        client = found.post(chat(x=LONG))
        assert (client.status, client.error["code"]) == (503, "overloaded")

    with_lector(tmp_path, work)


def test_more_pictures_than_are_judged_are_refused() -> None:
    with pytest.raises(Refused, match="at most 1500 images"):
        OPENAI_CHAT.peek(
            chat(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.b/c"}}] * 1501}])
        )


def test_who_waits_for_a_large_body_to_be_read_is_answered_when_the_process_ends(tmp_path: Path) -> None:
    async def work(found: Rig) -> None:
        clients = [found.post(chat(x=LONG)) for _ in range(3)]
        for client in clients:
            client.owner.expel(Refused(Condition.OVERLOADED, "restarting"))  # type: ignore[attr-defined]
        assert [(client.status, client.error["message"]) for client in clients] == [(503, "restarting")] * 3
        await until(lambda: found.gateway.lectern.open == 0)
        found.flush()
        assert not found.calls and not found.records()

    with_lector(tmp_path, work)
