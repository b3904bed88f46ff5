"""Pictures by address at a provider that takes none: fetched by the gateway from public places, and from nowhere else."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
# What the web of the namespace serves as a picture.
PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """`HALLEY_MORE_URLS` may name further corpora in the format of the fixture."""
    probe = subprocess.run(["unshare", "-n", "-m", "ip", "link", "set", "lo", "up"], capture_output=True, text=True, timeout=20)
    if probe.returncode and not os.environ.get("CI"):
        pytest.skip(f"no network namespace can be made here: {probe.stderr.strip()}")
    assert probe.returncode == 0, probe.stderr
    more = [path for path in os.environ.get("HALLEY_MORE_URLS", "").split(os.pathsep) if path]
    corpora = [str(ROOT / "fixtures" / "urls" / "fetched.txt"), *more]
    script = str(ROOT / "tests" / "net" / "pictures_namespace.py")
    command = ["unshare", "-n", "-m", sys.executable, script, str(tmp_path_factory.mktemp("pictures")), *corpora]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environ, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def test_no_line_of_a_corpus_leads_inside(found: dict[str, Any]) -> None:
    assert found["lines"] > 80 and found["accepted"] >= found["served"] > 5
    assert found["inside"] == []
    assert found["wrong"] == []


def test_only_what_could_be_fetched_was_asked_upstream(found: dict[str, Any]) -> None:
    assert found["calls"] == found["served"]
    assert set(found["endings"]) <= {"complete", "failed"} and found["charged_failures"] == 0


def test_the_provider_gets_the_picture_itself(found: dict[str, Any]) -> None:
    shown = f"[image image/png {len(PNG)} bytes sha256:{hashlib.sha256(PNG).hexdigest()[:16]}]"
    assert json.dumps(found["good"]).count(shown) == 3


def test_a_large_body_s_pictures_are_fetched_as_well(found: dict[str, Any]) -> None:
    (status, body), (bad, error) = found["large"]
    assert (status, bad, error["error"]["param"]) == (200, 400, "input[0].content[0]"), error
    assert f"sha256:{hashlib.sha256(PNG).hexdigest()[:16]}" in json.dumps(body)


def test_one_that_cannot_be_fetched_refuses_the_request_or_its_offer(found: dict[str, Any]) -> None:
    status, body = found["refused"]
    assert status == 400 and body["error"]["param"] == "input[0].content[1]", body
    assert found["elsewhere"] == 200  # the next offer takes addresses
    assert found["many"] == 400
