"""Thought signatures: how a seal stands in `thoughtSignature`, and how one of another maker is found there again.

The field is bytes in base64. Google's own signatures are kept letter for letter. A seal of another maker is the base64 of its label
(`chat.seals`), because google-genai decodes the field and encodes it anew, in the URL-safe alphabet, and other text would not survive.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TypeVar, cast

import msgspec

from halley.chat import seals
from halley.chat.model import Seal
from halley.wire.jsonbody import BROKEN

T = TypeVar("T")

NAME = "gemini"
# Nine letters are twelve of base64, so every labelled seal begins with these.
LABEL = base64.b64encode(seals.PREFIX.encode()).decode()
# A call that another model made has no signature, and Gemini 3 refuses a turn without one. Google documents this value for that case
# (Thought signatures, "migrating from other models", read 2026-11).
UNSIGNED_CALL = "skip_thought_signature_validator"
_REDACTED = "redacted:"
_URL_SAFE = str.maketrans("-_", "+/")
# A member with a labelled seal. Inside of a string the quotes would have backslashes.
_MEMBER = re.compile(rb'"thought(?:Signature|_signature)"\s*:\s*"(' + LABEL.encode() + rb'[^"]*)"')
_COMMA = re.compile(rb"\s*,?\s*")


def read(text: str) -> Seal:
    """What a client sent back, or a provider unknown here made."""
    if text.startswith(LABEL):
        standard = text.translate(_URL_SAFE).rstrip("=")
        try:
            return seals.read(base64.b64decode(standard + "=" * (-len(standard) % 4)).decode(), NAME)
        except (binascii.Error, UnicodeDecodeError):  # cut by the client: nobody's any more
            return Seal(seals.origin(NAME, ""), text)
    return Seal(seals.origin(NAME, ""), text)


def written(seal: Seal) -> str:
    """As a client of this dialect is given it."""
    if seal.origin.startswith(f"{NAME}:"):
        return seal.value
    return base64.b64encode(seals.labelled(seal).encode()).decode()


def written_thought(seal: Seal, *, redacted: bool) -> str:
    """The seal of a thought. Whether it was redacted, or is only not shown, matters to the maker of a foreign one."""
    return written(Seal(seal.origin, _REDACTED + seal.value) if redacted and not seal.origin.startswith(f"{NAME}:") else seal)


def read_thought(text: str) -> tuple[Seal, bool]:
    """The seal of a thought, and whether that was redacted."""
    seal = read(text)
    redacted = seal.value.startswith(_REDACTED) and not seal.origin.startswith(f"{NAME}:")
    return (Seal(seal.origin, seal.value.removeprefix(_REDACTED)), True) if redacted else (seal, False)


class _Part(msgspec.Struct, gc=False):
    """Either spelling, as everywhere in a request."""

    functionCall: msgspec.Raw = msgspec.Raw()
    function_call: msgspec.Raw = msgspec.Raw()
    thoughtSignature: str | None = None
    thought_signature: str | None = None


class _Content(msgspec.Struct, gc=False):
    parts: list[_Part] | _Part | None = None


class _Contents(msgspec.Struct, gc=False):
    contents: list[_Content] | _Content | None = None


_decode_contents = msgspec.json.Decoder(_Contents).decode


def _at_calls(body: bytes) -> set[bytes]:
    """The signatures that stand at calls."""
    try:
        contents = _decode_contents(body).contents
    except BROKEN:
        return set()
    parts = [part for content in _listed(contents) for part in _listed(content.parts)]
    signed = [part.thoughtSignature or part.thought_signature for part in parts if part.functionCall or part.function_call]
    return {signature.encode() for signature in signed if signature}


def _listed(found: list[T] | T | None) -> list[T]:
    return [] if found is None else cast("list[T]", found) if isinstance(found, list) else [found]


def without_foreign(body: bytes, *, sealed_calls: bool = False) -> bytes:
    """A request body without the seals of other makers, every other byte as it came. `sealed_calls`: no call may be without one."""
    if LABEL.encode() not in body:
        return body
    marked = _at_calls(body) if sealed_calls else ()
    out: list[bytes] = []
    done = 0
    for match in _MEMBER.finditer(body):
        if match[1] in marked:
            out += (body[done : match.start(1)], UNSIGNED_CALL.encode())
            done = match.end(1)
            continue
        start, end = match.span()
        before = body[done:start]
        bare = before.rstrip()
        if bare.endswith(b","):
            out.append(bare[:-1])
        else:  # the first member, which takes the comma behind it along
            out.append(before)
            comma = _COMMA.match(body, end)
            end = comma.end() if comma is not None else end
        done = end
    return b"".join((*out, body[done:]))
