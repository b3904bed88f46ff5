"""A flat name fits everywhere, leads back to its tool, and is never taken apart."""

from __future__ import annotations

from halley.chat.model import FreeTool, Function, WebSearch
from halley.chat.naming import LONGEST, flat, named


def test_a_name_without_a_namespace_stays_itself() -> None:
    assert flat("read__file", None) == "read__file"


def test_a_namespace_stands_in_front() -> None:
    assert flat("read", "files") == "files__read"


def test_a_long_name_fits_and_stays_its_own() -> None:
    one, other = flat("a" * 60 + "1", "files"), flat("a" * 60 + "2", "files")
    assert len(one) == len(other) == LONGEST
    assert one != other


def test_tools_are_found_by_their_flat_names() -> None:
    tools = (Function("read", namespace="files"), FreeTool("patch"), WebSearch())
    assert named(tools) == {"files__read": tools[0], "patch": tools[1]}
