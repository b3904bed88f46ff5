"""Standard Webhooks 1.0.0 (standardwebhooks.com): what an event is signed with, and whether a signature is one. It sends and receives
nothing; time and secrets are arguments.

Signed is `id.timestamp.body`, with HMAC-SHA256; the header holds several signatures with blanks while a secret is being changed. A secret
is written `whsec_` and base64, of 24 to 64 bytes.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence

from halley.errors import HalleyError
from halley.secret import Secret, SecretBytes

ID, TIMESTAMP, SIGNATURE = b"webhook-id", b"webhook-timestamp", b"webhook-signature"
FIELDS = (ID, TIMESTAMP, SIGNATURE)
# How far the sender's clock may be from ours; older events are repeated by nobody but a thief.
TOLERANCE_S = 300
LEAST_SECRET, MOST_SECRET = 24, 64
_MOST_ID = 256
_MOST_SIGNATURES = 16
_PREFIX = "whsec_"


class BadSecret(HalleyError):
    """What was configured is no secret of Standard Webhooks."""


class Unsigned(HalleyError):
    """The event does not come from who it says; the message names the field at fault, and never what would have been right."""


def read_secret(text: Secret) -> SecretBytes:
    """The key that a written secret stands for; its prefix may be missing. Raises BadSecret, which repeats nothing of it."""
    try:
        key = base64.b64decode(text.reveal().strip().removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise BadSecret("A webhook secret is whsec_ and base64.") from None
    if not LEAST_SECRET <= len(key) <= MOST_SECRET:
        raise BadSecret(f"A webhook secret has {LEAST_SECRET} to {MOST_SECRET} bytes before base64; this one has {len(key)}.")
    return SecretBytes(key)


def sign(key: SecretBytes, event: str, at: int, body: bytes) -> str:
    """The signature of an event at a time, Unix seconds, as it stands in the header."""
    signed = b"%b.%d.%b" % (event.encode(), at, body)
    return "v1," + base64.b64encode(hmac.digest(key.reveal(), signed, "sha256")).decode()


def headers(keys: Sequence[SecretBytes], event: str, at: int, body: bytes) -> dict[str, str]:
    """The three fields of an event that goes out, signed under every key that is in force."""
    signatures = " ".join(sign(key, event, at, body) for key in keys)
    return {ID.decode(): event, TIMESTAMP.decode(): str(at), SIGNATURE.decode(): signatures}


def verify(keys: Sequence[SecretBytes], fields: Mapping[bytes, bytes], body: bytes, now: float) -> str:
    """The id of an event that came in, if one of the keys has signed it a moment ago. Raises Unsigned, also when there is no key."""
    event = _text(fields, ID)
    if not event or len(event) > _MOST_ID:
        raise Unsigned(f"webhook-id has to hold 1 to {_MOST_ID} characters.")
    written = _text(fields, TIMESTAMP)
    # Not `int` alone: it would read blanks, underscores, signs and the digits of every script.
    if not (written.isascii() and written.isdigit() and len(written) <= 12):
        raise Unsigned("webhook-timestamp has to be a number of Unix seconds.")
    at = int(written)
    if abs(now - at) > TOLERANCE_S:
        raise Unsigned(f"webhook-timestamp is more than {TOLERANCE_S} seconds from the clock here.")
    given = _text(fields, SIGNATURE).split(" ")[:_MOST_SIGNATURES]
    # Every pair is compared, whatever came out before: how long it takes says nothing.
    matches = [hmac.compare_digest(sign(key, event, at, body), each) for key in keys for each in given]
    if not any(matches):
        raise Unsigned("webhook-signature is not the signature of this event.")
    return event


def _text(fields: Mapping[bytes, bytes], name: bytes) -> str:
    """A field's value, empty when it is missing or holds anything but printable ASCII."""
    value = fields.get(name, b"").decode("latin-1")
    return value if value.isascii() and value.isprintable() else ""
