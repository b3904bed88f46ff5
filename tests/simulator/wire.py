"""A raw socket's view of the simulator: what a test sends and every byte that comes back. Shares no code with the simulator."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from halley.simulator.script import Script, Scripts
from halley.simulator.upstream import Upstream, listen

LIMIT_S = 10


class Reply(NamedTuple):
    status: int
    fields: dict[str, str]
    body: bytes
    clean: bool  # the body ended as its framing promised

    @property
    def events(self) -> list[dict]:
        return [json.loads(line[6:]) for line in self.body.splitlines() if line.startswith(b"data: {")]


@asynccontextmanager
async def simulator(named: dict[str, Script] | None = None, **options) -> AsyncIterator[Upstream]:
    upstream = Upstream(scripts=Scripts(named or {}), **options)
    await upstream.start(listen("127.0.0.1", 0))
    try:
        yield upstream
    finally:
        await upstream.close()


async def dial(upstream: Upstream) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(upstream.url.removesuffix("/v1").rpartition(":")[2]))


def request(
    model: str, *, stream: bool = False, usage: bool = False, key: str | None = "k", content: object = "hello there", **fields
) -> bytes:
    ask = {"model": model, "messages": [{"role": "user", "content": content}], "stream": stream, **fields}
    if usage:
        ask["stream_options"] = {"include_usage": True}
    return post("/v1/chat/completions", json.dumps(ask).encode(), key=key)


def post(path: str, body: bytes, *, method: str = "POST", key: str | None = "k") -> bytes:
    bearer = b"" if key is None else b"authorization: Bearer %b\r\n" % key.encode()
    head = b"%b %b HTTP/1.1\r\nhost: sim\r\nx-request-id: req_test\r\n%bcontent-length: %d\r\n\r\n"
    return head % (method.encode(), path.encode(), bearer, len(body)) + body


async def read_reply(reader: asyncio.StreamReader) -> Reply:
    async with asyncio.timeout(LIMIT_S):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body, clean = b"", False
        try:
            if "content-length" in fields:
                body = await reader.readexactly(int(fields["content-length"]))
            elif "transfer-encoding" in fields:
                while size := int(await reader.readuntil(b"\r\n"), 16):
                    body += (await reader.readexactly(size + 2))[:-2]
                await reader.readexactly(2)
            else:
                body = await reader.read()
            clean = True
        except asyncio.IncompleteReadError as cut:
            body += cut.partial
        except (ValueError, ConnectionResetError):
            pass
        return Reply(int(head[0].split()[1]), fields, body, clean)


async def exchange(upstream: Upstream, sent: bytes) -> Reply:
    reader, writer = await dial(upstream)
    try:
        writer.write(sent)
        return await read_reply(reader)
    finally:
        writer.close()


async def until(condition) -> None:
    """Returns when the condition holds; the limit is far above what it takes."""
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 the state of another program has no event to wait on
            await asyncio.sleep(0.005)


class Event(NamedTuple):
    """One frame of a stream: the name on its `event:` line and what its data says; raw text where that is no JSON."""

    name: str
    said: Any


async def ask(upstream: Upstream, path: str, body: object, *, method: str = "POST", **fields: str) -> Reply:
    """A request with these fields; `_` in a name stands for `-`, and the key travels as Bearer unless a field says otherwise."""
    if not any("key" in name or name == "authorization" for name in fields):
        fields["authorization"] = "Bearer k"
    sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    head = f"{method} {path} HTTP/1.1\r\nhost: sim\r\nx-request-id: req_test\r\n{lines}content-length: {len(sent)}\r\n\r\n"
    return await exchange(upstream, head.encode() + sent)


def events(reply: Reply) -> list[Event]:
    found: list[Event] = []
    for block in reply.body.replace(b"\r\n", b"\n").decode(errors="replace").split("\n\n"):
        lines = [line.partition(": ") for line in block.split("\n") if line and not line.startswith(":")]
        fields = {name: value for name, _, value in lines}
        if "data" in fields:
            try:
                said = json.loads(fields["data"])
            except ValueError:
                said = fields["data"]
            found.append(Event(fields.get("event", ""), said))
    return found
