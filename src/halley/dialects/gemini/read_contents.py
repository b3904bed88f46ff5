"""`contents` and `systemInstruction` of a request as turns and parts.

A part's kind is the one member that it has of `text`, `inlineData`, `fileData`, `functionCall`, `functionResponse`; any other part
(`executableCode`, `codeExecutionResult`, newer ones) is opaque. Calls and responses without ids, which is how most clients send them, get
one made of the call's place and name; a response finds its call by id, else by name and order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import cast
from urllib.parse import urlsplit

import msgspec

from halley.chat.model import (
    Audio,
    Document,
    Extra,
    FileId,
    Image,
    Inline,
    Opaque,
    Part,
    Role,
    Seal,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Url,
    Video,
)
from halley.chat.reading import invalid
from halley.dialects.gemini import seals
from halley.dialects.gemini.node import Node
from halley.dialects.gemini.seals import NAME
from halley.wire.jsonbody import BROKEN

# Google's parser of roles knows two; `function` is of its older SDKs, and an absent one is the user.
_ROLES: dict[str, Role] = {"user": "user", "model": "assistant", "function": "user", "": "user"}
_DETAILS = {"MEDIA_RESOLUTION_LOW": "low", "MEDIA_RESOLUTION_HIGH": "high"}
# The keys by which a whole response is one text: `output` and `error` by the API's reference, `result` by what SDKs write for plain values.
_PLAIN = ("output", "result", "error")
_UPLOADED = re.compile(r"files/|gs://|https://generativelanguage\.googleapis\.com/")
_VIDEO_SITES = {"youtube.com", "www.youtube.com", "m.youtube.com", "youtu.be"}
# What an address without a MIME type ends with; anything else is a document.
_ENDINGS = {
    ("png", "jpg", "jpeg", "webp", "gif", "heic", "heif"): "image/",
    ("mp3", "wav", "flac", "ogg", "aac", "m4a", "aiff"): "audio/",
    ("mp4", "mov", "webm", "mpeg", "mpg", "avi", "3gp"): "video/",
}
_NO_NAME = re.compile(r"[^A-Za-z0-9_-]")
_decode_response = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode


def call_id(number: int, name: str) -> str:
    """Fit for every dialect: at most 40 characters, none that some of them refuses."""
    return f"call_{number}_{_NO_NAME.sub('_', name)[:24]}"


class Reader:
    """One body's contents. `extras` collects what no part has a field for."""

    __slots__ = ("_calls", "_number", "_responses", "extras")

    def __init__(self) -> None:
        self._calls: list[tuple[str, str, bool]] = []  # id, name, whether the caller gave the id; those still unanswered
        self._number = 0
        self._responses: set[bytes] = set()
        self.extras: list[Extra] = []

    def turns(self, contents: list[Node]) -> list[Turn]:
        """The chats of google-genai give back a content for every chunk of a stream: a thought goes on in the next of the same role."""
        turns: list[Turn] = []
        for content in contents:
            turn = self._turn(content)
            last = turns[-1] if turns else None
            if last is not None and last.role == turn.role and turn.parts and last.parts and _goes_on(last.parts[-1], turn.parts[0]):
                turns[-1] = msgspec.structs.replace(last, parts=_joined((*last.parts, *turn.parts)))
            else:
                turns.append(turn)
        return turns

    def system(self, raw: msgspec.Raw, at: str) -> Turn:
        """A string, or a content whose role (Gemini CLI says `user`) means nothing."""
        if bytes(raw)[:1] == b'"':
            return Turn("system", (Text(_decode_text(raw), at=at),), at=at)
        content = Node(raw, at)
        content.take("role")
        return Turn("system", self._parts(content), at=at)

    def _turn(self, content: Node) -> Turn:
        at = content.path("role")
        role = content.text("role") or ""
        if role not in _ROLES:
            raise invalid(at, "must be user or model")
        return Turn(_ROLES[role], self._parts(content), at=content.at)

    def _parts(self, content: Node) -> tuple[Part, ...]:
        parts = _joined(self._part(part) for part in content.nodes("parts") if not self._repeats(part))
        self.left(content)
        return parts

    def left(self, node: Node) -> None:
        """What nobody took is one dialect's own."""
        self.extras += [Extra(NAME, path, value) for _, path, value in node.rest()]

    def _part(self, part: Node) -> Part:
        for kind, read in _KINDS.items():
            if kind in part:
                found = read(self, part)
                self.left(part)
                return found
        if "thoughtSignature" in part and "executableCode" not in part and "codeExecutionResult" not in part:
            return Text("", seal=_seal(part), at=part.at)
        what = next((name for name, _, _ in part.rest()), "part")
        return Opaque(NAME, what, msgspec.Raw(part.raw), part.at)

    def _text(self, part: Node) -> Part:
        text = part.text("text") or ""
        if part.flag("thought"):
            signed = part.text("thoughtSignature")
            seal, redacted = (None, False) if signed is None else seals.read_thought(signed)
            return Thinking(text, seal=seal, redacted=redacted, at=part.at)
        return Text(text, seal=_seal(part), at=part.at)

    def _inline(self, part: Node) -> Part:
        blob = cast("Node", part.node("inlineData"))
        mime, data, name = blob.text("mimeType"), blob.text("data"), blob.text("displayName")
        if not mime:
            raise invalid(blob.path("mimeType"), "is missing")
        if data is None:
            raise invalid(blob.path("data"), "is missing")
        self.left(blob)
        return self._medium(part, Inline(mime, standard(data)), mime, name)

    def _file(self, part: Node) -> Part:
        file = cast("Node", part.node("fileData"))
        uri, mime, name = file.text("fileUri"), file.text("mimeType"), file.text("displayName")
        if not uri:
            raise invalid(file.path("fileUri"), "is missing")
        self.left(file)
        if _UPLOADED.match(uri):
            return self._medium(part, FileId(uri, NAME, mime), mime or _mime(uri), name)
        if not uri.startswith(("http://", "https://")):
            raise invalid(file.path("fileUri"), "must be an http(s) address or a file that was uploaded")
        return self._medium(part, Url(uri, mime), mime or _mime(uri), name)

    def _medium(self, part: Node, source: Source, mime: str, name: str | None) -> Part:
        seal = _seal(part)
        made = medium(source, mime, name)
        if isinstance(made, Image):
            return msgspec.structs.replace(made, detail=_level(part), seal=seal, at=part.at)
        if isinstance(made, Video) and (clip := part.node("videoMetadata")) is not None:
            start, end, fps = _seconds(clip, "startOffset"), _seconds(clip, "endOffset"), clip.number("fps")
            made = msgspec.structs.replace(made, start_s=start, end_s=end, fps=fps)
            self.left(clip)
        return msgspec.structs.replace(made, at=part.at)

    def _call(self, part: Node) -> Part:
        call = cast("Node", part.node("functionCall"))
        own, name, arguments = call.text("id"), call.text("name"), call.take("args")
        if not name:
            raise invalid(call.path("name"), "is missing")
        self._number += 1
        made = own or call_id(self._number, name)
        self._calls.append((made, name, bool(own)))
        self.left(call)
        seal = _seal(part)
        return ToolCall(made, name, "{}" if arguments is None else bytes(arguments).decode(), seal=seal, at=part.at)

    def _response(self, part: Node) -> Part:
        found = cast("Node", part.node("functionResponse"))
        own, name, path = found.text("id"), found.text("name"), found.path("response")
        raw = found.take("response")
        if not name:
            raise invalid(found.path("name"), "is missing")
        text, failed, structured = _result(raw, path)
        parts: list[Text | Image | Audio | Video | Document | Opaque] = [] if text is None else [Text(text, at=path)]
        for inner in found.nodes("parts"):
            made = self._part(inner)
            if not isinstance(made, Image | Audio | Video | Document | Text | Opaque):
                raise invalid(inner.at, "must be inlineData or fileData")
            parts.append(made)
        self.left(found)
        return ToolResult(self._answered(own, name), tuple(parts), name, failed, structured, at=part.at)

    def _repeats(self, part: Node) -> bool:
        """Whether it is the very response that a call has had: Gemini CLI 0.61 says each twice when it resumes a session."""
        found = part.look("functionResponse")
        if found is None or Node(found, part.at).look("id") is None:
            return False
        known = len(self._responses)
        self._responses.add(bytes(found))
        return len(self._responses) == known

    def _answered(self, own: str | None, name: str) -> str:
        """The id of the call that a response answers."""
        calls = self._calls
        place = next((place for place, call in enumerate(calls) if own and call[0] == own), None)
        if place is None:
            # With an id of its own it can answer only a call that had none.
            place = next((place for place, call in enumerate(calls) if call[1] == name and not (own and call[2])), None)
        if place is not None:
            return calls.pop(place)[0]
        if own:
            return own
        self._number += 1
        return call_id(self._number, name)


