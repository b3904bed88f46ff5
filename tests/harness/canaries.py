"""Secrets that are looked for afterwards: each in every form in which one travels, in files, in replies, in what commands say.

It shares nothing with the product's own filter: what a form is, is written here a second time. A piece of twenty characters counts as the
whole, so that a secret which was cut short is found too.

canaries = Canaries(dice)
configuration = f'api_key = "{canaries.key("upstream, literal")}"'
...
canaries.check("reply", data)
canaries.check_files(place, exempt={"halley.toml", "starter-key"})
"""

from __future__ import annotations

import base64
import json
import os
import random
import string
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from urllib.parse import quote_from_bytes

_LETTERS = string.ascii_letters + string.digits
_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_ENOUGH = 20


class Canaries:
    """By name. Secrets that a test makes come from `text`, `word` and `key`; those that the product makes are told to `watch`."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._forms: dict[bytes, str] = {}
        self.named: dict[str, str | bytes] = {}

    def __len__(self) -> int:
        return len(self.named)

    def watch(self, name: str, secret: str | bytes) -> None:
        assert len(secret) >= _ENOUGH, f"{name} is too short to be looked for"
        self.named[name] = secret
        self._forms |= {form[:_ENOUGH]: name for form in spellings(secret if isinstance(secret, bytes) else secret.encode())}

    def text(self, name: str) -> str:
        """What a person writes: blanks, quotes, signs that every encoding changes."""
        words = ["".join(self._dice.choices(_LETTERS, k=self._dice.randint(4, 9))) for _ in range(6)]
        return self._made(name, f'{words[0]} {words[1]}"{words[2]}\\{words[3]}/{words[4]}+{words[5]}=é&?')

    def word(self, name: str) -> str:
        """Letters and digits without any shape: only who knows it can hide it."""
        return self._made(name, "".join(self._dice.choices(_LETTERS, k=40)))

    def key(self, name: str) -> str:
        """A client key of Halley's own form, which any provider's key may have as well."""
        body = "".join(self._dice.choices(_BASE62, k=32))
        number, check = zlib.crc32(body.encode()), ""
        for _ in range(6):
            number, digit = divmod(number, 62)
            check = _BASE62[digit] + check
        return self._made(name, f"sk-{body}{check}")

    def _made(self, name: str, secret: str) -> str:
        self.watch(name, secret)
        return secret

    def found(self, data: bytes, but: Collection[str] = ()) -> set[str]:
        """The names of the secrets that are in it."""
        # Form by form: one pattern of them all takes eight times as long.
        return {name for form, name in self._forms.items() if form in data} - set(but)

    def check(self, where: str, data: bytes | str, but: Collection[str] = ()) -> None:
        """Raises AssertionError that names the place and the secret, and shows neither."""
        data = data if isinstance(data, bytes) else data.encode()
        found = self.found(data, but)
        assert not found, f"{where} ({len(data)} bytes) holds: {', '.join(sorted(found))}"

    def check_files(self, place: Path, exempt: Collection[str] = ()) -> int:
        """Every file below `place` but those of the exempt names; how many bytes were read."""
        read = 0
        for path in _files(place):
            if path.name not in exempt:
                try:
                    data = path.read_bytes()
                except FileNotFoundError:
                    continue  # it was there a moment ago: a log of the database, a journal that was folded
                self.check(str(path.relative_to(place)), data)
                self.check("the name of a file", str(path.relative_to(place)))
                read += len(data)
        return read

    def check_processes(self, pids: Collection[int]) -> None:
        """What anybody on the machine can see of a process."""
        for pid in pids:
            self.check(f"the command line of process {pid}", Path(f"/proc/{pid}/cmdline").read_bytes())


def _files(place: Path) -> Iterator[Path]:
    for directory, _, names in os.walk(place):
        for name in names:
            path = Path(directory) / name
            if path.is_file() and not path.is_symlink():
                yield path


def spellings(data: bytes) -> Iterator[bytes]:
    """Every form in which it is looked for, whole."""
    yield data
    yield quote_from_bytes(data).encode()
    yield quote_from_bytes(data, safe="").encode()
    yield quote_from_bytes(quote_from_bytes(data, safe="").encode(), safe="").encode()
    yield data.hex().encode()
    yield data.hex().upper().encode()
    yield repr(data)[2:-1].encode()
    try:
        text = data.decode()
    except UnicodeDecodeError:
        pass
    else:
        yield json.dumps(text)[1:-1].encode()
        yield json.dumps(text, ensure_ascii=False)[1:-1].encode()
    for shift in range(3):
        # Wherever in a longer text it begins, in one of these three ways it is written; what depends on the neighbours is cut off.
        encoded = base64.b64encode(bytes(shift) + data)[(0, 2, 3)[shift] :].rstrip(b"=")[:-1]
        yield encoded
        yield encoded.replace(b"+", b"-").replace(b"/", b"_")
