"""An upstream's words without the credential that it was asked with, which some repeat in their errors.

Answers pass as they are but for the plain text of the credential. What is an error (a body, a frame of a stream, the fields around them) is
searched for every form of it; that costs a quarter of a microsecond per byte, which no answer pays.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from halley.redaction import RUN, Redactor
from halley.secret import Secret
from halley.wire import sse

if TYPE_CHECKING:
    from halley.net.client import Call

# An error that is longer is no message for a person; it is not passed on.
LONGEST = 65536
LATE = 8192

# A member whose name ends in "error".
_ERROR = re.compile(rb'rror"\s*:\s*["{\[]').search
_MARK = "***"


class Echo:
    """The filter of one provider, for the pieces of its credential."""

    __slots__ = ("_begins", "_lasting", "_passing", "_plain", "_redactor")

    def __init__(self, *secrets: Secret) -> None:
        self._lasting = secrets
        self._passing: tuple[Secret, ...] = ()
        self._look_for()

    def guard(self, token: Secret) -> None:
        """What the provider is asked with for a while. The one before it may still be repeated by an answer that is under way."""
        if token not in self._passing:
            self._passing = (token, *self._passing[:1])
            self._look_for()

    def _look_for(self) -> None:
        secrets = [secret for secret in (*self._passing, *self._lasting) if secret]
        self._plain = tuple(secret.reveal().encode("latin-1") for secret in secrets)
        self._redactor = Redactor(*secrets)
        # The cheap look at the fields of an answer: how each form begins; without a credential, what is nowhere.
        begins = sorted({re.escape(form[:RUN]) for secret in secrets for form in self._redactor.spellings(secret)}) or ["(?!)"]
        self._begins = re.compile("|".join(begins).encode("utf-8")).search

    def cut(self, words: bytes) -> bytes:
        """Without the credential as it is."""
        for plain in self._plain:
            words = words.replace(plain, b"***")
        return words

    def clean(self, words: bytes) -> bytes:
        """Without the credential in any form: encoded, cut short, broken up."""
        return self._redactor.known(self.cut(words).decode("latin-1"), _MARK).encode("latin-1") if self._plain else words

    def fields(self, call: Call) -> list[tuple[bytes, bytes]]:
        """The fields of a reply's head, which are the reply's from now on."""
        fields = call.fields
        for _, value in fields:
            if len(value) >= RUN and (call.status != 200 or self._begins(value) is not None):
                fields = call.fields = [(name, self.clean(value)) for name, value in fields]
                break
        return fields

    def stream(self, frames: bytes) -> bytes:
        """Whole frames: those that are errors in any form, all others as it is. An error ends a stream, so it is among the last frames."""
        late = len(frames) - LATE if len(frames) > LATE else 0
        if frames.find(b'rror"', late) >= 0 and _ERROR(frames) is not None:
            frames = b"".join([self.clean(frame) if _ERROR(frame) is not None else frame for frame in sse.frames(frames)])
        return self.cut(frames)