def standard(data: str) -> str:
    """Base64 in the alphabet that every dialect knows. Google reads both, and its SDK for Python writes the other."""
    if "-" in data or "_" in data:
        data = data.translate(_URL_SAFE)
    return data if len(data) % 4 == 0 else data + "=" * (-len(data) % 4)


_URL_SAFE = str.maketrans("-_", "+/")


def _goes_on(part: Part, following: Part) -> bool:
    return isinstance(part, Thinking) and isinstance(following, Thinking) and part.seal is None


def _joined(parts: Iterable[Part]) -> tuple[Part, ...]:
    """A stream shows a thought in pieces, of which the last has its signature; who gathers a stream gives the pieces back."""
    out: list[Part] = []
    for part in parts:
        last = out[-1] if out else None
        if isinstance(part, Thinking) and isinstance(last, Thinking) and _goes_on(last, part):
            out[-1] = msgspec.structs.replace(last, text=last.text + part.text, seal=part.seal)
        else:
            out.append(part)
    return tuple(out)


_KINDS: dict[str, Callable[[Reader, Node], Part]] = {
    "functionCall": Reader._call,  # pyright: ignore[reportPrivateUsage]
    "functionResponse": Reader._response,  # pyright: ignore[reportPrivateUsage]
    "inlineData": Reader._inline,  # pyright: ignore[reportPrivateUsage]
    "fileData": Reader._file,  # pyright: ignore[reportPrivateUsage]
    "text": Reader._text,  # pyright: ignore[reportPrivateUsage]
}


