"""The places, framings and words of clouds and other hosts, as far as they differ from the makers of the dialects.

What comes to such a place is turned into the same request at the simulator's own, so that one simulator answers for all of them. Sources:
the documents that the clouds publish of their model APIs (read 2026-11); AWS's framing from smithy.io/2.0/aws/amazon-eventstream.html.
"""

from __future__ import annotations

import re
import struct
from base64 import b64encode
from typing import NamedTuple, cast
from urllib.parse import unquote
from zlib import crc32

import msgspec

from halley.simulator.http import Request
from halley.simulator.identities import Grants, unsigned
from halley.simulator.plan import Frame
from halley.simulator.schema import Json
from halley.simulator.speaking import MESSAGES, Dialect

_INVOKE = re.compile(r"/model/([^/]+)/invoke(-with-response-stream)?")
_VERTEX = re.compile(r"/v1/projects/[^/]+/locations/[^/]+/(.+)")
_DEPLOYMENT = re.compile(r"/openai/deployments/[^/]+(/chat/completions)")
_BEDROCK_VERSION, _VERTEX_VERSION = "bedrock-2023-05-31", "vertex-2023-10-16"
# Of those that AWS documents, enough to tell a known one from an unknown one.
_BETAS = {"interleaved-thinking-2025-05-14", "effort-2025-11-24", "context-management-2025-06-27", "context-1m-2025-08-07"}
# Where other hosts serve the same paths: their roots, and the simulator's own.
_ROOTS = tuple(
    (root, "/v1")
    for root in (
        "/openai/v1",
        "/anthropic/v1",
        "/api/v1",
        "/inference/v1",
        "/compatibility/v1",
        "/compatible-mode/v1",
        "/apps/anthropic/v1",
        "/api/paas/v4",
        "/api/anthropic/v1",
        "/v1/openai",
        "/inference",
        "/ai/v1",
        "/api/v3",
    )
)
_ENDS = ("/chat/completions", "/responses", "/messages")


class Arrived(NamedTuple):
    """The request at the simulator's own place. `refusal` is the status and the reason where it is not let in; `dialect` speaks where it
    differs there."""

    request: Request
    refusal: tuple[int, str] | None = None
    dialect: Dialect | None = None


def _aws_failure(status: int, message: str, code: str | None, param: str | None) -> bytes:
    return msgspec.json.encode({"message": message})


def _aws_frame(frame: Frame) -> bytes:
    """One message of a model's stream; an error is an exception and the last one."""
    if frame.event == "error":
        return _message({":exception-type": "modelStreamErrorException", ":message-type": "exception"}, {"message": "The model failed."})
    return _message({":event-type": "chunk", ":message-type": "event"}, {"bytes": b64encode(frame.data).decode(), "p": "abcd"})


def _message(headers: dict[str, str], payload: Json) -> bytes:
    block = b""
    for name, value in ({":content-type": "application/json"} | headers).items():
        block += struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", 7, len(value)) + value.encode()
    body = msgspec.json.encode(payload)
    prelude = struct.pack(">II", len(block) + len(body) + 16, len(block))
    whole = prelude + struct.pack(">I", crc32(prelude)) + block + body
    return whole + struct.pack(">I", crc32(whole))


BEDROCK = MESSAGES._replace(
    failure=_aws_failure, oddity=None, ping=None, fields={}, stream_kind="application/vnd.amazon.eventstream", render=_aws_frame
)


def arrive(request: Request, grants: Grants, now: float) -> Arrived:
    path = request.path
    signed = request.fields.get(b"authorization", b"").startswith(b"AWS4-")
    if found := _INVOKE.fullmatch(path):
        bearer = request.fields.get(b"authorization", b"").startswith(b"Bearer ")
        arrived = _inside(request, unquote(found[1]), _BEDROCK_VERSION, ("model", "stream"), stream=bool(found[2]))
        return _let_in(arrived._replace(dialect=BEDROCK), None if bearer else unsigned(request, now))
    if found := _VERTEX.fullmatch(path):
        place = found[1]
        if place.startswith("publishers/anthropic/models/"):
            model, _, verb = place.removeprefix("publishers/anthropic/models/").rpartition(":")
            arrived = _inside(request, unquote(model), _VERTEX_VERSION, ("model",), stream=verb == "streamRawPredict")
        elif place.startswith("publishers/google/models/"):
            arrived = Arrived(_moved(request, "/v1beta/" + place.removeprefix("publishers/google/")))
        else:
            arrived = Arrived(_moved(request, "/v1/" + place.removeprefix("endpoints/openapi/")))
        return _let_in(arrived, grants.unknown(request, now))
    if found := _DEPLOYMENT.fullmatch(path):
        return Arrived(_moved(request, "/v1" + found[1]))
    if signed:
        return _let_in(Arrived(_moved(request, _own(path))), unsigned(request, now))
    return Arrived(_moved(request, _own(path))) if _own(path) != path else Arrived(request)


def _let_in(arrived: Arrived, denied: str | None) -> Arrived:
    """A credential is looked at before a body."""
    return arrived if denied is None else arrived._replace(refusal=(403, denied))


def _own(path: str) -> str:
    for root, own in _ROOTS:
        rest = path.removeprefix(root)
        if rest != path and rest in _ENDS:
            return own + rest
    return path


def _moved(request: Request, path: str) -> Request:
    moved = Request()
    query = request.target.partition(b"?")[2]
    moved.method, moved.target, moved.keep_alive = (
        request.method,
        path.encode("latin-1") + (b"?" + query if query else b""),
        request.keep_alive,
    )
    moved.fields, moved.body = dict(request.fields), request.body
    if b"api-key" in moved.fields:
        moved.fields[b"authorization"] = b"Bearer " + moved.fields[b"api-key"]
    elif moved.fields.get(b"authorization", b"").startswith(b"AWS4-"):
        moved.fields[b"authorization"] = b"Bearer of-the-cloud"
    return moved


def _inside(request: Request, model: str, version: str, outside: tuple[str, ...], *, stream: bool) -> Arrived:
    """Messages where the model stands in the path and the version in the body; members that are `outside` may not be in it."""
    moved = _moved(request, "/v1/messages")
    try:
        body = cast("dict[str, Json]", msgspec.json.decode(request.body, type=dict))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Arrived(moved, (400, "Malformed input request, please reformat your input and try again."))
    for name in outside:
        if name in body:
            return Arrived(moved, (400, f"{name}: Extra inputs are not permitted"))
    if body.pop("anthropic_version", None) != version:
        return Arrived(moved, (400, f"anthropic_version: must be {version}"))
    if version == _BEDROCK_VERSION and (refusal := _betas(moved, body)):
        return Arrived(moved, (400, refusal))
    moved.body = msgspec.json.encode({**body, "model": model, "stream": stream})
    moved.fields[b"anthropic-version"] = b"2023-06-01"
    moved.fields.setdefault(b"x-api-key", b"of the cloud")
    return Arrived(moved)


def _betas(moved: Request, body: dict[str, Json]) -> str | None:
    """Betas stand in the body here; a head that names some is not looked at."""
    moved.fields.pop(b"anthropic-beta", None)
    said = body.pop("anthropic_beta", None)
    if said is None:
        return None
    if not isinstance(said, list) or not all(isinstance(each, str) and each in _BETAS for each in said):
        return "invalid beta flag"
    moved.fields[b"anthropic-beta"] = ",".join(cast("list[str]", said)).encode()
    return None
