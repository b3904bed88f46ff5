"""Idempotency-Keys: a request that names one claims it before it takes its hold, and a second one of the same name spends nothing.

What the key belongs to is asked of control, which has one answer for every relay. A whole answer is kept, sealed, and given again as it
was; of a stream only its ending is kept. What ended without an answer and without a charge frees its key. Nothing of this is in the way
of a request that names no key.
"""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING

import msgspec

from halley.errors import Condition, Refused
from halley.money import show
from halley.policy.settlement import WHOLE_ENDINGS, Ending
from halley.secret import SecretBytes
from halley.serve import faults, keeping
from halley.serve.faults import shield
from halley.serve.lectern import LargeRun
from halley.serve.relay import Run
from halley.serve.stages import ADMISSION, RECALLING
from halley.store.journal import Sealed
from halley.store.messages import DONE, HELD, OTHER, Claim, ClaimGone, ClaimWanted

if TYPE_CHECKING:
    from halley.chat.usage import Usage
    from halley.net.server import Request
    from halley.serve.answers import Answer
    from halley.serve.gateway import Gateway
    from halley.serve.routes import Route
    from halley.store.messages import Answers

HEADER = b"idempotency-key"
LONGEST_KEY = 255
# Bytes of an answer that is kept; of a longer one only the ending is.
LARGEST_ANSWER = 4 << 20
_WRONG_KEY = re.compile(rb"[^\x20-\x7e]")

_read = msgspec.msgpack.Decoder(tuple[int, bytes, bytes]).decode


class ClaimedRun(Run):
    """A request with an Idempotency-Key. `claim` is its digest while the key is, or may be, claimed for this request."""

    __slots__ = ("claim",)

    def __init__(self, gateway: Gateway, request: Request, route: Route) -> None:
        super().__init__(gateway, request, route)
        self.claim: bytes | None = None

    def reserve(self) -> None:
        """Admitted as far as it costs nothing: the key first, then the hold."""
        key = self.request.fields[HEADER]
        if not 0 < len(key) <= LONGEST_KEY or _WRONG_KEY.search(key):
            message = f"An Idempotency-Key is 1 to {LONGEST_KEY} printable ASCII characters, such as a UUID."
            self.refused(Refused(Condition.INVALID, message, param="Idempotency-Key"))
            return
        own = self.request.body if self.recalled is None else self.recalled.own
        digest = _digest(self.gateway, b"key", self.route.text.encode(), key)
        body = _digest(self.gateway, b"body", self.request.path, own)
        self.claim = digest
        self.stage = RECALLING
        account, id = self.account.id, self.id
        self.gateway.questions.ask(self, lambda question: ClaimWanted(question, account, digest, body, id))

    @shield
    def told(self, found: Answers) -> None:
        claim = found.claim
        if claim is None:
            super().told(found)
        elif claim.standing == HELD:
            self.stage = ADMISSION
            super().reserve()
        else:
            digest, self.claim = self.claim, None
            assert digest is not None
            if claim.standing == DONE and claim.sealed is not None:
                self.dismiss(self._again_from(claim, digest, claim.sealed))
            else:
                self._in_the_way(claim)

    def _again_from(self, claim: Claim, digest: bytes, sealed: bytes) -> Answer:
        status, fields, body = _read(keeping.vault(self.gateway).unwrap(_name(self.account.id, digest), sealed).reveal())
        fields += faults.identity(self.route.dialect, self.sent_id) + _original(claim)
        return status, fields + b"idempotent-replayed: true\r\n", body

    def _in_the_way(self, claim: Claim) -> None:
        """409: the key is somebody else's, or there is nothing to be given again."""
        wait = None
        if claim.standing == OTHER:
            message = "This Idempotency-Key was used with another body; use a new key for a new request."
        elif claim.standing == DONE:
            message = (
                f"The request with this Idempotency-Key is over: {claim.request} ended as {claim.ending} and was charged "
                f"{show(claim.charge)} USD. It was a stream, too long to be kept, or broken off; use a new key to ask again."
            )
        else:
            message = "The first request with this Idempotency-Key still runs, or its outcome is not known yet; ask again in a moment."
            wait = 1.0
        refusal = Refused(Condition.CONFLICT, message, retry_after_s=wait)
        status, fields, body = faults.answer(refusal, self.route.dialect.write_error, self.id)
        self.gateway.count_refusal(status)
        self.dismiss((status, fields + _original(claim), body))

    def dismiss(self, answer: Answer | None = None) -> None:
        digest, self.claim = self.claim, None
        if digest is not None:
            self.gateway.link.send(ClaimGone(self.account.id, digest, self.id))
        super().dismiss(answer)

    def conclude(self, ending: Ending, status: int, final: bytes = b"", *, reported: Usage | None = None, output_bytes: int = 0) -> None:
        answer, digest = self.answer, self.claim
        if answer is not None and digest is not None and ending in WHOLE_ENDINGS and len(answer[2]) <= LARGEST_ANSWER:
            fields = answer[1].replace(faults.identity(self.route.dialect, self.sent_id), b"")
            secret = SecretBytes(msgspec.msgpack.encode((answer[0], fields, answer[2])))
            sealed = keeping.vault(self.gateway).wrap(_name(self.account.id, digest), secret)
            self.gateway.journal.note(Sealed(self.id, self.account.id, digest, sealed))
        super().conclude(ending, status, final, reported=reported, output_bytes=output_bytes)


class LargeClaimedRun(ClaimedRun, LargeRun):
    """One with a large body."""

    __slots__ = ()


def _digest(gateway: Gateway, *parts: bytes) -> bytes:
    """Under the store's own secret: a digest on a disk is no proof of what somebody asked."""
    snapshot = gateway.tables.snapshot
    assert snapshot is not None
    return hmac.digest(snapshot.pepper.reveal(), b"idempotency\0" + b"\0".join(parts), "sha256")


def _name(account: str, digest: bytes) -> str:
    """What an answer is sealed for; no kept answer's name looks like it, because no account's has a NUL."""
    return f"claim\0{account}\0{digest.hex()}"


def _original(claim: Claim) -> bytes:
    return b"original-request: %b\r\n" % claim.request.encode()
