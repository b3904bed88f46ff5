"""What some hosts want of a dialect's body that the dialect itself does not say: members that must be absent or have one value.

Tweaks are data with names, and a row lists the names. They change top-level members only; what a host cannot do is a matter of dialects
and losses, not of tweaks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from halley.wire.jsonbody import members, set_members


class Tweak(msgspec.Struct, frozen=True):
    """`without` are members that are taken out, `fixed` those that get this JSON text."""

    without: frozenset[str] = frozenset()
    fixed: Mapping[str, bytes] = msgspec.field(default_factory=dict[str, bytes])


TWEAKS: dict[str, Tweak] = {
    # The model stands in the path, and a host that forbids unknown members refuses it in the body.
    "model-in-path": Tweak(frozenset({"model"})),
    "stream-in-path": Tweak(frozenset({"stream"})),
    # https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html, read 2026-11.
    "bedrock-version": Tweak(fixed={"anthropic_version": b'"bedrock-2023-05-31"'}),
    # https://docs.claude.com/en/api/claude-on-vertex-ai, read 2026-11.
    "vertex-version": Tweak(fixed={"anthropic_version": b'"vertex-2023-10-16"'}),
}


def apply(body: bytes, names: Iterable[str]) -> bytes:
    """The body as this host wants it; the same bytes if nothing is to be changed. Raises `jsonbody.Malformed` if it is no object."""
    tweaks = [TWEAKS[name] for name in names]
    if not tweaks:
        return body
    found = members(body)
    without = {name for tweak in tweaks for name in tweak.without} & found.keys()
    if without:
        kept = [msgspec.json.encode(key) + b":" + bytes(value) for key, value in found.items() if key not in without]
        body = b"{%b}" % b",".join(kept)
        found = members(body)
    fixed = {name: value for tweak in tweaks for name, value in tweak.fixed.items()}
    return set_members(body, found, fixed) if fixed else body
