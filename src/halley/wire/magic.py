"""What bytes are by their first bytes: PNG, JPEG, GIF, WebP and PDF. It trusts no name and no header, and it decodes nothing.

Signatures: PNG (RFC 2083, 3.1), JPEG (ISO 10918-1, SOI and a marker), GIF (87a, 89a), WebP (RFC 9649, 2.4), PDF (ISO 32000, 7.5.2).
"""

from __future__ import annotations

_PREFIXES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
)
_SOUNDS = ((b"ID3", "audio/mpeg"), (b"fLaC", "audio/flac"), (b"OggS", "audio/ogg"))
KNOWN = frozenset({kind for _, kind in _PREFIXES} | {"image/webp"})


def sniff(data: bytes) -> str | None:
    """The media type of content that begins so, one of `KNOWN`; None for everything else."""
    for prefix, kind in _PREFIXES:
        if data.startswith(prefix):
            return kind
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def sniff_sound(data: bytes) -> str | None:
    """The media type of sound in a container or with frames of its own; None for bare samples, which begin with anything."""
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "audio/wav"
    if data[4:8] == b"ftyp":
        return "audio/mp4"
    for prefix, kind in _SOUNDS:
        if data.startswith(prefix):
            return kind
    if data[:1] == b"\xff" and len(data) > 1:
        second = data[1]
        # A frame of MPEG begins with eleven bits and its layer, which is 3; one of ADTS with twelve and layer 0.
        if second & 0xE6 == 0xE2:
            return "audio/mpeg"
        if second & 0xF6 == 0xF0:
            return "audio/aac"
    return None
