"""References to secrets: what they lead to, and that none is shown when it leads nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from halley.config_build import ConfigError
from halley.config_secrets import client_key, resolve_secret
from halley.secret import Secret
from halley.store import keytext


def test_a_secret_is_a_variable_a_file_or_itself(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("from-file\n", encoding="utf-8")
    assert resolve_secret(Secret("env:K"), {"K": "from-env"}).reveal() == "from-env"
    assert resolve_secret(Secret(f"file:{path}"), {}).reveal() == "from-file"
    assert resolve_secret(Secret("sk-literal:x"), {}).reveal() == "sk-literal:x"
    for reference in ("env:K", "file:/nowhere/key", ""):
        with pytest.raises(ConfigError):
            resolve_secret(Secret(reference), {})


@pytest.mark.parametrize(
    "secret",
    [
        "AIzaSyA1234567890abcdefghijklmnopqrstu",
        "sk_live_1234567890abcdefgh",
        "0123456789abcdef0123456789abcdef",
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
        "/9j/4AAQSkZJRgABAQEAYABgAAD/1234567890",
        "hunter2hunter2",
    ],
)
def test_a_secret_that_was_written_as_a_reference_is_not_shown(secret: str) -> None:
    for scheme in ("env:", "file:"):
        with pytest.raises(ConfigError) as refusal:
            resolve_secret(Secret(scheme + secret), {})
        assert secret not in str(refusal.value) and secret[:12] not in str(refusal.value)


def test_a_key_that_no_relay_would_accept_is_refused_unseen() -> None:
    made = keytext.make()
    assert client_key(Secret(made), {}).reveal() == made
    with pytest.raises(ConfigError) as refusal:
        client_key(Secret(made[:-1] + "!"), {})
    assert made[:12] not in str(refusal.value)
