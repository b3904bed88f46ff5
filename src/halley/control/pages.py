"""The documentation as pages: Markdown files of the package (or of the checkout) to HTML, raw HTML off.

A page is a file's bare name, never a path.
"""

from __future__ import annotations

import re
from functools import cache
from html import escape
from pathlib import Path

from markdown_it import MarkdownIt

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "code,pre{font:14px/1.4 ui-monospace,monospace;background:#f4f4f4}pre{padding:.8rem;overflow:auto}"
    "table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.2rem .5rem;text-align:left}"
)


@cache
def directory() -> Path:
    package = Path(__file__).resolve().parents[1]
    packaged = package / "docs"
    return packaged if packaged.is_dir() else package.parents[1] / "docs"


def names() -> list[str]:
    return sorted(path.stem for path in directory().glob("*.md") if _NAME.fullmatch(path.stem))


def markdown(name: str) -> str | None:
    return (directory() / f"{name}.md").read_text(encoding="utf-8") if name in names() else None


@cache
def document(name: str) -> str | None:
    text = markdown(name)
    if text is None:
        return None
    return page(title(name), MarkdownIt("commonmark", {"html": False}).enable("table").render(text))


def title(name: str) -> str:
    first = (markdown(name) or "").partition("\n")[0]
    return first.removeprefix("# ").strip() if first.startswith("# ") else name


def contents() -> str:
    items = "".join(f'<li><a href="/docs/{name}">{escape(title(name))}</a></li>' for name in names())
    return page("Documentation", f"<h1>Documentation</h1><ul>{items}</ul>")


def page(heading: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(heading)}</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>"
    )
