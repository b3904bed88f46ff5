"""An upstream's words without the credential that it was asked with, which some repeat in their errors.

Answers pass as they are but for the plain text of the credential. What is an error (a body, a frame of a stream, the fields around them) is
searched for every form of it; that costs a quarter of a microsecond per byte, which no answer pays.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from halley.redaction import Redactor
from halley.secret import Secret
from halley.wire import sse

if TYPE_CHECKING:
    from halley.net.client import Call

# An error that is longer is no message for a person; it is not passed on.
LONGEST = 65536

_ERROR = re.compile(rb'"error"\s*:\s*["{\[]')
_MARK = "***"


class Echo:
    """The filter of one provider."""

    __slots__ = ("_plain", "_redactor")

    def __init__(self, secret: Secret) -> None:
        self._plain = secret.reveal().encode("latin-1")
        self._redactor = Redactor(secret)

    def cut(self, words: bytes) -> bytes:
        """Without the credential as it is."""
        plain = self._plain
        return words.replace(plain, b"***") if plain and plain in words else words

    def clean(self, words: bytes) -> bytes:
        """Without the credential in any form: encoded, cut short, broken up."""
        return self._redactor.known(self.cut(words).decode("latin-1"), _MARK).encode("latin-1") if self._plain else words

    def fields(self, call: Call) -> list[tuple[bytes, bytes]]:
        """The fields of a reply's head, which are the reply's from now on."""
        clean = self.cut if call.status == 200 else self.clean
        call.fields = [(name, clean(value)) for name, value in call.fields]
        return call.fields

    def stream(self, frames: bytes) -> bytes:
        """Whole frames: those that are errors in any form, all others as it is."""
        if b'"error"' in frames and _ERROR.search(frames) is not None:
            frames = b"".join([self.clean(frame) if _ERROR.search(frame) else frame for frame in sse.frames(frames)])
        return self.cut(frames)
