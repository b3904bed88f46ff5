"""Operations that are no exchange: what the gateway says of itself, without a key, and what a request would cost."""

from __future__ import annotations

from typing import Any, NamedTuple

from halley.chat.published import Failed
from halley.control.openapi.schemas import Schemas
from halley.control.openapi.served import named
from halley.control.openapi.words import OPEN, Json, headers, refusals, security
from halley.control.payments import Event, Told
from halley.dialects import error_writer
from halley.errors import Condition
from halley.exchanges import listing, standing
from halley.policy import webhooks


class Said(NamedTuple):
    """`also`: a status beside 200 that has the same shape. Without a `shape` it is text."""

    summary: str
    shape: Any = None
    also: str = ""
    refused: frozenset[Condition] = OPEN


SAID: dict[bytes, Said] = {
    standing.HEALTH: Said("Whether the process is alive", standing.Health),
    standing.READY: Said("Whether it takes requests", standing.Readiness, also="503"),
    standing.CATALOGUE: Said("All models and their prices", standing.Catalogue),
    standing.DOCUMENT: Said("This document", dict[str, Any]),
    standing.METRICS: Said("Figures for Prometheus, shown to loopback peers", refused=OPEN | {Condition.BAD_KEY}),
}


# As the request itself would be refused, where that is not for want of credit or time.
_UNQUOTED = OPEN | {
    Condition.INVALID,
    Condition.BAD_KEY,
    Condition.NOT_ALLOWED,
    Condition.UNKNOWN_MODEL,
    Condition.BODY_TOO_LARGE,
    Condition.WRONG_TYPE,
    Condition.NO_PROVIDER,
}


_UNTOLD = OPEN | {
    Condition.INVALID,
    Condition.BAD_KEY,
    Condition.UNKNOWN_URL,
    Condition.NOT_FOUND,
    Condition.CONFLICT,
    Condition.BODY_TOO_LARGE,
}


def paths(schemas: Schemas) -> dict[str, Json]:
    found = {path.decode(): {"get": _operation(schemas, path.decode(), said)} for path, said in SAID.items()}
    quotes = {standing.QUOTE.decode(): {"post": _quote(schemas)}, standing.UNIT_QUOTE.decode(): {"post": _unit_quote(schemas)}}
    return found | quotes | {f"{standing.PAYMENTS.decode()}/{{way}}": {"post": _event(schemas)}}


def _event(schemas: Schemas) -> Json:
    answer: Json = {
        "description": "How the order stands.",
        "headers": headers("x-request-id"),
        "content": {"application/json": {"schema": schemas.of(Told)}},
    }
    fields: list[Json] = [
        {"name": name.decode(), "in": "header", "required": True, "schema": {"type": "string"}} for name in webhooks.FIELDS
    ]
    path = f"{standing.PAYMENTS.decode()}/{{way}}"
    return {
        "operationId": named("post", path),
        "tags": ["gateway"],
        "summary": "A payment system tells of a payment, signed by Standard Webhooks",
        "description": "Served where the configuration has `[[payments]]` of this name.",
        "security": [],
        "parameters": [{"name": "way", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}, *fields],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schemas.of(Event)}}},
        "responses": {"200": answer, **refusals(error_writer(path.encode()), _UNTOLD, schemas.of(Failed), ("x-request-id",))},
    }


def _quote(schemas: Schemas) -> Json:
    path = standing.QUOTE.decode()
    answer: Json = {
        "description": "The answer.",
        "headers": headers("x-request-id"),
        "content": {"application/json": {"schema": schemas.of(standing.Quote)}},
    }
    route: Json = {"name": "path", "in": "query", "schema": {"type": "string", "default": "/v1/chat/completions"}}
    return {
        "operationId": named("post", path),
        "tags": ["gateway"],
        "summary": "What a request would cost, without sending it",
        "security": security(listing.CARRIERS),
        "parameters": [route | {"description": "Where the request would go; with a model in it for Gemini."}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {"200": answer, **refusals(error_writer(path.encode()), _UNQUOTED, schemas.of(Failed), ("x-request-id",))},
    }


def _unit_quote(schemas: Schemas) -> Json:
    path = standing.UNIT_QUOTE.decode()
    answer: Json = {
        "description": "The answer.",
        "headers": headers("x-request-id"),
        "content": {"application/json": {"schema": schemas.of(standing.UnitQuote)}},
    }
    return {
        "operationId": named("post", path),
        "tags": ["gateway"],
        "summary": "What so many images, seconds, pages or other units cost",
        "security": security(listing.CARRIERS),
        "requestBody": {"required": True, "content": {"application/json": {"schema": schemas.of(standing.UnitsAsked)}}},
        "responses": {"200": answer, **refusals(error_writer(path.encode()), _UNQUOTED, schemas.of(Failed), ("x-request-id",))},
    }


def _operation(schemas: Schemas, path: str, said: Said) -> Json:
    content = {"application/json": {"schema": schemas.of(said.shape)}} if said.shape else {"text/plain": {"schema": {"type": "string"}}}
    answer: Json = {"description": "The answer.", "headers": headers("x-request-id"), "content": content}
    responses = {"200": answer, **refusals(error_writer(path.encode()), said.refused, schemas.of(Failed), ("x-request-id",))}
    if said.also:
        other = responses[said.also]
        schema = {"anyOf": [schemas.of(said.shape), other["content"]["application/json"]["schema"]]}
        responses[said.also] = other | {"content": {"application/json": {"schema": schema}}}
    return {
        "operationId": named("get", path),
        "tags": ["gateway"],
        "summary": said.summary,
        "security": [],
        "responses": responses,
    }
