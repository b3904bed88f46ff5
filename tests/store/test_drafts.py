"""A file is whole and private, or there is none; and it overwrites nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from halley.store.drafts import NotWritten, draft


def test_a_file_appears_when_it_is_whole_for_its_owner_only(tmp_path: Path) -> None:
    target = tmp_path / "copy"
    with draft(target) as path:
        path.write_bytes(b"whole")
        assert not target.exists() and path.parent.stat().st_mode & 0o777 == 0o700
    assert target.read_bytes() == b"whole" and target.stat().st_mode & 0o777 == 0o600 and target.stat().st_nlink == 1
    assert [each.name for each in tmp_path.iterdir()] == ["copy"]


def test_what_fails_or_is_taken_meanwhile_leaves_nothing_and_overwrites_nothing(tmp_path: Path) -> None:
    target = tmp_path / "copy"
    with pytest.raises(RuntimeError), draft(target):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NotWritten, match="nothing is overwritten"), draft(target):
        target.write_bytes(b"mine")
    with pytest.raises(NotWritten, match="nothing is overwritten"), draft(target):
        raise AssertionError("the block ran")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(NotWritten, match="nothing is overwritten"), draft(tmp_path / "link"):
        raise AssertionError("the block ran")
    assert target.read_bytes() == b"mine"
    with pytest.raises(NotWritten, match="cannot be written: No such file"), draft(tmp_path / "none" / "copy"):
        raise AssertionError("the block ran")
