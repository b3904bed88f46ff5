"""The HTTP side of the account's API: who asks, what exactly, and the answer as JSON or CSV. What an operation does is its endpoint's.

A credential comes in the `Authorization` field, as `Bearer …` or by itself; in the query only where an endpoint says so. It is looked up by
its digest, and nothing of it is kept or logged.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_address, ip_network
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from halley import logs
from halley.control.account.endpoint import FORMATS, Endpoint, Manners, Table, Visitor
from halley.control.desk import Desk
from halley.control.link import Link
from halley.control.turns import Turns
from halley.errors import Condition, HalleyError, Refused
from halley.secret import Secret
from halley.store import customers, keytext, people
from halley.store.customers import Short, Taken, Unknown
from halley.store.database import Away
from halley.store.values import INFERENCE
from halley.wire.jsonbody import Malformed, members

MOST_BYTES = 1 << 20
_CREDENTIAL = re.compile(r"(?:[Bb][Ee][Aa][Rr][Ee][Rr] )?([\x21-\x7e]+)")
_IN_QUERY = ("GET", "DELETE")
_PLACE = re.compile(r"`\$\.?([^`]*)`")


class Door:
    """`turns` may write the store, `clerks` read it meanwhile."""

    def __init__(self, desk: Desk, turns: Turns, clerks: Turns, link: Link) -> None:
        self._desk = desk
        self._turns = turns
        self._clerks = clerks
        self._link = link

    def routes(self, endpoints: Iterable[Endpoint]) -> list[Route]:
        """One route per path, so that a wrong method is told all the right ones."""
        by_path: defaultdict[str, dict[str, Endpoint]] = defaultdict(dict)
        for endpoint in endpoints:
            for path in (endpoint.path, *endpoint.aliases):
                by_path[path][endpoint.method] = endpoint
        return [Route(path, self._served(methods), methods=list(methods)) for path, methods in by_path.items()]

    def _served(self, methods: dict[str, Endpoint]) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            endpoint = methods["GET" if request.method == "HEAD" else request.method]
            try:
                return await self._answer(endpoint, request)
            except HalleyError as fault:
                return refusing(endpoint.manners, _refusal(fault), request.headers.get("x-request-id", ""))

        return serve

    async def _answer(self, endpoint: Endpoint, request: Request) -> Response:
        secret = _credential(request, endpoint)
        visitor = await self._clerks.take(self.visitor, secret, request.headers.get("x-halley-peer", ""))
        if endpoint.scope not in visitor.scopes:
            raise Refused(Condition.NOT_ALLOWED, f"This needs the scope {endpoint.scope}; the credential has {', '.join(visitor.scopes)}.")
        question = await _question(endpoint, request)
        answer = await (self._turns if endpoint.changes else self._clerks).take(endpoint.run, self._desk, visitor, question)
        if endpoint.changes:
            await self._link.push()
        if endpoint.as_table is not None and _wants_csv(request):
            return _csv(endpoint.as_table(answer))
        headers = {"cache-control": "no-store"}
        return Response(msgspec.json.encode(answer), endpoint.status, headers, media_type="application/json")

    def visitor(self, secret: Secret, peer: str) -> Visitor:
        """Whose credential it is; junk is refused before the store is opened. Raises Refused (401, 403)."""
        text, now, pepper = secret.reveal(), self._desk.now(), self._desk.store.pepper
        if not (keytext.well_formed(text, keytext.TOKEN) or keytext.well_formed(text)):
            raise Refused(Condition.BAD_KEY, "The key or token is mistyped or cut short: its checksum does not fit.")
        with self._desk.store.read() as connection:
            if keytext.well_formed(text, keytext.TOKEN):
                token = people.token_of_text(connection, pepper, secret, now)
                if token is not None:
                    return Visitor(token.account, token.scopes, token.user)
            else:
                key = customers.key_of_text(connection, pepper, secret, now)
                if key is not None:
                    if key.limits.ips is not None and not _within(peer, key.limits.ips):
                        raise Refused(Condition.NOT_ALLOWED, "This API key may not be used from this address.")
                    return Visitor(key.account, tuple(each for each in key.limits.allowed if each != INFERENCE), key.name, key.id)
        raise Refused(Condition.BAD_KEY, "The key or token is not valid: unknown, revoked, disabled or expired.")


def _within(peer: str, networks: tuple[str, ...]) -> bool:
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    return any(address in ip_network(network, strict=False) for network in networks)


def refusing(manners: Manners, refusal: Refused, request_id: str) -> Response:
    headers = {"www-authenticate": "Bearer"} if refusal.condition is Condition.BAD_KEY else {}
    # Somebody may have put a key where a name belongs: it is not told again.
    told = Refused(refusal.condition, logs.clean(refusal.message), param=refusal.param, code=refusal.code)
    return Response(msgspec.json.encode(manners.refuse(told, request_id)), refusal.condition.status, headers, media_type="application/json")


def _refusal(fault: HalleyError) -> Refused:
    match fault:
        case Refused():
            return fault
        case Unknown():
            return Refused(Condition.NOT_FOUND, str(fault))
        case Taken() | Short():
            return Refused(Condition.CONFLICT, str(fault), code="conflict")
        case Away():
            return Refused(Condition.OVERLOADED, "The database cannot be used just now; try again.", retry_after_s=1.0)
        case _:
            raise fault


def _credential(request: Request, endpoint: Endpoint) -> Secret:
    """Raises Refused (401)."""
    value = request.headers.get("authorization")
    in_query = request.query_params.getlist("key") if endpoint.key_in_query else []
    if value is None and len(in_query) == 1:
        return Secret(in_query[0])
    if value is None:
        raise Refused(Condition.BAD_KEY, "No key or token was sent. Send it as `Authorization: Bearer …`.")
    found = _CREDENTIAL.fullmatch(value)
    if found is None:
        raise Refused(Condition.BAD_KEY, "The Authorization field must be the token, or `Bearer `, one blank and the token, nothing else.")
    if any(each != found[1] for each in in_query):
        raise Refused(Condition.BAD_KEY, "Two different keys were sent in two places; send one.")
    return Secret(found[1])


async def _question(endpoint: Endpoint, request: Request) -> Any:
    """Raises Refused (400, 413)."""
    given: dict[str, Any] = {}
    if endpoint.method in _IN_QUERY:
        for name, value in request.query_params.multi_items():
            if name in given:
                raise Refused(Condition.INVALID, f"{name[:64]} stands twice in the query.", param=name[:64])
            given[name] = value
        if endpoint.key_in_query:
            given.pop("key", None)
        if endpoint.as_table is not None and (form := given.pop("format", "json")) not in FORMATS:
            raise Refused(Condition.INVALID, f"format is {' or '.join(FORMATS)}; {form[:64]!r} was asked for.", param="format")
    else:
        given = _decoded(await _body(request))
    given |= request.path_params
    names = {field.encode_name for field in msgspec.structs.fields(endpoint.question)}
    known = sorted(names | ({"format"} if endpoint.as_table is not None else set()))
    if any("\0" in value for value in given.values() if isinstance(value, str)):
        raise Refused(Condition.INVALID, "There is a NUL in it, which no name has.")
    unknown = sorted(given.keys() - names)
    if unknown and not endpoint.manners.lenient:
        raise Refused(Condition.INVALID, f"{unknown[0][:64]} is not known here; there are {', '.join(known) or 'none'}.", param=unknown[0])
    try:
        return msgspec.convert(
            {name: given[name] for name in given.keys() & names}, endpoint.question, strict=endpoint.method not in _IN_QUERY
        )
    except msgspec.ValidationError as fault:
        place = _PLACE.search(str(fault))
        raise Refused(Condition.INVALID, f"{fault}.", param=place[1] if place is not None else None) from None


async def _body(request: Request) -> bytes:
    whole = bytearray()
    async for piece in request.stream():
        whole += piece
        if len(whole) > MOST_BYTES:
            raise Refused(Condition.BODY_TOO_LARGE, f"The body is larger than {MOST_BYTES} bytes.")
    return bytes(whole)


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        members(body or b"{}")  # a name that stands twice is refused: two readers would read it differently
        return msgspec.json.decode(body or b"{}", type=dict[str, Any])
    except Malformed as fault:
        raise Refused(Condition.INVALID, str(fault)) from None
    except msgspec.MsgspecError as fault:
        raise Refused(Condition.INVALID, f"The body must be one JSON object: {fault}.") from None


def _wants_csv(request: Request) -> bool:
    return request.query_params.get("format") == "csv" or request.headers.get("accept", "").startswith("text/csv")


def _csv(table: Table) -> Response:
    text = io.StringIO()
    writer = csv.writer(text)
    names = table.kind.__struct_fields__
    writer.writerow(names)
    writer.writerows([_cell(getattr(row, name)) for name in names] for row in table.rows)
    headers = {"cache-control": "no-store", "content-disposition": 'attachment; filename="halley.csv"'}
    if table.next_cursor is not None:
        headers["x-next-cursor"] = table.next_cursor
    return Response(text.getvalue(), 200, headers, media_type="text/csv")


def _cell(value: Any) -> str:
    """A name that looks like a formula stays a name in a spreadsheet."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"'{text}" if isinstance(value, str) and text[:1] in ("=", "+", "-", "@") else text
