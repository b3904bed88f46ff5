"""No statement is put together from text: the database gets SQLAlchemy's own, a constant, or what a row of `MAY` gives the reason for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.house.tree import functions, modules, name, parsed

SENDING = {"execute", "executemany", "executescript", "exec_driver_sql", "scalar", "scalars", "text", "DDL"}

MAY: dict[tuple[str, str], str] = {
    ("store/database.py", "_prepare"): "pragmas of a tuple that stands right there",
    ("store/moving.py", "_copy"): "a table and its columns by their own names, quoted",
    ("store/migrations/versions/0001_first.py", "upgrade"): "triggers for the tables of a tuple of the same file",
    ("store/migrations/versions/0002_one_row.py", "upgrade"): "columns and trigger verbs of tuples of the same file",
    ("store/migrations/versions/0010_nodes.py", "upgrade"): "triggers for the tables of a tuple of the same file",
}


def built(node: ast.expr) -> bool:
    """Whether an expression makes a text out of others."""
    match node:
        case ast.JoinedStr(values=parts):
            return any(isinstance(part, ast.FormattedValue) for part in parts)
        case ast.BinOp(op=ast.Mod() | ast.Add(), left=left, right=right):
            return any(_is_text(side) for side in (left, right))
        case ast.Call(func=ast.Attribute(attr="format" | "join" | "replace", value=receiver)):
            return _is_text(receiver)
        case _:
            return False


def _is_text(node: ast.expr) -> bool:
    return (isinstance(node, ast.Constant) and isinstance(node.value, str)) or isinstance(node, ast.JoinedStr) or built(node)


def statements(tree: ast.Module) -> list[tuple[str, int]]:
    """Function and line of every call that sends a text that was put together, in place or under a name given in the same function."""
    made = {
        (inside, target.id)
        for inside, node in functions(tree)
        if isinstance(node, ast.Assign) and built(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found: list[tuple[str, int]] = []
    for inside, node in functions(tree):
        if isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id if isinstance(node.func, ast.Name) else ""
            first = node.args[0]
            if called in SENDING and (built(first) or (isinstance(first, ast.Name) and (inside, first.id) in made)):
                found.append((inside, node.lineno))
    return found


@pytest.mark.parametrize("path", modules(), ids=name)
def test_no_statement_is_put_together_from_text(path: Path) -> None:
    found = [f"{inside}, line {line}" for inside, line in statements(parsed(path)) if (name(path), inside) not in MAY]
    assert not found, f"bind values, or give the reason in MAY: {found}"


def test_no_permission_is_left_over() -> None:
    used = {(name(path), inside) for path in modules() for inside, _ in statements(parsed(path))}
    assert not MAY.keys() - used


@pytest.mark.parametrize(
    "line",
    [
        "c.execute(f'SELECT {x}')",
        "c.execute('SELECT ' + x)",
        "c.execute('SELECT %s' % x)",
        "c.execute('SELECT {}'.format(x))",
        "c.execute(text(f'SELECT {x}'))",
        "c.exec_driver_sql(f'PRAGMA {x}')",
        "q = f'SELECT {x}'\nc.execute(q)",
    ],
)
def test_the_rule_knows_what_it_forbids(line: str) -> None:
    assert statements(ast.parse(line))


@pytest.mark.parametrize(
    "line", ["c.execute('SELECT 1')", "c.execute(select(x))", "c.execute(f'SELECT 1')", "c.execute('SELECT ?', (f'{x}',))"]
)
def test_the_rule_lets_the_rest_be(line: str) -> None:
    assert not statements(ast.parse(line))
