"""What exists is documented, and what is documented exists: settings, commands, errors, packages."""

from __future__ import annotations

import ast
import importlib
import re

import msgspec
import pytest
from msgspec import NODEFAULT
from msgspec import inspect as shape

from halley.cli.main import COMMANDS
from halley.config import Settings
from halley.errors import Condition
from halley.secret import Secret
from tests.house.tree import ROOT, SOURCE, modules, parsed


def document(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"there is no heading `## {heading}`"
    return found.group(1)


def inner(kind: shape.Type) -> shape.StructType | None:
    match kind:
        case shape.StructType():
            return kind
        case shape.VarTupleType(item_type=item):
            return inner(item)
        case shape.UnionType(types=types):
            return next((found for each in types if (found := inner(each))), None)
        case shape.Metadata(type=plain):
            return inner(plain)
        case _:
            return None


def sections() -> dict[str, shape.StructType]:
    """Heading to struct: `[server]`, `[[models]]`, and the structs within those."""
    found: dict[str, shape.StructType] = {}
    info = shape.type_info(Settings)
    assert isinstance(info, shape.StructType)
    for field in info.fields:
        struct = inner(field.type)
        assert struct is not None
        found[f"[{field.name}]" if isinstance(field.type, shape.StructType) else f"[[{field.name}]]"] = struct
        found |= within(struct)
    return found


def within(struct: shape.StructType) -> dict[str, shape.StructType]:
    """Structs within a struct; what a provider charges is written as what is charged."""
    found: dict[str, shape.StructType] = {}
    for part in struct.fields:
        deeper = inner(part.type)
        if deeper is not None:
            found |= {"price" if part.name == "cost" else part.name: deeper, **within(deeper)}
    return found


def default_text(field: shape.Field) -> str:
    """The default as the settings page writes it."""
    if field.required:
        return "required"
    value = field.default if field.default is not NODEFAULT else field.default_factory() if callable(field.default_factory) else None
    match value:
        case None:
            return "none"
        case bool():
            return f"`{str(value).lower()}`"
        case Secret():
            return '`""`'
        case str():
            return f'`"{value}"`'
        case tuple():
            return "`[]`"
        case msgspec.Struct():
            return "`{}`"
        case _:
            return f"`{value}`"


@pytest.mark.parametrize("heading", sections())
def test_every_setting_is_documented_with_its_default(heading: str) -> None:
    text = section(document("settings.md"), heading)
    for field in sections()[heading].fields:
        row = f"| `{field.name}` | {default_text(field)} | "
        assert row in text, f"docs/settings.md, {heading}: there is no row {row}"


@pytest.mark.parametrize("heading", sections())
def test_no_setting_is_documented_that_does_not_exist(heading: str) -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section(document("settings.md"), heading), re.MULTILINE)
    assert rows == [field.name for field in sections()[heading].fields]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_documented(command: str) -> None:
    assert section(document("commands.md"), f"halley {command}").strip()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_table_can_be_loaded(command: str) -> None:
    import click

    from halley.cli.main import halley

    loaded = halley.get_command(click.Context(halley), command)
    assert loaded is not None
    assert loaded.name == command


def test_no_command_is_documented_that_does_not_exist() -> None:
    assert re.findall(r"^## halley (\w+)", document("commands.md"), re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize("condition", Condition, ids=lambda condition: condition.name)
def test_every_error_is_documented(condition: Condition) -> None:
    text = document("errors.md")
    assert f"`{condition.value.openai_code}`" in text and str(condition.status) in text


def constants() -> dict[str, float]:
    """Every number with a public name in the modules that stand between clients and providers: `net.server.HIGH_WATER` to its value."""
    found: dict[str, float] = {}
    for path in (*modules("net", "serve"), *modules("wire", "dialects")):
        module = importlib.import_module(f"halley.{'.'.join(path.relative_to(SOURCE).with_suffix('').parts)}")
        for node in parsed(path).body:
            match node:
                case ast.Assign(targets=[ast.Name(id=constant)]) if constant.isupper() and not constant.startswith("_"):
                    value = getattr(module, constant)
                    if type(value) in (int, float) and value != float("inf"):
                        found[f"{module.__name__.removeprefix('halley.')}.{constant}"] = value
    return found


def test_every_limit_that_is_a_constant_is_documented_with_its_value() -> None:
    rows = dict(re.findall(r"^\| `([a-z_.]+\.[A-Z_]+)` \| `([^`]+)` \| \S", document("limits.md"), re.MULTILINE))
    assert rows == {constant: str(value) for constant, value in constants().items()}


def links() -> list[tuple[str, str]]:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *(ROOT / "docs").rglob("*.md")]
    found = [(page, target) for page in pages for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))]
    return [(page.relative_to(ROOT).as_posix(), target) for page, target in found]


@pytest.mark.parametrize(("page", "target"), links())
def test_a_link_leads_somewhere(page: str, target: str) -> None:
    path = (ROOT / page).parent / target if not target.startswith("/") else ROOT / f"{target.lstrip('/')}.md"
    assert path.exists()


@pytest.mark.parametrize("path", re.findall(r"`((?:src|docs|tests)/[\w/.]+\.\w+)`", (ROOT / "README.md").read_text(encoding="utf-8")))
def test_the_reading_order_names_files_that_exist(path: str) -> None:
    assert (ROOT / path).is_file()
