"""`GET /openapi.json`: what is served, made from the very records that serve it: routes, exchanges, the structs that check requests.

Built once, when it is first asked for. It says nothing of a deployment: neither its models nor its address.
"""

from __future__ import annotations

from functools import cache

import msgspec

from halley import __version__
from halley.control.openapi import kept, own, served, standing
from halley.control.openapi.schemas import Schemas
from halley.control.openapi.words import HEADERS, SCHEMES, Json

_WORDS = (
    "One key and one base URL for every model, in the dialect that a client already speaks. A request's schema has the fields that Halley "
    "checks; all others go to the provider too. A provider of the client's own dialect is passed on in its own words, errors included. "
    "Every GET may be a HEAD. Pages for people are not listed here: /docs."
)


@cache
def document() -> bytes:
    return msgspec.json.encode(build())


def build() -> Json:
    schemas = Schemas()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Halley",
            "version": __version__,
            "description": _WORDS,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "externalDocs": {"url": "/docs"},
        "servers": [{"url": "/"}],
        "paths": served.paths(schemas) | kept.paths(schemas) | own.paths(schemas) | standing.paths(schemas),
        "components": {
            "schemas": schemas.components,
            "responses": schemas.responses,
            "headers": HEADERS,
            "securitySchemes": SCHEMES,
        },
    }
