"""The shape of the code: small modules that say what they are, and a hot path without detours."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from halley import logs
from tests.house.tree import ROOT, modules, name, parsed, texts

LONGEST = 400
VAGUE = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc", "base", "handler", "handlers", "data", "info"}


@pytest.mark.parametrize("path", modules(), ids=name)
def test_a_module_fits_in_one_reading(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("path", [path for path in modules() if path.stat().st_size], ids=name)
def test_a_module_says_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(parsed(path))
    assert docstring and len(docstring) > 10


@pytest.mark.parametrize("path", modules(), ids=name)
def test_a_module_has_a_telling_name(path: Path) -> None:
    assert path.stem not in VAGUE


@pytest.mark.parametrize("path", modules(), ids=name)
def test_only_the_named_places_catch_everything(path: Path) -> None:
    # The top of a relay's events and of named background loops.
    allowed = {"serve/faults.py"}
    caught = [
        node.lineno
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
    ]
    source = path.read_text(encoding="utf-8").splitlines()
    unexplained = [line for line in caught if "# top of " not in source[line - 1]]
    assert name(path) in allowed or not unexplained, (
        f"say which loop ends here: `except Exception:  # top of the … loop` (lines {unexplained})"
    )


def vendor_words() -> set[str]:
    from halley.dialects import __file__ as dialects
    from halley.providers.compatible import KINDS

    entries = Path(dialects).parent.iterdir()
    found = {path.stem for path in entries if path.suffix == ".py" or (path / "__init__.py").is_file()} - {"__init__", "bridge"}
    return found | set(KINDS) - {"local"}


@pytest.mark.parametrize("path", modules("serve"), ids=name)
def test_the_relay_compares_with_no_vendors_name(path: Path) -> None:
    words = vendor_words()
    for node in ast.walk(parsed(path)):
        compared: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            compared = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            compared = [node.value]
        for constant in (each for part in compared for each in ast.walk(part) if isinstance(each, ast.Constant)):
            value = constant.value.decode("latin-1") if isinstance(constant.value, bytes) else constant.value
            assert value not in words, f"line {constant.lineno} compares with {value!r}: give the row or record a field instead"


@pytest.mark.parametrize("path", modules(), ids=name)
def test_log_fields_are_on_the_allow_list(path: Path) -> None:
    for node in ast.walk(parsed(path)):
        match node:
            case ast.Call(func=ast.Attribute(attr="info" | "warning" | "error", value=voice)) if "log" in ast.unparse(voice).lower():
                unknown = {keyword.arg for keyword in node.keywords if keyword.arg} - logs.FIELDS
                assert not unknown, f"line {node.lineno}: {unknown}"
            case _:
                continue


# Built from pieces, so that this file does not hold what it forbids.
FORBIDDEN = {
    "a path of somebody's machine": re.compile(r"(?<![\w.$}/-])/(?:ro" + r"ot|wo" + r"rk)(?![\w.-])"),
    "a registry's host": re.compile(r"pypi\." + r"org|pythonhosted\." + r"org|registry\.npmjs"),
    "a live-looking key": re.compile(
        r"\b(?:sk-(?:proj-|ant-)?[A-Za-z0-9]{32,}|AIza[A-Za-z0-9_-]{35}|ghp_[A-Za-z0-9]{36}|AKIA[A-Z0-9]{16})\b"
    ),
    "a private key": re.compile(r"-----BEGIN (?:RSA |EC )?PRIVATE " + "KEY-----"),
}
# Published as an example by its vendor, or plainly counted through.
HARMLESS = ("AKIAIOSFODNN7EXAMPLE", "0123456789")


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    hits = [(path, hit.group()) for path, text in texts() for hit in FORBIDDEN[what].finditer(text)]
    assert not [(path, hit) for path, hit in hits if not any(harmless in hit for harmless in HARMLESS)]


def test_every_change_has_its_file() -> None:
    changes = [path.name for path in (ROOT / "changes").glob("*.md")]
    assert changes and all(re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", change) for change in changes)
