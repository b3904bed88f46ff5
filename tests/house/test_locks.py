"""The locks: few packages, each pinned by hash and explained, and no trace of where they were fetched."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.house.tree import ROOT

LIMITS = {"requirements-base.lock": 6, "requirements.lock": 40, "requirements-dev.lock": 60}


def locked(name: str) -> dict[str, str]:
    """Package to version."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", LIMITS)
def test_a_lock_stays_small(name: str) -> None:
    assert 0 < len(locked(name)) <= LIMITS[name]


@pytest.mark.parametrize("name", LIMITS)
def test_every_package_is_pinned_by_hash(name: str) -> None:
    entries = re.split(r"\n(?=\S)", (ROOT / name).read_text(encoding="utf-8").strip())
    assert all("==" in entry and "--hash=sha256:" in entry for entry in entries)


@pytest.mark.parametrize("name", LIMITS)
def test_a_lock_names_no_host(name: str) -> None:
    assert "://" not in (ROOT / name).read_text(encoding="utf-8")


def test_the_locks_agree() -> None:
    base, server, dev = (locked(name) for name in LIMITS)
    assert base.items() <= server.items() <= dev.items()


def test_every_package_is_explained_and_no_other_is() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| \S", (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(locked("requirements-dev.lock"))


def test_what_the_project_asks_for_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = {
        "requirements-base.lock": project["project"]["dependencies"],
        "requirements.lock": project["project"]["optional-dependencies"]["server"],
        "requirements-dev.lock": project["dependency-groups"]["dev"],
    }
    for name, requirements in wanted.items():
        names = {re.split(r"[\[<>=;!~ ]", requirement)[0] for requirement in requirements}
        assert names <= set(locked(name)), name
