"""The locks: few packages, each pinned by hash, licensed and explained, of a certain age, and no trace of where they were fetched."""

from __future__ import annotations

import re
import tomllib
from datetime import date
from importlib.metadata import distributions

import pytest
from packaging.requirements import Requirement

from supply.lock import Package, normal, read
from tests.house.tree import ROOT, texts

LIMITS = {"requirements-base.lock": 6, "requirements.lock": 40, "requirements-dev.lock": 60}
# Whoever embeds or sells Halley owes their authors a notice and nothing else; MPL-2.0 only where nothing of it is shipped.
PERMISSIVE = {"MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "PSF-2.0"}
FOR_DEVELOPMENT = PERMISSIVE | {"MPL-2.0"}
# How a package without an SPDX expression names its licence, and how the expressions of that licence begin.
CLASSIFIED = {"MIT License": "MIT", "BSD License": "BSD-", "Apache Software License": "Apache-2.0"}
TWO_WEEKS = 14


def locked(name: str) -> dict[str, Package]:
    return {package.name: package for package in read((ROOT / name).read_text(encoding="utf-8"))}


def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def wanted() -> dict[str, list[Requirement]]:
    """Lock to what `pyproject.toml` asks of it."""
    match project():
        case {"project": {"dependencies": base, "optional-dependencies": {"server": server}}, "dependency-groups": {"dev": dev}}:
            found = {"requirements-base.lock": base, "requirements.lock": [*base, *server], "requirements-dev.lock": [*base, *server, *dev]}
            return {name: [Requirement(text) for text in each] for name, each in found.items()}
        case _:
            raise AssertionError("pyproject.toml has another shape")


def rows() -> dict[str, str]:
    """Package to licence, of the tables in the documentation."""
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| `([a-z0-9-]+)` \| ([^|]+) \| [^|]{10,} \|$", page, re.MULTILINE)
    assert len(found) == len(dict(found)), "a package stands there twice"
    return dict(found)


@pytest.mark.parametrize("name", LIMITS)
def test_a_lock_is_small_and_pins_every_file_by_its_hash(name: str) -> None:
    assert 0 < len(locked(name)) <= LIMITS[name]


@pytest.mark.parametrize("name", LIMITS)
def test_a_lock_names_no_host(name: str) -> None:
    assert "://" not in (ROOT / name).read_text(encoding="utf-8")


def test_the_locks_agree() -> None:
    base, server, dev = (locked(name) for name in LIMITS)
    assert base.items() <= server.items() <= dev.items()


@pytest.mark.parametrize("name", LIMITS)
def test_what_the_project_asks_for_is_locked_in_a_version_that_it_takes(name: str) -> None:
    packages = locked(name)
    for requirement in wanted()[name]:
        package = packages.get(normal(requirement.name))
        assert package is not None, f"{requirement} is not in {name}"
        assert requirement.specifier.contains(package.version), f"{requirement}, and {name} has {package.version}"


def test_nothing_was_younger_than_two_weeks_when_it_was_locked() -> None:
    match project():
        case {"tool": {"uv": {"exclude-newer": str(last)}}}:
            page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
            said = re.search(r"Locked on (\S+) with nothing that was uploaded after (\d{4}-\d\d-\d\d)", page)
            assert said and said[2] == last[:10]
            assert (date.fromisoformat(said[1]) - date.fromisoformat(said[2])).days >= TWO_WEEKS
        case _:
            raise AssertionError("pyproject.toml does not say how old a package has to be")


def test_every_package_is_licensed_and_explained_and_no_other_is() -> None:
    assert sorted(rows()) == sorted(locked("requirements-dev.lock"))


def test_licences_are_permissive() -> None:
    shipped = locked("requirements.lock")
    for name, licence in rows().items():
        allowed = PERMISSIVE if name in shipped else FOR_DEVELOPMENT
        assert any(each in allowed for each in licence.split(" OR ")), f"{name}: {licence}"


def test_the_licences_are_what_the_packages_say() -> None:
    said = rows()
    checked = 0
    for package in distributions():
        licence = said.get(normal(package.name))
        if licence is None:
            continue
        expression = package.metadata.get("License-Expression")
        classes = [each.rpartition(":: ")[2] for each in package.metadata.get_all("Classifier") or () if each.startswith("License :: ")]
        if expression:
            assert licence == expression, f"{package.name}: {expression}"
        elif classes:
            for each in classes:
                assert any(part.startswith(CLASSIFIED[each]) for part in licence.split(" OR ")), f"{package.name}: {each}"
        else:
            assert package.metadata.get("License") == licence, package.name
        checked += 1
    assert checked >= len(said) - 1  # one is for Windows only


def test_no_code_of_a_package_runs_while_it_is_installed() -> None:
    """Wheels only and hashes always; npm never with scripts."""
    environment = (ROOT / "script" / "environment.sh").read_text(encoding="utf-8")
    for line in (line for line in environment.splitlines() if "pip install --" in line):
        assert "--require-hashes" in line and "--no-deps" in line and ("--no-build" in line or "--only-binary :all:" in line), line
    for path, text in texts():
        if path.startswith(("script/", "bench/", ".ci/", "tests/clients/")):
            for line in text.splitlines():
                if "npm" in line and (" ci " in line or "install" in line) and not line.lstrip().startswith(("#", "fail", "say", "help")):
                    assert "ignore-scripts" in line or "apt" in line or "add_argument" in line or "nodejs" in line, (
                        f"{path}: {line.strip()}"
                    )
