"""The one way in which every command reads the settings of this node: the file that is found, the environment, and the flags given."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from halley.config import Settings, find, load
from halley.providers.compatible import KINDS

# Part of the fixed interface of the file, but not served by this version: said aloud, so that nobody relies on it.
_WITHOUT_EFFECT = (
    ("server", "cors_origins"),
    ("limits", "redis"),
    ("limits", "upload_bytes"),
    ("egress", "proxy"),
    ("retention", "log_days"),
    ("retention", "responses_days"),
    ("retention", "tasks_days"),
    ("retention", "files_days"),
    ("retention", "audit_days"),
)


def without_effect(settings: Settings) -> list[str]:
    """The settings that were changed and that this version does not act on yet."""
    plain = Settings()
    return [
        f"[{section}] {key}"
        for section, key in _WITHOUT_EFFECT
        if getattr(getattr(settings, section), key) != getattr(getattr(plain, section), key)
    ]


def read(config: Path | None = None, flags: Mapping[str, object] | None = None) -> Settings:
    """Settings as `halley up` would run with. Raises ConfigError; `flags` maps `section.key` to a value, None meaning not given."""
    well_known = {kind.env: name for name, kind in KINDS.items() if kind.env}
    return load(find(config, os.environ, Path.cwd()), os.environ, flags or {}, well_known=well_known, kinds=KINDS.keys())
