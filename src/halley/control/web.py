"""Control's public HTTP on `web.sock`, where relays send what is not data plane: metrics for loopback, the documentation, a first page."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from html import escape

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from halley import logs
from halley.chat.published import Failed, Failure
from halley.control import account, openapi, pages
from halley.control.account.door import Door
from halley.control.desk import Desk
from halley.control.link import Link
from halley.control.payments import Till
from halley.control.turns import Turns
from halley.errors import Condition
from halley.exchanges import standing
from halley.store.database import Away

READING = ("GET", "HEAD")
_log = logs.get("halley.control")
_POLICY = "default-src 'none'; style-src 'self' 'unsafe-inline'"


class Dressed:
    """Puts the request id and the safety fields on every answer, whoever made it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = {b"x-content-type-options": b"nosniff", b"content-security-policy": _POLICY.encode(), b"referrer-policy": b"no-referrer"}
        given = dict(scope.get("headers", ())).get(b"x-request-id")
        if given is not None:
            ours[b"x-request-id"] = given

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *ours.items()]}
            await send(message)

        await self._app(scope, receive, dressed)


def application(desk: Desk, turns: Turns, clerks: Turns, link: Link) -> Starlette:
    async def metrics(request: Request) -> Response:
        if not _loopback(request.headers.get("x-halley-peer", "")):
            return refused(Condition.BAD_KEY, "Metrics are shown to loopback peers only.")
        figures: defaultdict[str, int] = defaultdict(int, await turns.take(desk.figures))
        figures["halley_relays_connected"] = len(link.connected)
        figures["halley_relays_ready"] = sum(each.ready for each in link.counters.values())
        for counters in link.counters.values():
            for series, value in counters.values.items():
                figures[series] += value
        return PlainTextResponse(render(figures), media_type="text/plain; version=0.0.4")

    async def first(request: Request) -> Response:
        root = desk.plan.public_url or f"http://{request.headers.get('host', 'localhost')}"
        return HTMLResponse(
            pages.page(
                "Halley",
                f"<h1>Halley</h1><p>Base URL of the API: <code>{escape(root)}/v1</code></p><p><a href='/docs'>Documentation</a></p>",
            )
        )

    async def described(request: Request) -> Response:
        return Response(openapi.document(), media_type="application/json")

    async def contents(request: Request) -> Response:
        return HTMLResponse(pages.contents())

    async def document(request: Request) -> Response:
        name: str = request.path_params["page"]
        if name.endswith(".md"):
            text = pages.markdown(name.removesuffix(".md"))
            if text is not None:
                return PlainTextResponse(text, media_type="text/markdown")
        elif (html := pages.document(name)) is not None:
            return HTMLResponse(html)
        return refused(Condition.UNKNOWN_URL, f'There is no page "{logs.clean(name[:100])}"; /docs lists them.')

    async def unknown(request: Request, fault: Exception) -> Response:
        return refused(Condition.UNKNOWN_URL, f"There is nothing at {logs.clean(request.url.path[:200])} for {request.method}.")

    async def wrong_method(request: Request, fault: Exception) -> Response:
        methods = ", ".join(sorted(fault.headers["Allow"].split(", ")) if isinstance(fault, HTTPException) and fault.headers else READING)
        answer = refused(Condition.WRONG_METHOD, f"{request.method} is not served at {logs.clean(request.url.path[:200])}; use {methods}.")
        answer.headers["allow"] = methods
        return answer

    async def away(request: Request, fault: Exception) -> Response:
        return refused(Condition.OVERLOADED, "The database cannot be used just now; try again.")

    async def bug(request: Request, fault: Exception) -> Response:
        _log.error("a bug in control", method=request.method, fault=fault)
        return refused(Condition.BUG, "Something went wrong inside the gateway; the request id identifies it in the log.")

    app = Starlette(
        routes=[
            Route("/", first),
            Route(standing.METRICS.decode(), metrics),
            Route(standing.DOCUMENT.decode(), described),
            Route("/docs", contents),
            Route("/docs/", contents),
            Route("/docs/{page}", document),
            *Door(desk, turns, clerks, link).routes(account.ENDPOINTS),
            *Till(desk, turns, link).routes(),
        ],
        exception_handlers={404: unknown, 405: wrong_method, Away: away, Exception: bug},
        middleware=[Middleware(Dressed)],
    )
    # A redirect would name whatever host the client named, by http, and the key would be sent there.
    app.router.redirect_slashes = False
    return app


def refused(condition: Condition, message: str) -> Response:
    wire = condition.value
    body = msgspec.json.encode(Failed(Failure(message, wire.openai_type, None, wire.openai_code)))
    return Response(body, wire.status, media_type="application/json")


def render(figures: dict[str, int]) -> str:
    """Prometheus text: one TYPE line per name, a counter when its name says so."""
    lines: list[str] = []
    last = ""
    for series in sorted(figures, key=lambda each: (each.partition("{")[0], each)):
        name = series.partition("{")[0]
        if name != last:
            lines.append(f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}")
            last = name
        lines.append(f"{series} {figures[series]}")
    return "\n".join(lines) + "\n"


def _loopback(peer: str) -> bool:
    try:
        return ipaddress.ip_address(peer).is_loopback
    except ValueError:
        return False
