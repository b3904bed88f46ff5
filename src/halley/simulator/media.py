"""Media in their smallest form: a picture of one pixel, silence, what a sound is, a video that is done at the third look.

Pure beside the jobs that it remembers. OpenAI's shapes only; bodies are JSON or, where OpenAI takes a form, multipart.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections import OrderedDict
from typing import NamedTuple

from halley.simulator.plan import CREATED
from halley.simulator.reading import BadBody, Node
from halley.simulator.schema import Json
from halley.simulator.sheets import Sheet

MOST = 4096
"""Jobs remembered; the oldest goes first."""
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==")
CLIP = struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"isom", 512, b"isom", b"mp42") + struct.pack(">I4s", 8, b"mdat")
_AUDIO = {"mp3": "audio/mpeg", "opus": "audio/ogg", "aac": "audio/aac", "flac": "audio/flac", "wav": "audio/wav", "pcm": "audio/pcm"}
_STAGES = ("queued", "in_progress", "completed")


class Sound(NamedTuple):
    """An answer that is bytes."""

    model: str
    media_type: str
    data: bytes


def images(body: bytes) -> Sheet:
    """Raises BadBody."""
    top = Node.of(body)
    model, _ = top.need("model").text(), top.need("prompt").text()
    many, form = top.find("n"), top.find("response_format")
    count = many.whole(1, 10) if many is not None else 1
    linked = form is not None and form.text("url", "b64_json") == "url"
    packed = base64.b64encode(PIXEL).decode()
    entry: dict[str, Json] = {"url": f"data:image/png;base64,{packed}"} if linked else {"b64_json": packed}

    def document(_told: int) -> dict[str, Json]:
        return {"created": CREATED, "data": [dict(entry) for _ in range(count)]}

    return Sheet(model, 0, document)


def speech(body: bytes) -> Sound:
    """Raises BadBody."""
    top = Node.of(body)
    model, _, _ = top.need("model").text(), top.need("input").text(), top.need("voice").text()
    form = top.find("response_format")
    kind = form.text(*_AUDIO) if form is not None else "mp3"
    return Sound(model, _AUDIO[kind], b"\xff\xfb\x90\x00" + bytes(413) if kind == "mp3" else bytes(16000))


def transcription(body: bytes, media_type: str) -> Sheet:
    """Raises BadBody."""
    form = _form(body, media_type)
    model, sound = _text(form, "model"), form.get("file")
    if sound is None:
        raise BadBody(("file",), "`file` is required.", "missing_required_parameter")
    said = f"[audio {len(sound)} bytes sha256:{hashlib.sha256(sound).hexdigest()[:16]}]"

    def document(_told: int) -> dict[str, Json]:
        return {"text": said}

    return Sheet(model, 0, document)


class Job(NamedTuple):
    id: str
    model: str
    prompt: str
    asked: int = 0
    """How often somebody has looked: each look is a step."""

    def document(self, failed: bool = False) -> dict[str, Json]:
        at = min(self.asked, len(_STAGES) - 1)
        stage = "failed" if failed and at else _STAGES[at]
        return {
            "id": self.id, "object": "video", "model": self.model, "status": stage, "progress": at * 50, "created_at": CREATED,
            "completed_at": CREATED + 60 if stage == "completed" else None, "prompt": self.prompt, "seconds": "4", "size": "720x1280",
            "error": {"code": "server_error", "message": "The model failed."} if stage == "failed" else None,
        }  # fmt: skip


class Jobs:
    """The videos that were asked for, by id."""

    __slots__ = ("_jobs", "_made")

    def __init__(self) -> None:
        self._made = 0
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def submit(self, body: bytes, media_type: str) -> Sheet:
        """A job begins when its document is asked for. Raises BadBody."""
        if media_type.startswith("multipart/"):
            form = _form(body, media_type)
            model, prompt = _text(form, "model"), _text(form, "prompt")
        else:
            top = Node.of(body)
            model, prompt = top.need("model").text(), top.need("prompt").text()

        def document(_told: int) -> dict[str, Json]:
            self._made += 1
            job = Job(f"video_{self._made}", model, prompt)
            self._jobs[job.id] = job
            while len(self._jobs) > MOST:
                self._jobs.popitem(last=False)
            return job.document()

        return Sheet(model, 0, document)

    def find(self, name: str) -> Job | None:
        return self._jobs.get(name)

    def look(self, job: Job) -> Job:
        """The job one step on."""
        self._jobs[job.id] = job._replace(asked=job.asked + 1)
        return self._jobs[job.id]

    def drop(self, name: str) -> None:
        self._jobs.pop(name, None)


def _text(form: dict[str, bytes], name: str) -> str:
    if name not in form:
        raise BadBody((name,), f"`{name}` is required.", "missing_required_parameter")
    return form[name].decode("utf-8", "replace")


def _form(body: bytes, media_type: str) -> dict[str, bytes]:
    """Fields of a multipart form by name; of a repeated one the last. Raises BadBody."""
    kind, _, rest = media_type.partition(";")
    boundary = next((part.partition("=")[2].strip().strip('"') for part in rest.split(";") if part.strip().startswith("boundary=")), "")
    if kind.strip().lower() != "multipart/form-data" or not boundary:
        raise BadBody((), "The body must be multipart/form-data with a boundary.")
    found: dict[str, bytes] = {}
    for part in (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1"))[1:]:
        head, blank, content = part.partition(b"\r\n\r\n")
        _, named, name = head.partition(b'name="')
        if blank and named:
            found[name.partition(b'"')[0].decode("utf-8", "replace")] = content
    return found
