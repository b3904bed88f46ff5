"""Upstreams whose replies are mutated in framing and head, on connections that are kept: a client gets its own answer or an error, once.

Every reply carries the mark of its request. No mark may reach another client, nothing of an upstream's framing or head may pass but what is
allowed, and the requests that follow on the same connections get their own.
"""

from __future__ import annotations

import json
import random
import re
import socket
from collections import Counter
from pathlib import Path
from zlib import crc32

from soak.campaign import Campaign, Effort, Figures, say
from soak.mutations import mutate
from tests.gateway.hostile import Hostile, Reply, whole
from tests.harness.crowd import Crowd, Member
from tests.harness.gateway import Gateway
from tests.harness.priced import customer, encoded

_AT_ONCE = 32
_OURS = {
    "content-type", "content-length", "date", "x-request-id", "x-halley-provider", "x-halley-attempts", "retry-after", "connection",
    "openai-version", "openai-processing-ms", "retry-after-ms", "x-should-retry", "transfer-encoding", "cache-control", "x-accel-buffering",
}  # fmt: skip
_MARK = re.compile(rb"mark-\d+-\d+")
_SLOTS = range(_AT_ONCE)


def run(place: Path, effort: Effort) -> Figures:
    dice = random.Random(effort.seed)
    replies: dict[str, Reply] = {}
    statuses = Counter[int]()
    with Hostile(replies) as upstream, Gateway(place, _configuration(upstream.url)) as gateway:
        key = customer(gateway, "reader", "1000")
        for done in range(0, effort.rounds, _AT_ONCE):
            for slot in _SLOTS:
                replies[f"odd-{slot}"] = _says(_mutated(slot, dice), closes=dice.random() < 0.7)
                replies[f"good-{slot}"] = _says(_reply(f"{_mark(slot)}-good", dice), closes=False)
            for name in ("odd", "good"):
                with Crowd(gateway.url) as crowd:
                    members = [crowd.ask(key, encoded(f"{name}-{slot}", max_tokens=9)) for slot in _SLOTS]
                    crowd.until(lambda member: member.ended or member.whole)
                    crowd.listen(0.01)  # a second answer would follow at once
                    for slot, member in enumerate(members):
                        statuses[_check(member, slot, good=name == "good")] += 1
            if done % (50 * _AT_ONCE) == 0:
                say(f"{done + _AT_ONCE} replies")
        assert gateway.cli_json("ledger", "verify")["clean"]
        logs = gateway.logs()
        assert '"level":"error"' not in logs and "Traceback" not in logs, logs[-4000:]
    return {"replies": effort.rounds, **{f"status_{status}": count for status, count in sorted(statuses.items())}}


def _configuration(url: str) -> str:
    names = [f"{name}-{slot}" for name in ("odd", "good") for slot in _SLOTS]
    models = "".join(
        f'[[models]]\nid = "{name}"\nmax_output = 1000\nprice = {{input = "1", output = "2"}}\noffers = [{{provider = "one"}}]\n'
        for name in names
    )
    provider = f'[[providers]]\nname = "one"\nkind = "openai-compatible"\nbase_url = "{url}"\napi_key = "sk-x"\n'
    return f"[upstream]\nfirst_byte_seconds = 1.0\nidle_seconds = 1.0\n{provider}{models}"


def _mark(slot: int) -> str:
    """Of one request. Its second figure makes sure that no mutation of a mark is the mark of another."""
    return f"mark-{slot}-{crc32(b'%d' % slot)}"


_MARKS = frozenset(_mark(slot).encode() for slot in _SLOTS)


def _reply(mark: str, dice: random.Random) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": mark}, "finish_reason": "stop"}
    body = json.dumps({"id": "x", "choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}).encode()
    if dice.random() < 0.5:
        return whole(body, b"x-secret: inside", b"set-cookie: a=b", b"openai-version: 1")
    half = len(body) // 2
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-secret: inside\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%b\r\n%x;a=b\r\n%b\r\n0\r\nx-trailer: t\r\n\r\n" % (half, body[:half], len(body) - half, body[half:])


def _mutated(slot: int, dice: random.Random) -> bytes:
    """A reply with something in, before or behind it that is none of its own."""
    reply = _reply(f"{_mark(slot)}-odd", dice)
    second = _reply(f"{_mark(slot)}-second", dice)
    match dice.randrange(8):
        case 0:
            return reply + second
        case 1:
            return b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n" * dice.randrange(1, 9) + reply
        case 2:
            return reply.replace(b"\r\n\r\n", b"\r\ncontent-length: %d\r\n\r\n" % dice.choice((0, 5, len(reply))), 1)
        case 3:
            return reply.replace(
                b"\r\n\r\n", b"\r\nTransfer-Encoding: %b\r\n\r\n" % dice.choice((b"chunked", b"identity", b"gzip, chunked")), 1
            )
        case 4:
            return reply.replace(b"openai-version: 1", b"openai-version: 1\rx-evil: 1").replace(b"inside", b"in\nside")
        case 5:
            return reply.replace(b"\r\n\r\n", b"\r\n" + b"x-many: y\r\n" * dice.choice((50, 250)) + b"\r\n", 1)
        case _:
            return mutate(reply, dice, (reply, second))


def _says(data: bytes, *, closes: bool) -> Reply:
    def reply(connection: socket.socket) -> None:
        connection.sendall(data)
        if closes:
            connection.shutdown(socket.SHUT_RDWR)

    return reply


def _check(member: Member, slot: int, *, good: bool) -> int:
    raw = bytes(member.received)
    head, blank, body = raw.partition(b"\r\n\r\n")
    fields = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:])
    assert blank and fields.keys() <= _OURS, f"a field of the upstream's has passed: {raw!r}"
    assert "transfer-encoding" not in fields and len(body) == int(fields["content-length"]), f"not one whole answer: {raw!r}"
    foreign = (_MARKS & set(_MARK.findall(raw))) - {_mark(slot).encode()}
    assert not foreign, f"the answer to {slot} has {foreign}: {raw!r}"
    if good:
        assert member.status in (200, 502), raw
        assert member.status == 502 or json.loads(body)["choices"][0]["message"]["content"] == f"{_mark(slot)}-good", raw
    else:
        assert b"-good" not in body, f"somebody else's answer: {raw!r}"
        # Another 2xx passes as the provider's own word.
        assert member.status in (502, 504) or 200 <= member.status < 300 or 400 <= member.status < 500, raw
    # A body that was changed inside passes as it came, if it still looks like an answer; an error is always Halley's own or readable.
    assert fields["content-type"] == "application/json", raw
    assert (member.status < 300 and not good) or isinstance(json.loads(body), dict), raw
    return member.status


CAMPAIGN = Campaign(
    "hostile-replies", "G25", "mutated replies of upstreams on kept connections", Effort(rounds=640), Effort(rounds=20_000), run
)
