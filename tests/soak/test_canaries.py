"""The canaries' own eyes: a search that finds nothing proves something only if it would have found."""

from __future__ import annotations

import base64
import json
import random
from pathlib import Path
from urllib.parse import quote

import pytest

from soak.campaign import Effort
from soak.campaigns.canaries import CAMPAIGN
from tests.harness.canaries import Canaries


@pytest.mark.parametrize("make", ["text", "word", "key"])
def test_every_form_is_found_whole_and_cut_short(make: str) -> None:
    canaries = Canaries(random.Random(7))
    secret: str = getattr(canaries, make)("it")
    data = secret.encode()
    encoded = [base64.b64encode(b"x" * shift + data + b"tail").decode() for shift in range(3)]
    urlsafe = [base64.urlsafe_b64encode(b"x" * shift + data).decode() for shift in range(3)]
    for form in (
        secret,
        secret[:20],
        json.dumps(secret),
        quote(secret),
        quote(secret, safe=""),
        data.hex(),
        data.hex().upper(),
        *encoded,
        *urlsafe,
    ):
        assert canaries.found(f"before {form} after".encode()) == {"it"}, form
    assert canaries.found(b"before and after") == set()
    assert canaries.found(data, but={"it"}) == set()


def test_a_file_is_named_and_the_secret_is_not(tmp_path: Path) -> None:
    canaries = Canaries(random.Random(7))
    secret = canaries.word("the upstream's key")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "halley.db-wal").write_bytes(b"\0" * 5000 + secret.encode().hex().encode())
    (tmp_path / "starter-key").write_text(secret)
    with pytest.raises(AssertionError) as hit:
        canaries.check_files(tmp_path, exempt={"starter-key"})
    assert "deep/halley.db-wal" in str(hit.value) and "the upstream's key" in str(hit.value) and secret not in str(hit.value)
    assert canaries.check_files(tmp_path, exempt={"starter-key", "halley.db-wal"}) == 0


def test_a_day_of_errors_bugs_and_kills_leaves_no_secret_anywhere(tmp_path: Path) -> None:
    seen = CAMPAIGN.run(tmp_path, Effort(rounds=0, seed=11))
    assert int(seen["canaries"]) >= 16 and int(seen["requests"]) > 100 and int(seen["log_bytes"]) > 0 and int(seen["bytes"]) > 100_000
