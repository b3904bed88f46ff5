"""A relay process: reads its launch settings, serves on the inherited socket, ends as it is ordered."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import socket
import ssl
import sys
from collections.abc import Coroutine

from halley import crash, logs
from halley.config import Launch, Server
from halley.dialects import SPOKEN
from halley.net import descriptors
from halley.net.client import Deadlines, Origin, Pool
from halley.net.clock import Clock
from halley.net.egress import Caps, Egress
from halley.net.guards import Guards
from halley.net.listener import Listener
from halley.serve.answers import UPSTREAM_IDS
from halley.serve.ending import end
from halley.serve.forward import REPLY_FIELDS
from halley.serve.gateway import Bounds, Gateway, Station
from halley.serve.heartbeats import Heartbeats
from halley.serve.memory import keep_pages
from halley.serve.orders import Order, Orders
from halley.serve.overtime import Overtime
from halley.serve.peers import Peers
from halley.serve.pressure import memory_limit
from halley.serve.tables import tls_context

_log = logs.get("halley.relay")


async def serve(launch: Launch, name: str, listen_fd: int, channel_fd: int) -> None:
    settings = launch.settings
    loop = asyncio.get_running_loop()
    clock = Clock()
    clock.start(loop)
    upstream = settings.upstream
    deadlines = Deadlines(upstream.connect_seconds, upstream.first_byte_seconds, upstream.idle_seconds)
    context = tls_context(settings.egress.ca_file)
    wanted = UPSTREAM_IDS.union(*(dialect.reply_fields for dialect in SPOKEN.values()))

    def pool(origin: Origin) -> Pool:
        secure = context if origin.scheme == "https" else None
        return Pool(
            origin,
            deadlines=deadlines,
            clock=clock,
            wanted=wanted,
            ssl_context=secure,
            idle_seconds=upstream.pool_idle_seconds,
            size=upstream.pool_size,
            waiting=upstream.pool_waiting,
        )

    web = Pool(
        Origin("unix", "control", 0, os.path.join(launch.run, "web.sock")),
        deadlines=Deadlines(1.0, 30.0, 30.0),
        clock=clock,
        wanted=REPLY_FIELDS,
    )
    server = settings.server
    scheme = "https" if server.tls_cert else "http"
    bounds = Bounds(
        lag_s=server.shed_lag_ms / 1000,
        memory=memory_limit(server.shed_memory_mb, server.workers),
        journal_lag_s=settings.billing.journal_lag_seconds,
        answer_bytes=upstream.answer_bytes,
        abandoned=upstream.abandoned_streams,
        abandoned_s=upstream.abandoned_seconds,
    )
    claims = settings.retention.idempotency_hours > 0
    station = Station(name, launch.home, launch.run, server.workers, settings.limits.json_bytes, scheme, bounds, claims)
    away = settings.egress
    caps = Caps(
        away.fetch_bytes,
        away.fetch_connect_seconds,
        away.fetch_first_byte_seconds,
        away.fetch_total_seconds,
        away.fetches,
        away.fetch_plain_http,
    )
    egress = Egress(clock, caps, ssl_context=context)
    gateway = Gateway(station, peers=Peers(server.trusted_proxies), clock=clock, pools=pool, web=web, egress=egress)
    overtime = Overtime(gateway.runs, upstream.total_seconds)
    clock.every_second.append(lambda: overtime.each_second(clock.now))
    heartbeats = Heartbeats(gateway.runs, server.heartbeat_seconds)
    if server.heartbeat_seconds:
        clock.every_second.append(lambda: heartbeats.each_second(clock.now))
    guards = Guards(
        head_bytes=server.head_bytes,
        head_fields=server.head_fields,
        head_seconds=server.head_seconds,
        body_bytes=settings.limits.json_bytes,
        body_seconds=server.body_seconds,
        body_rate=server.body_rate,
        idle_seconds=server.idle_seconds,
        write_stall_seconds=server.write_stall_seconds,
        connections=_connections(server),
    )
    link = loop.create_task(gateway.link.run())
    orders = Orders(socket.socket(fileno=channel_fd), min(server.drain_notice_seconds, server.drain_seconds))
    await _first(gateway.ready.wait(), orders.wait(Order.UNREADY))
    if not orders.given(Order.UNREADY):
        listener = Listener(gateway, guards, clock, ssl_context=_listener_tls(server))
        await listener.accept(socket.socket(fileno=listen_fd))
        # What is loaded by now lives as long as the process, and a request leaves no cycles behind: the collector may look rarely.
        gateway.pressure.start(loop)
        keep_pages()
        gc.freeze()
        gc.set_threshold(10_000, 20, 50)
        orders.say("ready")
        await orders.wait(Order.UNREADY)
        limit = loop.time() + server.drain_seconds
        gateway.unready = True
        await orders.wait(Order.END)
        await end(gateway, listener, orders, limit)
    orders.close()
    link.cancel()
    gateway.journal.close()
    gateway.pressure.stop()
    gateway.lectern.close()
    egress.close()
    clock.stop()


def _connections(server: Server) -> int:
    """As many clients as are configured, or as there are descriptors for."""
    limit = descriptors.raise_limit()
    most = descriptors.clients(server.max_connections, limit)
    if most < server.max_connections:
        _log.info("fewer connections than max_connections, for want of file descriptors", count=most, limit=limit)
    return most


def _listener_tls(server: Server) -> ssl.SSLContext | None:
    if not server.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.tls_cert, server.tls_key or None)
    return context


async def _first(*whats: Coroutine[None, None, object]) -> None:
    """Until one of them has come to its end."""
    waits = [asyncio.ensure_future(what) for what in whats]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


def main() -> None:
    parser = argparse.ArgumentParser(prog="halley.serve")
    parser.add_argument("--name", required=True)
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--channel-fd", type=int, required=True)
    options = parser.parse_args()
    launch = Launch.unpack(sys.stdin.buffer.read())
    try:
        armed = crash.arm("relay", launch.home, os.environ)
    except crash.CannotArm as fault:
        sys.exit(f"halley: {fault}")
    if armed:
        from halley.serve import crashes

        crashes.wrap(armed)
    coroutine = serve(launch, options.name, options.listen_fd, options.channel_fd)
    try:
        import uvloop
    except ImportError:
        asyncio.run(coroutine)
    else:
        uvloop.run(coroutine)


if __name__ == "__main__":
    main()
