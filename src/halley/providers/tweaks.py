"""What some hosts want of a dialect's body that the dialect itself does not say: members that must be absent, or have one value, or hold
what the dialect says in the head.

Tweaks are data with names, and a row lists the names. They change top-level members only; what a host cannot do is a matter of dialects
and losses, not of tweaks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from halley.wire.jsonbody import members, set_members


class Moved(msgspec.Struct, frozen=True):
    """A field of the head that lists words, which this host wants as an array in the body. It refuses words that are not `known` to it."""

    field: str
    member: str
    known: frozenset[str]


class Tweak(msgspec.Struct, frozen=True):
    """`without` are members that are taken out, `fixed` those that get this JSON text, `moved` comes from the head."""

    without: frozenset[str] = frozenset()
    fixed: Mapping[str, bytes] = msgspec.field(default_factory=dict[str, bytes])
    moved: Moved | None = None


_BEDROCK_BETAS = frozenset(
    {
        "computer-use-2024-10-22", "computer-use-2025-01-24", "context-1m-2025-08-07", "context-management-2025-06-27",
        "dev-full-thinking-2025-05-14", "effort-2025-11-24", "fine-grained-tool-streaming-2025-05-14", "interleaved-thinking-2025-05-14",
        "output-128k-2025-02-19", "token-efficient-tools-2025-02-19", "tool-examples-2025-10-29", "tool-search-tool-2025-10-19",
    }
)  # fmt: skip


TWEAKS: dict[str, Tweak] = {
    # The model stands in the path, and a host that forbids unknown members refuses it in the body.
    "model-in-path": Tweak(frozenset({"model"})),
    "stream-in-path": Tweak(frozenset({"stream"})),
    # https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html, read 2026-11.
    "bedrock-version": Tweak(fixed={"anthropic_version": b'"bedrock-2023-05-31"'}),
    # The same page: `anthropic_beta`, with the betas that it lists. Others are answered with "invalid beta flag"
    # (https://github.com/anthropics/claude-code/issues/56595, read 2026-11), so that a client which names one would reach nothing.
    "bedrock-betas": Tweak(moved=Moved("anthropic-beta", "anthropic_beta", _BEDROCK_BETAS)),
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


def moved(names: Iterable[str]) -> tuple[Moved, ...]:
    """What of the head stands in the body at this host."""
    return tuple(found for name in names if (found := TWEAKS[name].moved) is not None)


def take_in(body: bytes, rows: Iterable[Moved], fields: Mapping[bytes, bytes]) -> tuple[bytes, tuple[str, ...]]:
    """The body with what the head says, and the words that the host does not know. A member that the caller has written himself stays.
    Raises `jsonbody.Malformed` if the body is no object."""
    unknown: list[str] = []
    for row in rows:
        said = fields.get(row.field.encode("ascii"), b"").decode("latin-1")
        words = list(dict.fromkeys(word for each in said.split(",") if (word := each.strip())))
        unknown += [word for word in words if word not in row.known]
        wanted = [word for word in words if word in row.known]
        found = members(body)
        if wanted and row.member not in found:
            body = set_members(body, found, {row.member: msgspec.json.encode(wanted)})
    return body, tuple(unknown)
