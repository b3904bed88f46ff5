"""Takes secrets out of a text: what looks like a key, and every secret that it was told of, in every form in which one travels.

A known secret is found by any twelve of its characters in a row, so that one which was cut short, or broken over lines and quotes by a
formatter, is found too. Nothing here writes anywhere or keeps a text.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_from_bytes

from halley.secret import Secret, SecretBytes

HIDDEN: Final = "[redacted]"
# Shorter ones would take ordinary words along.
SHORTEST: Final = 8
# So much of a longer one in a row is as good as all of it.
RUN: Final = 12

_NAMES = r"api[_-]?key|x-goog-api-key|access[_-]?token|refresh[_-]?token|id[_-]?token|client[_-]?secret|secret|password|passwd|pwd|token"
# What may be long has a limit or is consumed at once: a hostile text takes no longer than any other.
_SHAPES = re.compile(
    r"(?P<lead>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}"
    r"|(?P<cookie>\b(?:set-)?cookie[\"']?\s*[:=]\s*[\"']?)[^\r\n\"']{4,}"
    # A shell's `$(cat FILE)` is where a secret is, not the secret.
    r"|(?P<head>\b(?:x-api-key|x-goog-api-key|api-key|authorization|mj-api-secret)[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic)\s+)?+)"
    r"(?!\$\()[^\s\"',;]{4,}"
    r"|(?P<query>[?&](?:api_?key|key|token|access_token|signature|sig|code)=)[^&\s\"'#]+"
    rf"|(?P<named>\b(?:{_NAMES})[\"']?\s*[:=]\s*[\"']?)(?=[^\s\"',;&]{{0,120}}\d)(?!\$\()[^\s\"',;&]{{8,}}"
    r"|(?P<user>[a-z][a-z0-9+.-]{0,30}://)[^/\s\"'@]*@"
    r"|\b(?:sk|rk|pk|pat|xai|gsk|hf|r8|fw|pplx|nvapi|ghp|whsec)[-_][A-Za-z0-9_-]{8,}"
    r"|\bAIza[A-Za-z0-9_-]{20,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    re.IGNORECASE,
)
# What a formatter puts between two pieces of one value: blanks and line ends (also written as escapes), quotes, commas, brackets.
_JOINT = re.compile(r"\\[nrt]|[\s\"'\\,()+]|(?<=[\s(])b(?=[\"'])")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9]{0,15}(?:_[A-Z0-9]{1,16})*")
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_PIECE = 8
_STEP = RUN - _PIECE


class Redactor:
    """`guard` may be called at any time; `clean` takes about a microsecond per four characters once there is something to guard."""

    __slots__ = ("_exact", "_forms", "_pieces", "_seen")

    def __init__(self, *secrets: Secret | SecretBytes) -> None:
        self._seen: set[Secret | SecretBytes] = set()
        self._forms: set[str] = set()
        # Every fourth eight of a form's characters, and where they stand: any RUN of it holds one of them whole.
        self._pieces: dict[str, list[tuple[str, int]]] = {}
        self._exact: set[str] = set()
        self.guard(secrets)

    def guard(self, secrets: Iterable[Secret | SecretBytes]) -> None:
        """From now on these never appear: plain, URL-encoded, as JSON or HTML text, in hexadecimal, or inside a text in base64."""
        for secret in secrets:
            if secret in self._seen:
                continue
            self._seen.add(secret)
            for plain in _forms(secret.reveal()):
                form = _squeezed(plain)[0]
                if len(form) < SHORTEST <= len(plain):
                    self._exact.add(plain)
                elif len(form) >= SHORTEST and form not in self._forms:
                    self._forms.add(form)
                    for at in range(0, len(form) - _PIECE + 1, _STEP):
                        self._pieces.setdefault(form[at : at + _PIECE], []).append((form, at))

    @staticmethod
    def spellings(secret: Secret | SecretBytes) -> set[str]:
        """The forms in which a secret is looked for, none of them too short to be."""
        return {form for form in _forms(secret.reveal()) if len(form) >= SHORTEST}

    def clean(self, text: str) -> str:
        """Without what looks like a key, and without what is known to be one."""
        return _SHAPES.sub(_hide, self.known(text))

    def known(self, text: str, mark: str = HIDDEN) -> str:
        """Without what is known to be a secret alone. JSON stays JSON: no half of an escape is left behind."""
        if self._pieces:
            text = self._without_known(text, mark)
        for exact in self._exact:
            text = text.replace(exact, mark)
        return text

    def _without_known(self, text: str, mark: str) -> str:
        squeezed, places = _squeezed(text)
        kept: list[str] = []
        at = 0
        for start, end in self._found(squeezed):
            first, last = places[start], places[end - 1] + 1
            while first > at and text[first - 1] == "\\":
                first -= 1
            kept += (text[at:first], mark) if first > at or not kept else ()
            at = last
        return "".join(kept) + text[at:]

    def _found(self, squeezed: str) -> Iterator[tuple[int, int]]:
        """Stretches of known secrets, in order, none overlapping another."""
        pieces, at, over = self._pieces, 0, 0
        last = len(squeezed) - _PIECE
        while at <= last:
            stretch = _longest(squeezed, at, pieces.get(squeezed[at : at + _PIECE], ()), over)
            if stretch is None:
                at += 1
            else:
                yield stretch
                at = over = stretch[1]


def is_variable(name: str) -> bool:
    """Whether it can be shown as the name of a variable; a key that was written in its place has longer words, or small letters."""
    return _VARIABLE.fullmatch(name) is not None


def is_path(name: str) -> bool:
    """Whether it can be shown as that of a file: it leads somewhere, at least at its beginning; a key that was written in its place does
    not."""
    try:
        path = Path(name).expanduser()
        return "/" in name and (len(name) <= 32 or any(each.is_dir() for each in path.parents if each not in (Path("/"), Path())))
    except (OSError, RuntimeError, ValueError):
        return False


def _longest(text: str, at: int, candidates: Iterable[tuple[str, int]], over: int) -> tuple[int, int] | None:
    """The longest stretch around `at`, not before `over`, that is a run of one of the forms."""
    best: tuple[int, int] | None = None
    for form, place in candidates:
        left, right = 0, _PIECE
        while left < min(place, at - over) and text[at - left - 1] == form[place - left - 1]:
            left += 1
        while place + right < len(form) and at + right < len(text) and text[at + right] == form[place + right]:
            right += 1
        if left + right >= min(RUN, len(form)) and (best is None or left + right > best[1] - best[0]):
            best = at - left, at + right
    return best


def _squeezed(text: str) -> tuple[str, list[int]]:
    """The text without joints and in one case, and where each of its characters stands."""
    kept: list[str] = []
    places: list[int] = []
    at = 0
    for joint in _JOINT.finditer(text):
        kept.append(text[at : joint.start()])
        places.extend(range(at, joint.start()))
        at = joint.end()
    kept.append(text[at:])
    places.extend(range(at, len(text)))
    return "".join(kept).translate(_LOWER), places


def _hide(found: re.Match[str]) -> str:
    kept = found.lastgroup and found.group(found.lastgroup)
    return f"{kept or ''}{HIDDEN}{'@' if found.lastgroup == 'user' else ''}"


def _forms(plain: str | bytes) -> Iterator[str]:
    if isinstance(plain, str):
        data = plain.encode("utf-8", "surrogatepass")
        yield plain
        yield quote(plain, errors="replace")
        yield quote(quote(plain, safe="", errors="replace"), safe="")
        yield json.dumps(plain)[1:-1]
        yield json.dumps(plain, ensure_ascii=False)[1:-1]
        yield repr(plain)[1:-1]
        yield html.escape(plain)
    else:
        data = plain
        yield data.decode("latin-1")
    yield quote_from_bytes(data, safe="")
    for spelled in ("".join(f"%{byte:02x}" for byte in data), data.hex()):
        yield spelled
        yield spelled.upper()
    yield repr(data)[2:-1]
    for shift in range(3):
        # Inside a longer text (`user:secret`) base64 starts in one of three phases; characters that share bits with neighbours are cut off.
        encoded = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        inner = encoded[(0, 2, 3)[shift] : len(encoded) if (shift + len(data)) % 3 == 0 else -1]
        yield inner
        yield inner.replace("+", "-").replace("/", "_")
        yield quote(inner, safe="")
