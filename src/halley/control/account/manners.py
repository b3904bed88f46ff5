"""How refusals are worded here: in Halley's own shape, with the id of the request beside the error."""

from __future__ import annotations

import msgspec

from halley.chat.published import Failure
from halley.control.account.endpoint import Manners
from halley.errors import Refused


class Failed(msgspec.Struct, frozen=True):
    """What went wrong, and the request's id for whoever runs the gateway."""

    error: Failure
    request_id: str


def failure(refusal: Refused) -> Failure:
    wire = refusal.condition.value
    return Failure(refusal.message, wire.openai_type, refusal.param, refusal.code or wire.openai_code)


def _refuse(refusal: Refused, request_id: str) -> Failed:
    return Failed(failure(refusal), request_id)


OWN = Manners(_refuse, Failed)
