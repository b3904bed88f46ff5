"""The lines of a corpus of URLs, the resolver that they describe, and the host `public.test` with everything it serves."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import re
import threading
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
WEB = {
    "/gzip-bomb": ("image/png", "content-encoding: gzip\r\n", gzip.compress(PNG + bytes(1 << 20))),
    "/double-gzip": ("image/png", "content-encoding: gzip, gzip\r\n", gzip.compress(gzip.compress(PNG))),
    "/huge-headers": ("image/png", "x-filler: " + "x" * (10 << 20) + "\r\n", PNG),
    "/svg-xxe": ("image/svg+xml", "", b'<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/hostname">]><svg>&y;</svg>'),
    "/liar.html": ("image/png", "", b"<html></html>"),
    "/r-refresh": ("text/html", "refresh: 0;url=http://127.0.0.1/\r\n", b"<html></html>"),
    "/altsvc": ("text/html", 'alt-svc: h2="127.0.0.1:443"\r\n', b"<html></html>"),
    "/nothing": ("image/png", "", b""),
}

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class Line(NamedTuple):
    url: str
    group: str
    expected: str


class Corpus(NamedTuple):
    lines: list[Line]
    answers: dict[str, list[list[str]]]
    redirects: dict[str, tuple[int, str]]


def read(path: Path) -> Corpus:
    lines: list[Line] = []
    answers: dict[str, list[list[str]]] = {}
    redirects: dict[str, tuple[int, str]] = {}
    for text in path.read_text(encoding="utf-8").split("\n"):
        if text.startswith("@resolve "):
            _, name, spelled = text.split(" ", 2)
            looks = [[answer.strip().rsplit(" ", 1)[-1] for answer in look.split(",")] for look in spelled.split(";")]
            answers[name] = looks
        elif text.startswith("@redirect "):
            name, _, target = text.removeprefix("@redirect ").partition(" -> ")
            found = re.match(r"(30[0-9]) ", target)
            redirects[name] = (int(found.group(1)) if found else 302, target[found.end() :] if found else target)
            if " hops " in target:
                redirects[name] = (302, f"{name}/1/{target.split(' ', 1)[0]}/{target.rsplit(' ', 1)[1]}")
        elif text and not text.startswith(("#", "@")):
            url, group, expected, _ = text.split("\t")
            lines.append(Line(json.loads(url[5:]) if url.startswith("json:") else url, group, expected))
    return Corpus(lines, answers, redirects)


class Resolver:
    """Answers each look-up of a name with the next of its answers, over and over; that of `slow.test` when the event is set."""

    def __init__(self, answers: dict[str, list[list[str]]], slow: threading.Event | None = None) -> None:
        self.answers = answers
        self.slow = slow
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        if host == "slow.test" and self.slow is not None:
            self.slow.wait(10)
        looks = self.answers.get(host)
        if looks is None:
            raise OSError("there is no such name")
        self.asked.append(host)
        return looks[(self.asked.count(host) - 1) % len(looks)]


class Web:
    """What public.test serves: the redirects of a corpus, `/r?to=URL`, hostile content by path, and a picture under any name in .png."""

    def __init__(self, redirects: dict[str, tuple[int, str]]) -> None:
        self.redirects = redirects
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            await self._answer(head.split(b" ")[1].decode("ascii"), writer)
        writer.close()

    async def _answer(self, path: str, writer: asyncio.StreamWriter) -> None:
        if path in self.redirects:
            status, target = self.redirects[path]
            write(writer, status, f"location: {target}\r\n".encode())
        elif path.startswith("/r?to="):
            write(writer, 302, b"location: " + unquote(path[6:]).encode("utf-8", "surrogatepass") + b"\r\n")
        elif found := re.fullmatch(r"(/[\w-]+)/(\d+)/(\d+)/(.*)", path):
            name, place, last, target = found.groups()
            write(
                writer,
                302,
                (f"location: {target}\r\n" if place == last else f"location: {name}/{int(place) + 1}/{last}/{target}\r\n").encode(),
            )
        elif path in WEB:
            kind, fields, body = WEB[path]
            write(writer, 200, f"content-type: {kind}\r\n{fields}".encode(), body)
        elif path == "/drip":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 1000\r\n\r\n")
            while not writer.is_closing():
                writer.write(b"\x89")
                await writer.drain()
                await asyncio.sleep(0.05)
        elif path == "/endless":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n\r\n" + PNG)
            while not writer.is_closing():
                writer.write(bytes(65536))
                await writer.drain()
                await asyncio.sleep(0)  # `drain` alone does not let the loop notice that nobody reads any more
        elif path == "/declared":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 99999999999\r\n\r\n")
        elif path.split("?")[0].endswith(".png"):
            write(writer, 200, b"content-type: image/png\r\nset-cookie: a=b\r\n", PNG)
        else:
            write(writer, 404, b"content-type: text/plain\r\n", b"nothing here")
        await writer.drain()


def write(writer: asyncio.StreamWriter, status: int, fields: bytes, body: bytes = b"") -> None:
    writer.write(b"HTTP/1.1 %d X\r\n%bcontent-length: %d\r\n\r\n%b" % (status, fields, len(body), body))
