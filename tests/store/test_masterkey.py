"""Where the master key is kept, who may read it, and what is said when it cannot be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from halley.secret import SecretBytes
from halley.store import masterkey
from halley.store.masterkey import File, Variable
from halley.store.vault import Vault, VaultError

ONE, TWO, THREE = "11" * 32, "22" * 32, "33" * 32


def vault(text: str) -> Vault:
    return Vault(SecretBytes(bytes.fromhex(text)), "test")


def wrapped(text: str) -> bytes:
    return vault(text).wrap("pepper", SecretBytes(b"p" * 32))


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_first_key_is_made_for_its_owner_only_and_then_stays(tmp_path: Path) -> None:
    place = masterkey.place("", tmp_path, {})
    first = place.first()
    path = tmp_path / "master.key"
    assert path.stat().st_mode & 0o777 == 0o600 and len(path.read_text().strip()) == 64
    assert place.first().fits("x", first.wrap("x", SecretBytes(b"")))
    assert [each.name for each in tmp_path.iterdir()] == ["master.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o610])
def test_a_key_that_others_can_read_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path / "key", ONE, mode)
    with pytest.raises(VaultError, match=f"open to others \\(mode {mode:o}\\): chmod 600 {path}"):
        File(path).current()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_of_another_user_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "key", ONE)
    os.chown(path, 12345, -1)
    with pytest.raises(VaultError, match="belongs to another user \\(uid 12345\\)"):
        File(path).current()


@pytest.mark.parametrize("text", ["", "11" * 31, "11" * 33, "zz" * 32, "0x" + "11" * 31, "1 " * 32])
def test_a_text_that_is_no_key_is_refused_and_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(VaultError, match="must be 64 hex digits") as refusal:
        File(written(tmp_path / "key", text)).current()
    assert not text.strip() or text not in str(refusal.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("directory", "pipe"):
        with pytest.raises(VaultError, match=r"is not a regular file|is a directory"):
            File(tmp_path / name).current()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(VaultError, match="nowhere/key cannot be written"):
        File(tmp_path / "nowhere" / "key").first()


@pytest.mark.parametrize("reference", ["plain", ONE, "env:", "file:", "vault:x"])
def test_a_reference_names_a_file_or_a_variable(tmp_path: Path, reference: str) -> None:
    with pytest.raises(VaultError, match='must be "file:PATH" or "env:NAME"') as refusal:
        masterkey.place(reference, tmp_path, {})
    assert ONE not in str(refusal.value)


def test_of_two_keys_the_one_that_fits_is_used(tmp_path: Path) -> None:
    place = File(written(tmp_path / "key", ONE))
    assert place.opening("pepper", wrapped(ONE))[1] is None
    written(tmp_path / "key.next", TWO)
    assert place.opening("pepper", wrapped(ONE))[1] is None
    now, former = place.opening("pepper", wrapped(TWO))
    assert now.fits("pepper", wrapped(TWO)) and former is not None and former.fits("pepper", wrapped(ONE))
    with pytest.raises(VaultError, match="another master key"):
        place.opening("pepper", wrapped(THREE))


def test_a_promoted_key_is_the_only_one(tmp_path: Path) -> None:
    place = File(written(tmp_path / "key", ONE))
    fresh = place.draft()
    assert (tmp_path / "key").read_text() == ONE
    place.promote()
    place.promote()
    assert [each.name for each in tmp_path.iterdir()] == ["key"]
    now = place.current()
    assert now is not None and now.fits("x", fresh.wrap("x", SecretBytes(b"")))


def test_a_link_to_a_key_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    written(tmp_path / "real" / "key", ONE)
    (tmp_path / "link").symlink_to(tmp_path / "real" / "key")
    place = File(tmp_path / "link")
    place.draft()
    place.promote()
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "key").read_text() != ONE


def test_a_variable_is_turned_by_the_operator_in_two_steps() -> None:
    environ = {"KEY": ONE}
    place = Variable("KEY", environ)
    with pytest.raises(VaultError, match=r"First set KEY_NEXT to a new key .* and restart the gateway"):
        place.draft()
    environ["KEY_NEXT"] = TWO
    assert place.draft().fits("pepper", wrapped(TWO))
    now, former = place.opening("pepper", wrapped(TWO))
    assert now.where.endswith("KEY_NEXT") and former is not None
    environ = {"KEY": TWO}
    assert Variable("KEY", environ).opening("pepper", wrapped(TWO))[1] is None
