"""What the settings point at when they name a secret: a variable, a file, or the text itself. Nothing here is kept or shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from halley.config_build import ConfigError
from halley.redaction import is_path, is_variable
from halley.secret import Secret
from halley.store import keytext

_NO_KEY = 'is not a key of Halley ("sk-" and 38 letters and digits, the last six a checksum); `halley keys generate` makes one'


def resolve_secret(reference: Secret, environ: Mapping[str, str]) -> Secret:
    """What `env:NAME`, `file:PATH` or a literal stands for. Raises ConfigError when that is nothing; never shows what may be a secret."""
    match (text := reference.reveal()).partition(":"):
        case ("env", ":", name):
            shown = f"{text}: the environment variable {name}" if is_variable(name) else "the environment variable that it names"
            value, missing = environ.get(name, ""), f"{shown} is not set"
        case ("file", ":", name):
            shown = f"{text}:" if is_path(name) else "the file that it names"
            try:
                value = Path(name).expanduser().read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError, RuntimeError, ValueError) as fault:
                raise ConfigError([f"{shown} cannot be read ({fault.__class__.__name__})"]) from None
            missing = f"{shown} is empty"
        case _:
            value, missing = text, "is empty"
    if not value.strip():
        raise ConfigError([missing])
    return Secret(value.strip())


def client_key(reference: Secret, environ: Mapping[str, str]) -> Secret:
    """The text of a client key. Raises ConfigError also for one that relays would refuse unseen, for want of Halley's checksum."""
    found = resolve_secret(reference, environ)
    if not keytext.well_formed(found.reveal()):
        raise ConfigError([_NO_KEY])
    return found
