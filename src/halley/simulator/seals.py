"""The simulator's own signatures: thinking, encrypted reasoning and thought signatures that only it can have written.

A seal that comes back is checked, so that a test sees whether a gateway kept it whole and at its place. They are no secrets.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

_KEY = b"the seal of the simulator"
_NONCE = 12

ANTHROPIC_THINKING = "anthropic thinking"
ANTHROPIC_REDACTED = "anthropic redacted thinking"
OPENAI_REASONING = "openai reasoning"
GEMINI_TEXT = "gemini text"
GEMINI_CALL = "gemini call"

URL_SAFE = str.maketrans("-_", "+/")
"""Google's libraries give bytes back in the other alphabet of Base64."""

SKIPPED = frozenset(("skip_thought_signature_validator", "context_engineering_is_the_way_to_go"))
"""What Google takes in place of a signature for calls that another model made (Gemini API, "Thought signatures", read 2026-11)."""


def seal(kind: str, content: str) -> str:
    """Holds for this content only."""
    return base64.b64encode(hmac.digest(_KEY, f"{kind}\0{content}".encode(), hashlib.sha256)).decode()


def holds(kind: str, content: str, signature: str) -> bool:
    return hmac.compare_digest(seal(kind, content).encode(), signature.encode())


def wrap(kind: str, nonce: str) -> str:
    """An opaque value that carries nothing but its own proof."""
    own = hashlib.sha256(nonce.encode()).digest()[:_NONCE]
    return base64.b64encode(own + hmac.digest(_KEY, kind.encode() + own, hashlib.sha256)).decode()


def wrapped(kind: str, value: str) -> bool:
    try:
        raw = base64.b64decode(value, validate=True)
    except ValueError:
        return False
    own, proof = raw[:_NONCE], raw[_NONCE:]
    return hmac.compare_digest(hmac.digest(_KEY, kind.encode() + own, hashlib.sha256), proof)
