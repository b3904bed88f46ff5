"""The bill of materials is CycloneDX 1.6, lists exactly what is locked, and says the same again for the same lock."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid

import pytest

from supply.lock import read
from tests.house.tree import ROOT

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text() -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SOURCE_DATE_EPOCH": "1767225600"}
    done = subprocess.run(
        [sys.executable, "-m", "supply.sbom"], capture_output=True, text=True, timeout=60, env=environment, cwd=ROOT, check=True
    )
    return done.stdout


def test_it_is_cyclonedx(text: str) -> None:
    found = json.loads(text)
    assert found["bomFormat"] == "CycloneDX" and found["specVersion"] == "1.6" and found["version"] == 1
    assert uuid.UUID(found["serialNumber"].removeprefix("urn:uuid:")).version == 5
    assert found["metadata"]["timestamp"] == "2026-01-01T00:00:00Z"
    assert found["metadata"]["component"]["type"] == "application"
    # What the schema demands of a component, and no field that it does not know.
    known = {"type", "bom-ref", "name", "version", "purl", "scope", "licenses", "externalReferences", "properties"}
    for component in found["components"]:
        assert {"type", "name", "bom-ref"} <= component.keys() <= known
        assert component["type"] == "library" and component["scope"] == "required"
        assert re.fullmatch(r"pkg:pypi/[a-z0-9-]+@[0-9][0-9A-Za-z.]*", component["purl"])
        assert [*component["licenses"][0]] == ["expression"]
        (files,) = component["externalReferences"]
        assert files["type"] == "distribution" and files["hashes"]
        assert all(each["alg"] == "SHA-256" and re.fullmatch(r"[0-9a-f]{64}", each["content"]) for each in files["hashes"])


def test_it_lists_what_is_locked_with_every_hash(text: str) -> None:
    listed = {
        each["name"]: (each["version"], tuple(digest["content"] for digest in each["externalReferences"][0]["hashes"]))
        for each in json.loads(text)["components"]
    }
    assert listed == {package.name: (package.version, package.hashes) for package in read(LOCK)}


def test_every_package_is_there_because_somebody_needs_it(text: str) -> None:
    found = json.loads(text)
    references = {each["bom-ref"] for each in found["components"]} | {found["metadata"]["component"]["bom-ref"]}
    needs = {each["ref"]: set(each["dependsOn"]) for each in found["dependencies"]}
    assert needs.keys() == references
    reached, rest = set[str](), {found["metadata"]["component"]["bom-ref"]}
    while rest:
        reached |= rest
        rest = set().union(*(needs[each] for each in rest)) - reached
    # uvloop's own needs and whatever is for other platforms cannot be walked here.
    assert reached == references


def test_the_same_lock_gives_the_same_document(text: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SOURCE_DATE_EPOCH": "1767225600"}
    again = subprocess.run(
        [sys.executable, "-m", "supply.sbom"], capture_output=True, text=True, timeout=60, env=environment, cwd=ROOT, check=True
    )
    assert again.stdout == text
