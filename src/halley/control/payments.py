"""Where a payment system tells of payments: one signed event, which names an order and credits its account once.

`POST /api/payments/NAME` for each `[[payments]]` of the configuration; without one there is no such place. The event is that of Standard
Webhooks, `{"type": "payment.paid", "data": {"order", "account", "amount", "currency"}}`, signed in its head. Nothing of it is believed
before the signature fits, and an error says what is wrong with the event and nothing of the secret.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from halley import crash, logs
from halley.chat.published import Failed, Failure
from halley.control.desk import Desk
from halley.control.link import Link
from halley.control.turns import Turns
from halley.errors import Condition, Refused
from halley.exchanges import standing
from halley.money import usd
from halley.policy import webhooks
from halley.store import payments
from halley.store.customers import Short, Taken, Unknown
from halley.store.database import Away

MOST_BYTES = 65536
_log = logs.get("halley.control")


class Data(msgspec.Struct):
    order: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern="^[!-~]+$")]
    account: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    amount: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$")]
    currency: Literal["USD"]


class Event(msgspec.Struct):
    """`amount` is a decimal string, exact to a nano-dollar. Other members are read past."""

    type: Literal["payment.pending", "payment.paid", "payment.failed", "payment.refunded"]
    data: Data


class Told(msgspec.Struct):
    """How the order stands. `changed` says whether this event has brought it there: not if it was known, and not if it is pending."""

    order: str
    state: str
    changed: bool


_WORDS = {
    "data.amount": 'a text such as "10.00", with at most nine digits before the point and nine behind it',
    "data.currency": '"USD"',
    "data.order": "1 to 200 printable ASCII characters without blanks",
    "type": "one of payment.pending, payment.paid, payment.failed and payment.refunded",
}
_decode = msgspec.json.Decoder(Event).decode


class Till:
    """Takes events for the ways of the plan."""

    def __init__(self, desk: Desk, turns: Turns, link: Link) -> None:
        self._desk = desk
        self._turns = turns
        self._link = link

    def routes(self) -> list[Route]:
        return [Route(f"{standing.PAYMENTS.decode()}/{{way}}", self._serve, methods=["POST"])]

    async def _serve(self, request: Request) -> Response:
        try:
            return Response(
                msgspec.json.encode(await self._take(request)), headers={"cache-control": "no-store"}, media_type="application/json"
            )
        except Refused as refusal:
            return _refused(refusal)
        except Away:
            return _refused(Refused(Condition.OVERLOADED, "The database cannot be used just now; tell it again."))
        except Unknown as fault:
            return _refused(Refused(Condition.NOT_FOUND, str(fault)))
        except (Taken, Short) as fault:
            _log.error("a payment event contradicts what is known", fault=fault)
            return _refused(Refused(Condition.CONFLICT, str(fault), code="conflict"))

    async def _take(self, request: Request) -> Told:
        """Raises Refused, Unknown, Taken, Short."""
        name: str = request.path_params["way"]
        way = next((each for each in self._desk.plan.payments if each.name == name), None)
        if way is None:
            raise Refused(Condition.UNKNOWN_URL, "There is nothing at this address.")
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > MOST_BYTES:
                raise Refused(Condition.BODY_TOO_LARGE, f"An event has at most {MOST_BYTES} bytes.")
        try:
            webhooks.verify(way.keys, dict(request.headers.raw), bytes(body), self._desk.now())
        except webhooks.Unsigned as fault:
            raise Refused(Condition.BAD_KEY, str(fault)) from None
        told = await self._turns.take(self._tell, _order(bytes(body), name))
        await self._link.push()
        return told

    def _tell(self, order: payments.Order) -> Told:
        with self._desk.store.begin() as connection:
            changed = payments.tell(connection, order, self._desk.now())
            crash.here("control.payment.uncommitted")
        crash.here("control.payment.committed")
        return Told(order.id, order.state, changed)


def _order(body: bytes, way: str) -> payments.Order:
    """What a signed event says. Raises Refused."""
    try:
        event = _event(body)
        json.loads(body, object_pairs_hook=_once)  # two readers would read it differently
        amount = usd(event.data.amount)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError) as fault:
        raise Refused(Condition.INVALID, f"The event cannot be read: {logs.clean(str(fault)[:200])}.") from None
    if amount <= 0:
        raise Refused(Condition.INVALID, "The amount of a payment is above zero.", param="data.amount")
    state = event.type.removeprefix("payment.")
    return payments.Order(event.data.order, way, event.data.account, amount, msgspec.convert(state, payments.State))


def _event(body: bytes) -> Event:
    """Raises MsgspecError, ValueError: for a field of ours in words of ours."""
    try:
        return _decode(body)
    except msgspec.ValidationError as fault:
        place = str(fault).rpartition("`$.")[2].rstrip("`")
        if place in _WORDS:
            raise ValueError(f"{place} must be {_WORDS[place]}") from None
        raise


def _once(pairs: list[tuple[str, object]]) -> None:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key stands twice in one object")


def _refused(refusal: Refused) -> Response:
    wire = refusal.condition.value
    body = msgspec.json.encode(Failed(Failure(refusal.message, wire.openai_type, refusal.param, refusal.code or wire.openai_code)))
    return Response(body, refusal.condition.status, media_type="application/json")
