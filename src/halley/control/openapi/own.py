"""Operations of an account: each endpoint of `control.account`, from the record that serves it."""

from __future__ import annotations

import re

import msgspec
from msgspec import inspect as shape

from halley.chat.published import Failed
from halley.control import account
from halley.control.account import Endpoint
from halley.control.account.endpoint import FORMATS
from halley.control.openapi.schemas import Schemas
from halley.control.openapi.served import named
from halley.control.openapi.words import OPEN, Json, headers, refusals
from halley.dialects import error_writer
from halley.errors import Condition, Refused

_NAMES = re.compile(r"{(\w+)}")
_ASKED = frozenset({Condition.INVALID, Condition.BAD_KEY, Condition.NOT_ALLOWED})


def paths(schemas: Schemas) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for endpoint in account.ENDPOINTS:
        found.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(schemas, endpoint)
    return found


def _operation(schemas: Schemas, endpoint: Endpoint) -> Json:
    in_path = _NAMES.findall(endpoint.path)
    question = shape.type_info(endpoint.question)
    assert isinstance(question, shape.StructType)
    asked = [field for field in question.fields if field.encode_name not in in_path]
    places = {field.encode_name: field for field in question.fields}
    parameters: list[Json] = [
        {"name": name, "in": "path", "required": True, "schema": schemas.of_field(places[name].type) | {"minLength": 1}}
        if isinstance(places[name].type, shape.StrType)
        else {"name": name, "in": "path", "required": True, "schema": schemas.of_field(places[name].type)}
        for name in in_path
    ]
    operation: Json = {
        "operationId": named(endpoint.method, endpoint.path),
        "tags": ["account"],
        "summary": endpoint.summary,
        "description": f"Needs the scope `{endpoint.scope}`.",
        "security": [{"bearer": []}, {"token": []}, *([{"key": []}] if endpoint.key_in_query else [])],
    }
    if endpoint.method in ("GET", "DELETE"):
        parameters += [
            {"name": field.encode_name, "in": "query", "required": field.required, "schema": schemas.of_field(_said(field.type))}
            for field in asked
        ]
        if endpoint.as_table is not None:
            parameters.append({"name": "format", "in": "query", "description": "`csv` for rows.", "schema": {"enum": list(FORMATS)}})
    elif asked:
        schema = Json(type="object", properties={field.encode_name: schemas.of_field(field.type) for field in asked})
        if required := [field.encode_name for field in asked if field.required]:
            schema["required"] = required
        if not endpoint.manners.lenient:
            schema["additionalProperties"] = False
        operation["requestBody"] = {"required": bool(required), "content": {"application/json": {"schema": schema}}}
    content: Json = {"application/json": {"schema": schemas.of(endpoint.answer)}}
    if endpoint.as_table is not None:
        content["text/csv"] = {"schema": {"type": "string"}}
    answer: Json = {"description": "The answer.", "headers": headers("x-request-id"), "content": content}
    return operation | {"parameters": parameters, "responses": {str(endpoint.status): answer, **_refused(schemas, endpoint)}}


def _said(kind: shape.Type) -> shape.Type:
    """A query has no null: what is null by default is absent."""
    match kind:
        case shape.UnionType(types=(one, shape.NoneType())):
            return one
        case _:
            return kind


def _refused(schemas: Schemas, endpoint: Endpoint) -> Json:
    """What the endpoint refuses in its own words, and the rest, that a relay says, in those of the path's dialect."""
    manners = endpoint.manners

    def write(refusal: Refused, request_id: str) -> tuple[int, bytes, bytes]:
        return refusal.condition.status, b"", msgspec.json.encode(manners.refuse(refusal, request_id))

    ids = ("x-request-id",)
    asked = _ASKED | endpoint.refused
    own, common = schemas.of(manners.refusal), schemas.of(Failed)
    # A request that no endpoint can be found for, or that is none, is refused before its endpoint speaks.
    said = refusals(write, asked, {"anyOf": [own, common]}, ids)
    relayed = refusals(error_writer(endpoint.path.encode()), OPEN - asked, common, ids)
    beside = {status: each for status, each in relayed.items() if status not in said}
    return schemas.shared(own["$ref"].rpartition("/")[2], said) | schemas.shared("gateway", beside)