def medium(source: Source, mime: str, name: str | None = None) -> Image | Audio | Video | Document:
    """The part that a medium of this type is."""
    match mime.partition("/")[0].lower():
        case "image":
            return Image(source)
        case "audio":
            return Audio(source)
        case "video":
            return Video(source)
        case _:
            return Document(source, name)


def _mime(uri: str) -> str:
    """Empty where the address does not tell, or is none."""
    try:
        address = urlsplit(uri)
    except ValueError:
        return ""
    if address.hostname in _VIDEO_SITES:
        return "video/"
    ending = address.path.rpartition(".")[2].lower()
    return next((kind for endings, kind in _ENDINGS.items() if ending in endings), "")


def _level(part: Node) -> str | None:
    """A media resolution that has a word in the vocabulary; any other stays in the part."""
    raw = part.look("mediaResolution")
    level = None if raw is None else Node(raw, part.path("mediaResolution")).look("level")
    detail = _DETAILS.get(bytes(level).decode().strip('"')) if level is not None else None
    if detail is not None:
        part.take("mediaResolution")
    return detail


def _seal(part: Node) -> Seal | None:
    text = part.text("thoughtSignature")
    return None if text is None else seals.read(text)


def _seconds(clip: Node, name: str) -> float | None:
    """A duration: `1.5s`."""
    path = clip.path(name)
    text = clip.text(name)
    if text is None:
        return None
    try:
        return float(text.removesuffix("s"))
    except ValueError:
        raise invalid(path, 'must be a duration such as "12.5s"') from None


def _result(raw: msgspec.Raw | None, path: str) -> tuple[str | None, bool, bool]:
    """Text, whether the tool failed, whether the text is an object of the caller's."""
    if raw is None:
        return None, False, False
    try:
        found = _decode_response(raw)
    except BROKEN:
        raise invalid(path, "must be an object") from None
    for key in _PLAIN:
        if key in found and len(found) == 1 and bytes(found[key])[:1] == b'"':
            return _decode_text(found[key]), key == "error", False
    return bytes(raw).decode(), "error" in found and len(found) == 1, True
