"""The bill of materials of the gateway as CycloneDX 1.6 JSON: every locked package with version, licence, file hashes, and who needs whom.

`script/sbom` runs it in the environment that `requirements.lock` made. The same lock and the same SOURCE_DATE_EPOCH give the same document.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import tomllib
import uuid
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from supply.lock import Package, normal, read

ROOT = Path(__file__).parents[1]
_ROW = re.compile(r"^\| `(?P<name>[a-z0-9-]+)` \| (?P<licence>[^|]+?) \| (?P<purpose>[^|]+?) \|$", re.MULTILINE)
_SPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")  # of URLs, RFC 9562


def licences() -> dict[str, str]:
    """Package to SPDX expression, as docs/dependencies.md has it; a house test holds that page against the packages' own words."""
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    return {row["name"]: row["licence"] for row in _ROW.finditer(page)}


def document(lock: str, now: float) -> dict[str, object]:
    """`lock` is the text of a lock, `now` Unix seconds."""
    packages, known = read(lock), licences()
    names = {package.name for package in packages}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version: str = project["version"]
    own = f"pkg:pypi/halley@{version}"
    direct = {_name(wanted) for wanted in (*project["dependencies"], *project["optional-dependencies"]["server"])}
    references = {package.name: _purl(package) for package in packages}
    needs = [{"ref": own, "dependsOn": sorted(references[name] for name in direct & names)}]
    needs += [{"ref": references[name], "dependsOn": sorted(references[each] for each in _needs(name) & names)} for name in sorted(names)]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_SPACE, own + lock)}",
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "halley",
                "version": version,
                "purl": own,
                "description": project["description"],
                "licenses": [{"expression": project["license"]}],
            },
        },
        "components": [_component(package, known[package.name]) for package in packages],
        "dependencies": needs,
    }


def _component(package: Package, licence: str) -> dict[str, object]:
    # A release has a file per platform: the hashes are of what may be installed, so they stand with the distribution.
    files = {"type": "distribution", "url": _purl(package), "hashes": [{"alg": "SHA-256", "content": each} for each in package.hashes]}
    component: dict[str, object] = {
        "type": "library",
        "bom-ref": _purl(package),
        "name": package.name,
        "version": package.version,
        "purl": _purl(package),
        "scope": "required",
        "licenses": [{"expression": licence}],
        "externalReferences": [files],
    }
    return component | ({"properties": [{"name": "halley:marker", "value": package.marker}]} if package.marker else {})


def _purl(package: Package) -> str:
    return f"pkg:pypi/{package.name}@{package.version}"


def _needs(name: str) -> set[str]:
    """What an installed package asks for without its extras; nothing for one that this platform does not install."""
    try:
        return {_name(wanted) for wanted in requires(name) or () if "extra ==" not in wanted}
    except PackageNotFoundError:
        return set()


def _name(requirement: str) -> str:
    return normal(re.split(r"[\[<>=!~; (]", requirement, maxsplit=1)[0])


def main() -> None:
    now = float(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    json.dump(document((ROOT / "requirements.lock").read_text(encoding="utf-8"), now), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
