"""The page of providers is the provider table."""

from __future__ import annotations

from pathlib import Path

from halley.providers.compatible import KINDS
from halley.providers.row import ProviderKind

PAGE = (Path(__file__).parents[2] / "docs" / "providers.md").read_text(encoding="utf-8")


def row(name: str, kind: ProviderKind) -> str:
    where = f"`{kind.base_url}`" if kind.base_url else f"yours: `{kind.pattern}`" if kind.pattern else "in the gateway"
    dialects = ", ".join(kind.speaks)
    pays = "stops billing" if kind.cancel == "stops_billing" else "bills to the end"
    docs = f"[{kind.title}]({kind.docs})" if kind.docs.startswith("https") else kind.title
    cells = (f"`{name}`", docs, where, f"`{kind.env}`" if kind.env else "none", dialects, pays, "yes" if kind.takes_urls else "no")
    return f"| {' | '.join(cells)} |"


def table() -> list[str]:
    return [row(name, kind) for name, kind in KINDS.items()]


def test_the_page_lists_every_provider_as_the_table_has_it() -> None:
    listed = [line for line in PAGE.splitlines() if line.startswith("| `") and line.endswith(("| yes |", "| no |"))]
    assert listed == table()


def test_the_page_says_how_many_there_are() -> None:
    assert f"{len(KINDS)} kinds" in PAGE
