"""Streams cut, stalled and broken at every event: what was said stays said once, the end is honest, and nobody pays for a broken answer."""

from __future__ import annotations

import json
import random
import re
import socket
import time
from collections import Counter
from pathlib import Path

from soak.broken import DONE, EVENTS, Broken, make
from soak.campaign import Campaign, Effort, Figures, say
from tests.gateway.hostile import Hostile, Reply
from tests.harness import books
from tests.harness.crowd import Crowd, Member
from tests.harness.gateway import Gateway
from tests.harness.priced import customer, encoded
from tests.harness.process import until

_AT_ONCE = 32
_IDLE_S = 1.0
_SIZE = re.compile(rb"([0-9a-f]+)\r\n")


def run(place: Path, effort: Effort) -> Figures:
    dice = random.Random(effort.seed)
    replies: dict[str, Reply] = {}
    kinds = Counter[str]()
    endings: dict[str, Broken] = {}
    slowest = 0.0
    with Hostile(replies) as upstream, Gateway(place, _configuration(upstream.url)) as gateway:
        key = customer(gateway, "reader", "1000")
        for done in range(0, effort.rounds, _AT_ONCE):
            streams = [make(dice, EVENTS[number % len(EVENTS)]) for number in range(done, min(done + _AT_ONCE, effort.rounds))]
            replies.update({_name(slot): _writes(stream, dice) for slot, stream in enumerate(streams)})
            upstream.asked.clear()
            began = time.monotonic()
            with Crowd(gateway.url) as crowd:
                members = [crowd.ask(key, encoded(_name(slot), stream=True)) for slot in range(len(streams))]
                crowd.until(lambda member: member.ended or member.whole)
                slowest = max(slowest, time.monotonic() - began)
                for slot, (member, stream) in enumerate(zip(members, streams, strict=True)):
                    tries = upstream.asked.count(_name(slot))
                    try:
                        _check(member, stream, tries)
                    except AssertionError as fault:
                        raise AssertionError(f"{stream.name}: {fault}\n{stream.wire!r}\n{bytes(member.received)!r}") from None
                    endings[member.id] = stream
                    kinds[stream.name.partition(" ")[0]] += 1
            if done % (20 * _AT_ONCE) == 0:
                say(f"{done + len(streams)} streams")
        _check_books(gateway, endings)
        logs = gateway.logs()
        assert '"level":"error"' not in logs and "Traceback" not in logs, logs[-4000:]
    return {
        "streams": sum(kinds.values()),
        "slowest_s": round(slowest, 2),
        **{f"of_{kind}": count for kind, count in sorted(kinds.items())},
    }


def _name(slot: int) -> str:
    return f"broken-{slot}"


def _configuration(url: str) -> str:
    """Every model at two providers, so that a second attempt would find one. A provider that fails so often must not be left out."""
    models = "".join(
        f'[[models]]\nid = "{_name(slot)}"\nmax_output = 1000\nprice = {{input = "1", output = "2"}}\n'
        'offers = [{provider = "one"}, {provider = "two"}]\n'
        for slot in range(_AT_ONCE)
    )
    providers = "".join(
        f'[[providers]]\nname = "{name}"\nkind = "openai-compatible"\nbase_url = "{url}"\napi_key = "sk-x"\n' for name in ("one", "two")
    )
    return f"[upstream]\nfirst_byte_seconds = {_IDLE_S}\nidle_seconds = {_IDLE_S}\n{providers}{models}"


def _writes(stream: Broken, dice: random.Random) -> Reply:
    """In pieces of any size, so that frames and characters are cut in two; then closes, or says no more until the other side leaves."""
    size = dice.choice((1, 7, 60, 1000, 100_000))

    def reply(connection: socket.socket) -> None:
        for start in range(0, len(stream.wire), size):
            connection.sendall(stream.wire[start : start + size])
        if stream.stalls:
            connection.recv(1)
        connection.shutdown(socket.SHUT_RDWR)

    return reply


def _check(member: Member, stream: Broken, tries: int) -> None:
    # What came in one read with its own end may be thrown away and tried again: nothing of it had left.
    if stream.before or (stream.error and member.status != 200):
        assert member.status in (502, 504), f"status {member.status}"
        assert 1 <= tries <= 2, f"{tries} attempts"
        return
    assert member.status == 200, f"status {member.status}"
    # The head left with the first byte: what was tried after it would not be in it. (A kept connection may end before it is asked.)
    said = re.search(rb"\r\nx-halley-attempts: (\d+)", member.received)
    assert said is not None and tries <= int(said[1]), f"{tries} attempts, and the head says {said}"
    body = _dechunked(bytes(member.received).partition(b"\r\n\r\n")[2])
    expected = b"".join(stream.seen)
    assert body.startswith(expected), f"not what was sent: {body!r} for {expected!r}"
    rest = body[len(expected) :]
    if not stream.error:
        assert not rest.strip(), f"something after the end: {rest!r}"
        return
    assert DONE.strip() not in [line.strip() for line in body.split(b"\n")], "a broken stream has an end marker"
    assert rest.startswith(b"data: {") and rest.endswith(b"}\n\n") and rest.count(b"\n\n") == 1, f"not one error event: {rest!r}"
    error = json.loads(rest[6:])["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["type"] == "api_error", error


def _dechunked(data: bytes) -> bytes:
    """Of an answer that has ended as it should. Raises AssertionError for another."""
    body = bytearray()
    position = 0
    while True:
        size = _SIZE.match(data, position)
        assert size is not None, f"no chunk at {position}: {data!r}"
        length = int(size[1], 16)
        position = size.end() + length + 2
        assert data[position - 2 : position] == b"\r\n", f"the last chunk is missing: {data!r}"
        if not length:
            return bytes(body)
        body += data[size.end() : position - 2]


def _check_books(gateway: Gateway, streams: dict[str, Broken]) -> None:
    """A broken answer costs nothing; one with an odd line in it costs what was reported."""

    def ended() -> dict[str, tuple[str, int]]:
        with books.store(gateway.home) as connection:
            return {
                row["id"]: (row["ending"], row["charge"])
                for row in connection.execute("SELECT id, ending, charge FROM requests WHERE ending IS NOT NULL")
            }

    until(lambda: streams.keys() <= ended().keys(), lambda: "not everything is in the books")
    assert gateway.cli_json("ledger", "verify")["clean"]
    for id, (ending, charge) in ended().items():
        stream = streams[id]
        broken = stream.error or stream.before or b'"error"' in b"".join(stream.seen[-1:])
        assert (ending in ("broke", "failed")) == broken, f"{stream.name}: {ending}"
        assert (charge == 0) == broken, f"{stream.name}: {ending}, {charge}"


CAMPAIGN = Campaign("broken-streams", "G21", "streams cut, stalled and broken at every event", Effort(rounds=192), Effort(rounds=2400), run)
