"""Operations on answers that are kept."""

from __future__ import annotations

from typing import Any, NamedTuple

from halley.chat.published import Failed, Parameter
from halley.control.openapi.schemas import Schemas
from halley.control.openapi.served import EVENTS, ids, named
from halley.control.openapi.words import READING, Json, headers, in_path, parameter, refusals, security
from halley.dialects.openai_responses import published
from halley.errors import Condition
from halley.exchanges.kept import KEPT, Deed

_REFUSED = READING | {Condition.INVALID, Condition.NOT_FOUND, Condition.UPSTREAM, Condition.NO_PROVIDER}


class _Said(NamedTuple):
    summary: str
    shape: Any
    query: tuple[Parameter, ...] = ()
    streams: bool = False


_SAID: dict[Deed, _Said] = {
    "show": _Said("A response that was given earlier", published.Response, (published.STREAM,), streams=True),
    "delete": _Said("Forgets a response", published.Deleted),
    "cancel": _Said("Cancels a response that works in the background", published.Response),
    "inputs": _Said("What a response was made from", published.Items, published.PAGE),
}


def paths(schemas: Schemas) -> dict[str, Json]:
    """By path and method."""
    found: dict[str, Json] = {}
    for (method, part), deed in KEPT.deeds.items():
        path = f"{KEPT.prefix.decode()}{{response}}{part.decode()}"
        found.setdefault(path, {})[method.decode().lower()] = _operation(schemas, method.decode(), path, _SAID[deed])
    return found


def _operation(schemas: Schemas, method: str, path: str, said: _Said) -> Json:
    own = ids(KEPT.dialect)
    content: Json = {"application/json": {"schema": schemas.of(said.shape)}}
    if said.streams:
        content[EVENTS] = {"schema": {"type": "string"}}
    return {
        "operationId": named(method, path),
        "tags": ["kept"],
        "summary": said.summary,
        "security": security(KEPT.carriers),
        "parameters": [in_path("response"), *(parameter(each, "query") for each in said.query)],
        "responses": {
            "200": {"description": "The answer.", "headers": headers(*own, "x-halley-provider"), "content": content},
            **refusals(KEPT.dialect.write_error, _REFUSED, schemas.of(Failed), own),
        },
    }
