"""Names of tools where a dialect has no namespaces: `namespace__name`, and the way back by the tools that were offered.

Never parses a flat name: what a model calls is looked up among the tools of the ask, so that a tool named `a__b` stays itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from halley.chat.model import FreeTool, Function, Tool

LONGEST = 64  # of a tool's name in every dialect
_DIGEST = 8


def flat(name: str, namespace: str | None) -> str:
    """One name for both, at most `LONGEST` characters: what does not fit ends in a digest of the whole."""
    if namespace is None:
        return name
    whole = f"{namespace}__{name}"
    if len(whole) <= LONGEST:
        return whole
    return f"{whole[: LONGEST - _DIGEST - 1]}_{hashlib.sha256(whole.encode()).hexdigest()[:_DIGEST]}"


def named(tools: Iterable[Tool]) -> dict[str, Function | FreeTool]:
    """The tools that a model calls, by their flat names."""
    return {flat(tool.name, tool.namespace): tool for tool in tools if isinstance(tool, Function | FreeTool)}
