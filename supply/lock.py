"""Reads a lock the way an attacker would hope it is not read: whatever is not a version pinned by SHA-256 is an error, with its line.

Also holds an environment that was made from a lock against it. Nothing here asks a registry.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_ENTRY = re.compile(r"(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*)==(?P<version>[0-9][0-9A-Za-z.]*)(?: ; (?P<marker>[^\\#]+?))?")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_METADATA = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)\.dist-info")


class BadLock(Exception):
    """A line of a lock is not what it has to be; the message names it."""


class Package(NamedTuple):
    """`marker` is empty for a package of every platform. `hashes` has a SHA-256 per file of the release."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


def read(text: str) -> tuple[Package, ...]:
    """The packages of a lock in its order. Raises BadLock: for options, URLs, paths, ranges, other hashes, and names given twice."""
    found: dict[str, Package] = {}
    for number, line in _logical(text):
        wanted, *hashes = [part for part in re.split(r" +(?=--)", line) if part]
        entry = _ENTRY.fullmatch(wanted.strip())
        if entry is None:
            raise BadLock(f"line {number}: {wanted!r} is not NAME==VERSION")
        digests = [digest[1] for part in hashes if (digest := _HASH.fullmatch(part.strip()))]
        if not digests or len(digests) != len(hashes):
            raise BadLock(f"line {number}: {entry['name']} is not pinned by SHA-256 alone")
        if entry["name"] in found:
            raise BadLock(f"line {number}: {entry['name']} stands there twice")
        found[entry["name"]] = Package(entry["name"], entry["version"], entry["marker"] or "", tuple(digests))
    return tuple(found.values())


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their continuations, and where each begins. A comment is refused with the rest: pip reads some of them."""
    begun, whole = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if not whole:
            begun = number
        whole += line.removesuffix("\\").rstrip() + " "
        if not line.endswith("\\"):
            if whole.strip():
                yield begun, whole.strip()
            whole = ""
    if whole.strip():
        raise BadLock(f"line {begun} is not finished")


def normal(name: str) -> str:
    """A package's name as locks and metadata agree on it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed(site: Path) -> dict[str, str]:
    """Package to version of what lies in a site-packages directory."""
    found = (_METADATA.fullmatch(path.name) for path in site.glob("*.dist-info"))
    return {normal(each["name"]): each["version"] for each in found if each}


# What an environment has before anything is installed, and what `script/environment.sh` writes.
TOOLS = frozenset({"pip", "setuptools"})
PATHS = frozenset({"halley.pth", "distutils-precedence.pth"})
"""Files with lines that Python runs at every start. The second is setuptools', which `venv` brings along up to Python 3.11."""
PLUGINS: Mapping[str, frozenset[str]] = {
    # Loaded by whoever looks for the group; nobody does in a running gateway. pytest loads its own.
    "mako": frozenset({"babel.extractors", "lingua.extractors", "pygments.lexers", "python.templating.engines"}),
    "cffi": frozenset({"distutils.setup_keywords"}),
    "anyio": frozenset({"pytest11"}),
    "hypothesis": frozenset({"pytest11"}),
    "pytest-xdist": frozenset({"pytest11"}),
    "setuptools": frozenset(
        {"distutils.commands", "distutils.setup_keywords", "egg_info.writers", "setuptools.finalize_distribution_options"}
    ),
}
"""Packages that offer code to be loaded by others, with the groups that they may offer it in."""


def surprises(site: Path, packages: tuple[Package, ...], source: str) -> Iterator[str]:
    """What an environment made from a lock holds that the lock and the lists above do not say. `source` is what `halley.pth` points to."""
    there = installed(site)
    wanted = {package.name: package.version for package in packages}
    for name, version in there.items():
        if name not in TOOLS and wanted.get(name) != version:
            yield f"{name} {version} is installed, and the lock has {wanted.get(name, 'none')}"
    for package in packages:
        if package.name not in there and not package.marker:
            yield f"{package.name} is locked and not installed"
    for path in sorted(site.glob("*.pth")):
        if path.name not in PATHS:
            yield f"{path.name} runs at every start and is not on the list"
    if (own := site / "halley.pth").exists() and own.read_text(encoding="utf-8") != f"{source}\n":
        yield "halley.pth holds more than the path of the source"
    for name in ("sitecustomize", "usercustomize"):
        if list(site.glob(f"{name}*")):
            yield f"{name} runs at every start"
    for path in sorted(site.glob("*.dist-info/entry_points.txt")):
        package = _METADATA.fullmatch(path.parent.name)
        name = normal(package["name"]) if package else path.parent.name
        groups = set(re.findall(r"^\[([^\]]+)\]", path.read_text(encoding="utf-8"), re.MULTILINE))
        for group in sorted(groups - {"console_scripts", "gui_scripts"} - PLUGINS.get(name, frozenset())):
            yield f"{name} offers code in the group {group}"
