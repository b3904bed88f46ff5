"""What a contract is: one surface, what is sent to it in each case, and what the evidence of each case must pass. Data without I/O."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from typing import Literal
from urllib.parse import quote

import msgspec

from halley.contract.checks import REFUSES, Check

Credential = Literal["given", "none", "invalid"]
Kind = Literal["text", "embeddings", "image", "speech", "transcription", "video"]
Carrier = Literal["bearer", "x-api-key", "x-goog-api-key", "none"]
Root = Literal["v1", "v1beta", "host"]
INVALID_KEY = "sk-invalid-token-smoke-test"
VERSION = "2023-06-01"  # of Anthropic's API, which every request to it must name
Fields = Mapping[str, object]
Body = tuple[str, bytes]
"""Media type and bytes."""


class Case(msgspec.Struct, frozen=True):
    """`name` tells attempts apart; `test_case` is the word that the row uses. A check is asked only if every check before it held."""

    name: str
    test_case: Literal["happy_path", "error_path"]
    credential: Credential
    checks: tuple[Check, ...]


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """`required` are the fields of a body, `optional` those that `--bisect` may leave out; `after` must have passed before."""

    name: str
    about: str
    """What a pass says, in a few words."""
    path: str
    """Below the root; `{model}` is replaced."""
    happy: Case
    errors: tuple[Case, ...] = ()
    method: Literal["GET", "POST"] = "POST"
    root: Root = "v1"
    carrier: Carrier = "bearer"
    kind: Kind | None = None
    required: Callable[[str], Fields] | None = None
    optional: Fields = {}
    encode: Callable[[Fields], Body] | None = None
    after: str = ""
    task: bool = False
    """Submit, ask until it is done, fetch."""
    paid: bool = False
    """Costs more than a few tokens: runs with a model that is free or was named for it."""
    load: bool = False
    """Runs with `--allow-load` only."""
    model_field: str = "model"
    """Where the reply says which model answered; empty if it never does."""
    cap: int = 1 << 20

    @property
    def stream(self) -> bool:
        return self.name.endswith("-stream")

    def sent(self, model: str, extra: Fields) -> Fields | None:
        """The fields of the body, required ones first."""
        return None if self.required is None else {**self.required(model), **self.optional, **extra}

    def body(self, fields: Fields | None) -> Body | None:
        return None if fields is None else (self.encode or as_json)(fields)

    def place(self, model: str) -> str:
        return self.path.replace("{model}", quote(model, safe=""))


def as_json(fields: Fields) -> Body:
    return "application/json", msgspec.json.encode(dict(fields))


def as_form(fields: Fields) -> Body:
    """Multipart; a value of bytes is a file."""
    boundary = f"halley-{os.urandom(12).hex()}"
    parts: list[bytes] = []
    for name, value in fields.items():
        head = f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"'
        if isinstance(value, bytes):
            parts.append(f'{head}; filename="tone.wav"\r\ncontent-type: audio/wav\r\n\r\n'.encode() + value)
        else:
            parts.append(f"{head}\r\n\r\n{value}".encode())
    return f"multipart/form-data; boundary={boundary}", b"\r\n".join([*parts, f"--{boundary}--\r\n".encode()])


def tone() -> bytes:
    """Half a second of a quiet square wave as WAV, 8 kHz, 16 bit, one channel."""
    samples = b"".join(struct.pack("<h", 800 if at // 10 % 2 else -800) for at in range(4000))
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", 36 + len(samples), b"WAVE") + form + struct.pack("<4sI", b"data", len(samples)) + samples


def happy(*checks: Check) -> Case:
    return Case("happy path", "happy_path", "given", checks)


NO_KEY = Case("no credential", "error_path", "none", REFUSES)
BAD_KEY = Case("invalid credential", "error_path", "invalid", REFUSES)
