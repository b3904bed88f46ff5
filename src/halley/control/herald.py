"""The herald: writes alerts to the log and sends them to the operator's webhook, each again and again until it is taken.

Signed by Standard Webhooks. The address is judged at every attempt, its name resolved once and the vetted address connected to; no redirect
is followed, of an answer the status alone is read. An alert's id is the same at every attempt: whoever has seen it may drop it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

from halley import __version__, logs
from halley.control.plan import Place
from halley.control.turns import Turns
from halley.policy import webhooks
from halley.policy.urls import Refusal, Target, judge, judge_answers
from halley.store import alerts, nodes
from halley.store.alerts import Alert
from halley.store.database import Away, Store

LOOK_S = 1.0
ATTEMPT_S = 15.0
# So long an alert that one control process sends is not due for the others of the same database.
_TAKEN_S = 60.0
# Seconds after one attempt until the next, as Standard Webhooks proposes: ten attempts over three days.
PAUSES = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
_JITTER = 0.2
_GONE = 410
_MOST_HEAD = 1024

_log = logs.get("halley.alerts")


class Unreachable(Exception):
    """There is no way to the place; the message says why."""


class Herald:
    """`place` of None: the log alone."""

    def __init__(self, store: Store, turns: Turns, place: Place | None, now: Callable[[], float], roll: Callable[[], float]) -> None:
        self._store = store
        self._turns = turns
        self._place = place
        self._now = now
        self._roll = roll

    async def rounds(self) -> None:
        while True:
            try:
                await self.round()
            except Away:
                pass  # the store says so, once
            except Exception as fault:  # top of a named background loop
                _log.error("a round over alerts failed", fault=fault)
            await asyncio.sleep(LOOK_S)

    async def round(self) -> None:
        for alert in await self._turns.take(self._untold):
            _log.warning("an alert", kind=alert.kind, name=alert.id, detail=alert.body.decode())
        if self._place is not None:
            for alert in await self._turns.take(self._due):
                await self._attempt(self._place, alert)

    async def _attempt(self, place: Place, alert: Alert) -> None:
        try:
            async with asyncio.timeout(ATTEMPT_S):
                status = await _post(place, alert, int(self._now()))
        except (OSError, TimeoutError, ValueError, Unreachable) as fault:
            status = 0
            _log.error("an alert could not be delivered", name=alert.id, fault=fault)
        until = None
        if not 200 <= status < 300 and status != _GONE:
            if alert.attempts < len(PAUSES):
                until = self._now() + PAUSES[alert.attempts] * (1 + _JITTER * (2 * self._roll() - 1))
            else:
                _log.error("an alert was given up", name=alert.id, status=status)
        await self._turns.take(self._put_off, alert.id, until)

    def _untold(self) -> list[Alert]:
        with self._store.begin() as connection:
            found = alerts.untold(connection)
            if self._place is None and found:
                alerts.forget_undeliverable(connection)
            return found

    def _due(self) -> list[Alert]:
        at = self._now()
        if self._store.node == nodes.ALONE:
            with self._store.read() as connection:
                return alerts.due(connection, at)
        with self._store.begin() as connection:
            return alerts.take_due(connection, at, at + _TAKEN_S)

    def _put_off(self, alert: str, until: float | None) -> None:
        with self._store.begin() as connection:
            alerts.put_off(connection, alert, until)


async def _post(place: Place, alert: Alert, at: int) -> int:
    """The status of the answer. Raises OSError, ValueError, Unreachable."""
    target = _target(place)
    address = target.host
    if not target.literal:
        answers = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        found = [str(each[4][0]) for each in answers]
        if not place.private:
            vetted = judge_answers(found)
            if isinstance(vetted, Refusal):
                raise Unreachable(vetted.message)
            found = [each.ip for each in vetted]
        address = found[0]
    secure = ssl.create_default_context() if target.scheme == "https" else None
    name = target.host if secure is not None else None
    reader, writer = await asyncio.open_connection(address, target.port, ssl=secure, server_hostname=name, limit=_MOST_HEAD)
    try:
        fields = "".join(f"{key}: {value}\r\n" for key, value in webhooks.headers(place.keys, alert.id, at, alert.body).items())
        head = (
            f"POST {target.path} HTTP/1.1\r\nhost: {_authority(target)}\r\nuser-agent: halley/{__version__}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(alert.body)}\r\nconnection: close\r\n{fields}\r\n"
        )
        writer.write(head.encode("ascii") + alert.body)
        await writer.drain()
        line = (await reader.readline()).split(b" ", 2)
        if len(line) < 2 or not line[0].startswith(b"HTTP/1.") or not line[1].isdigit():
            raise Unreachable("what answers there does not speak HTTP")
        return int(line[1])
    finally:
        writer.close()


def _target(place: Place) -> Target:
    """Raises Unreachable."""
    if place.private:
        parts = urlsplit(place.url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return Target(parts.scheme, parts.hostname or "", port, path, literal=False)
    verdict = judge(place.url)
    if not isinstance(verdict, Target):
        raise Unreachable(verdict.message if isinstance(verdict, Refusal) else "the URL of the webhook is no address")
    return verdict


def _authority(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return host if target.port == (443 if target.scheme == "https" else 80) else f"{host}:{target.port}"
