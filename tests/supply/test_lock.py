"""A lock is read strictly, and an environment that holds more than its lock says is found out."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from supply.lock import BadLock, installed, read, surprises
from tests.house.tree import ROOT

A, B = "a" * 64, "b" * 64
GOOD = f"one-two==1.0 ; sys_platform != 'win32' \\\n    --hash=sha256:{A} \\\n    --hash=sha256:{B}\nthree==2 \\\n    --hash=sha256:{A}\n"


def test_a_lock_is_read() -> None:
    first, second = read(GOOD)
    assert (first.name, first.version, first.marker, first.hashes) == ("one-two", "1.0", "sys_platform != 'win32'", (A, B))
    assert (second.name, second.version, second.marker, second.hashes) == ("three", "2", "", (A,))


@pytest.mark.parametrize(
    "line",
    [
        "one==1.0",
        f"one>=1.0 --hash=sha256:{A}",
        f"one==1.* --hash=sha256:{A}",
        f"one --hash=sha256:{A}",
        f"one==1.0 --hash=md5:{A}",
        f"one==1.0 --hash=sha256:{A[:-1]}",
        f"one==1.0 --hash=sha256:{A} --no-binary :all:",
        f"one==1.0 --config-settings=a=b --hash=sha256:{A}",
        f"one @ file:one.whl --hash=sha256:{A}",
        f"https://127.0.0.1/one.whl --hash=sha256:{A}",
        "-e .",
        "-r other.txt",
        "--index-url http://127.0.0.1",
        "--extra-index-url=http://127.0.0.1",
        "--trusted-host 127.0.0.1",
        "# a comment",
        f"three==3 --hash=sha256:{B}",
        f"one==1.0 \\\n    --hash=sha256:{A} \\",
        f"One_Two==1.0 --hash=sha256:{A}",
    ],
)
def test_whatever_is_not_pinned_by_sha256_is_refused(line: str) -> None:
    with pytest.raises(BadLock, match="line "):
        read(GOOD + line + "\n")


def environments() -> list[Path]:
    """Those of this checkout that were made from the lock that lies here now."""
    return [path for path in (ROOT / ".venv-dev", ROOT / ".venv") if (path / "halley-stamp").is_file()]


LOCKS = {".venv-dev": "requirements-dev.lock", ".venv": "requirements.lock"}


@pytest.mark.parametrize("venv", environments(), ids=lambda path: path.name)
def test_an_environment_holds_what_its_lock_says_and_nothing_that_starts_by_itself(venv: Path) -> None:
    site = next((venv / "lib").glob("*/site-packages"))
    lock = ROOT / LOCKS[venv.name]
    found = list(surprises(site, read(lock.read_text(encoding="utf-8")), str(ROOT / "src")))
    if not (venv / "halley-stamp").read_text(encoding="utf-8").startswith(_cksum(lock)):
        # Made from an earlier lock; the next script refreshes it. What starts by itself may not be there all the same.
        found = [each for each in found if "the lock has" not in each and "is locked" not in each]
    assert found == []


def _cksum(path: Path) -> str:
    """How `script/environment.sh` marks which lock an environment was made from."""
    return subprocess.run(["cksum"], input=path.read_bytes(), capture_output=True, check=True).stdout.decode().split()[0]


def test_both_environments_are_there_where_everything_is_promised() -> None:
    if os.environ.get("CI") == "true":
        assert [path.name for path in environments()] == [".venv-dev", ".venv"]


def site(place: Path) -> Path:
    """An environment as `script/environment.sh` makes it from the good lock."""
    for name, version in (("one_two", "1.0"), ("three", "2"), ("pip", "23")):
        (place / f"{name}-{version}.dist-info").mkdir()
    (place / "halley.pth").write_text("/checkout/src\n")
    return place


def test_a_clean_environment_has_no_surprises(tmp_path: Path) -> None:
    assert installed(site(tmp_path)) == {"one-two": "1.0", "three": "2", "pip": "23"}
    assert list(surprises(tmp_path, read(GOOD), "/checkout/src")) == []


@pytest.mark.parametrize(
    ("path", "text", "word"),
    [
        ("evil.pth", "import os\n", "evil.pth"),
        ("halley.pth", "/checkout/src\nimport os\n", "more than the path"),
        ("sitecustomize.py", "", "sitecustomize"),
        ("four-1.dist-info/METADATA", "", "four 1 is installed"),
        ("three-2.dist-info/entry_points.txt", "[console_scripts]\na = b:c\n[pytest11]\na = b\n", "group pytest11"),
    ],
)
def test_what_starts_by_itself_or_was_not_locked_is_named(tmp_path: Path, path: str, text: str, word: str) -> None:
    place = site(tmp_path) / path
    place.parent.mkdir(exist_ok=True)
    place.write_text(text)
    (found,) = surprises(tmp_path, read(GOOD), "/checkout/src")
    assert word in found


def test_another_version_and_a_missing_package_are_named(tmp_path: Path) -> None:
    (site(tmp_path) / "three-2.dist-info").rmdir()
    (tmp_path / "one_two-1.0.dist-info").rename(tmp_path / "one_two-1.1.dist-info")
    assert list(surprises(tmp_path, read(GOOD), "/checkout/src")) == [
        "one-two 1.1 is installed, and the lock has 1.0",
        "three is locked and not installed",
    ]
