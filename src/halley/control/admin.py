"""The operator's JSON API on `admin.sock`: `POST /{operation}` for every operation of the office. Who may open the
socket may do everything: its permissions are the authentication.

An operation that changes what relays know answers after they were told.
"""

from __future__ import annotations

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from halley.control.desk import Desk
from halley.control.link import Link
from halley.control.office import OPERATIONS
from halley.control.turns import Turns
from halley.errors import HalleyError
from halley.store.database import Away


class Refused(msgspec.Struct, frozen=True):
    """The body of every answer that is not 200."""

    error: str


def application(desk: Desk, turns: Turns, readers: Turns, link: Link) -> Starlette:
    async def operate(request: Request) -> Response:
        operation = OPERATIONS.get(request.path_params["operation"])
        if operation is None:
            return _json(404, Refused("there is no such operation"))
        try:
            asked = msgspec.json.decode(await request.body() or b"{}", type=operation.ask)
        except msgspec.MsgspecError as fault:
            return _json(400, Refused(str(fault)))
        try:
            answer = await (readers if operation.apart else turns).take(operation.run, desk, asked)
        except Away as fault:
            return _json(503, Refused(str(fault)))
        except HalleyError as fault:
            return _json(409, Refused(str(fault)))
        if operation.changes:
            await link.push()
        return _json(200, answer)

    return Starlette(routes=[Route("/{operation}", operate, methods=["POST"])])


def _json(status: int, value: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")
