"""Where the house tests find the checkout's files, and how they read them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "halley"
_NOT_OURS = {".git", "node_modules", "__pycache__", ".hypothesis", ".pytest_cache", ".ruff_cache", "dist", ".import_linter_cache"}


def modules(*folders: str) -> list[Path]:
    """Python files of the product, of some of its folders or all."""
    return sorted(path for folder in folders or (".",) for path in (SOURCE / folder).rglob("*.py"))


def name(path: Path) -> str:
    """`serve/relay.py`: how the tables of the house tests name a module."""
    return path.relative_to(SOURCE).as_posix()


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def functions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Every node of a module with the name of the function that it stands in (`<module>` outside of any)."""

    def walk(node: ast.AST, inside: str) -> Iterator[tuple[str, ast.AST]]:
        for child in ast.iter_child_nodes(node):
            here = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else inside
            yield here, child
            yield from walk(child, here)

    yield from walk(tree, "<module>")


def texts() -> Iterator[tuple[str, str]]:
    """Path and text of every file of the checkout that is text."""
    for path in sorted(ROOT.rglob("*")):
        inner = path.relative_to(ROOT)
        if path.is_file() and not any(part in _NOT_OURS or part.startswith(".venv") or part.endswith(".egg-info") for part in inner.parts):
            try:
                yield inner.as_posix(), path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
