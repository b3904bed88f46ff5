"""Gemini's generateContent, the answer: a response, the chunks of a stream, errors.

Pure. Source: Gemini API reference (read 2026-11). A call comes whole in one part and carries the signature of the thinking before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from halley.simulator import logprobs
from halley.simulator.gemini_ask import call_content
from halley.simulator.heard import Heard
from halley.simulator.plan import Call, Choice, End, Frame, Part, Reply, Text, Thought, Usage, cost, reported
from halley.simulator.schema import Json
from halley.simulator.script import Script
from halley.simulator.seals import GEMINI_CALL, GEMINI_TEXT, seal, wrap

_STATES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_REASONS: dict[End, str] = {"length": "MAX_TOKENS", "filter": "SAFETY", "refusal": "SAFETY"}


def document(reply: Reply, heard: Heard, script: Script) -> dict[str, Json]:
    """The body of an answer that is not streamed."""
    candidates: list[Json] = []
    for index, choice in enumerate(reply.choices):
        parts: list[Json] = []
        signed = _signs(choice)
        for part in choice.parts:
            if isinstance(part, Call) and not part.whole:
                continue
            for said in _parts(reply, heard, part, "".join(part.pieces), signed):
                parts.append(said)
            signed = signed and not isinstance(part, Call)
        content = _signed_text(reply, choice, parts)
        said = [piece for part in choice.parts if isinstance(part, Text) for piece in part.pieces]
        candidates.append(_candidate(index, choice, content, script.finish) | _grounding(choice) | _logprobs(heard, said))
    return _response(reply, candidates, script, reported(reply.usage, script) if script.usage != "none" else None)


def frames(reply: Reply, heard: Heard, script: Script) -> Iterator[Frame]:
    """The chunks of a stream: a candidate after the other, the finish reason in its last chunk."""
    sent = thought = 0
    started = False

    def chunk(candidates: list[Json], tokens: int, *, last: bool = False) -> Frame:
        nonlocal started
        now = reported(reply.usage, script) if last else Usage(reply.usage.prompt, sent, thought, reply.usage.cached)
        told = {"none": False, "early": not started, "late": last}.get(script.usage, True)
        if script.usage == "early":
            now = reply.usage
        started = True
        return Frame(msgspec.json.encode(_response(reply, candidates, script, now if told else None)), tokens)

    if script.empty_choices or any(choice.end == "blocked" for choice in reply.choices):
        yield chunk([], 0, last=True)
        return
    for index, choice in enumerate(reply.choices):
        owed = 0
        signed = _signs(choice)
        for part in choice.parts:
            for piece in part.pieces if not isinstance(part, Call) else ("".join(part.pieces),):
                tokens = cost(part) if isinstance(part, Call) else 1
                sent += tokens
                thought += isinstance(part, Thought)
                said = list[Json](_parts(reply, heard, part, piece, signed)) if not isinstance(part, Call) or part.whole else []
                if said:
                    chances = _logprobs(heard, (piece,)) if isinstance(part, Text) else {}
                    yield chunk([_candidate(index, choice, said, ended=False) | chances], tokens + owed)
                owed = 0 if said else owed + tokens
            signed = signed and not isinstance(part, Call)
        if script.finish:
            content = _signed_text(reply, choice, [{"text": ""}] if not choice.calls else [])
            last = _candidate(index, choice, content, ended=True) | _grounding(choice)
            yield chunk([last], owed, last=index == len(reply.choices) - 1)


def failure(status: int, message: str, code: str | None = None, param: str | None = None) -> bytes:
    """The body of an error, in Google's shape: the field stands in the details."""
    state = _STATES.get(status, "INVALID_ARGUMENT" if status < 500 else "INTERNAL")
    error: dict[str, Json] = {"code": status, "message": message, "status": state}
    if param:
        violation: Json = {"field": param, "description": message}
        error["message"] = f"Invalid value at '{param}': {message}"
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}]
    return msgspec.json.encode({"error": error})


def failed(_sent: int) -> Frame:
    """The error that a stream breaks off with."""
    return Frame(failure(503, "The model failed while it was answering."))


def _response(reply: Reply, candidates: list[Json], script: Script, usage: Usage | None) -> dict[str, Json]:
    body: dict[str, Json] = {"candidates": candidates}
    if any(choice.end == "blocked" for choice in reply.choices):
        body = {"promptFeedback": {"blockReason": "SAFETY", "safetyRatings": []}}
    if usage is not None:
        body["usageMetadata"] = _usage(usage)
    return body | {"modelVersion": reply.model, "responseId": reply.id}


def _usage(usage: Usage) -> Json:
    # Google has no count of what it writes to a cache: such tokens are plain ones of the prompt.
    said = usage.completion - usage.reasoning
    counts: dict[str, Json] = {
        "promptTokenCount": usage.prompt,
        "candidatesTokenCount": said,
        "totalTokenCount": usage.prompt + usage.completion,
        "promptTokensDetails": _modalities(usage.prompt, usage.audio_in),
    }
    if usage.reasoning:
        counts["thoughtsTokenCount"] = usage.reasoning
    if usage.cached:
        counts["cachedContentTokenCount"] = usage.cached
    if usage.audio_out:
        counts["candidatesTokensDetails"] = _modalities(said, usage.audio_out)
    return counts


def _modalities(count: int, audio: int) -> Json:
    text: Json = {"modality": "TEXT", "tokenCount": count - audio}
    return [text, {"modality": "AUDIO", "tokenCount": audio}] if audio else [text]


def _candidate(index: int, choice: Choice, parts: list[Json], ended: bool) -> dict[str, Json]:
    candidate: dict[str, Json] = {"content": {"role": "model", "parts": parts} if parts else {"role": "model"}, "index": index}
    if ended:
        broken = any(not call.whole for call in choice.calls) and choice.end == "tool"
        candidate["finishReason"] = "MALFORMED_FUNCTION_CALL" if broken else _REASONS.get(choice.end, "STOP")
    return candidate


def _signs(choice: Choice) -> bool:
    return any(isinstance(part, Thought) for part in choice.parts)


def _signed_text(reply: Reply, choice: Choice, parts: list[Json]) -> list[Json]:
    """Without a call it is the last part of the text that carries the signature."""
    if choice.calls or not _signs(choice) or not parts or not isinstance(last := parts[-1], dict):
        return parts
    return [*parts[:-1], last | {"thoughtSignature": wrap(GEMINI_TEXT, reply.id)}]


def _parts(reply: Reply, heard: Heard, part: Part, text: str, signed: bool) -> Iterator[dict[str, Json]]:
    match part:
        case Thought():
            if heard.wishes.shows_thoughts and text:
                yield {"text": text, "thought": True}
        case Text():
            yield {"text": text}
        case Call():
            arguments: Json = msgspec.json.decode(text or "{}")
            said: dict[str, Json] = {"functionCall": {"name": part.name, "args": arguments, "id": part.id}}
            yield said | ({"thoughtSignature": seal(GEMINI_CALL, call_content(part.name, arguments))} if signed else {})


def _logprobs(heard: Heard, pieces: Sequence[str]) -> dict[str, Json]:
    top = heard.wishes.logprobs
    return {} if top is None else {"avgLogprobs": logprobs.CHANCE, "logprobsResult": logprobs.google(pieces, top)}


def _grounding(choice: Choice) -> dict[str, Json]:
    cited = [(part, citation) for part in choice.parts if isinstance(part, Text) for citation in part.citations]
    if not cited:
        return {}
    chunks: list[Json] = [{"web": {"uri": citation.url, "title": citation.title}} for _, citation in cited]
    supports: list[Json] = []
    for index, (part, citation) in enumerate(cited):
        text = "".join(part.pieces)[citation.start : citation.end]
        # Google counts bytes of UTF-8, and leaves out a start of zero.
        segment: dict[str, Json] = {"endIndex": citation.start + len(text.encode()), "text": text}
        supports.append({"segment": segment, "groundingChunkIndices": [index]})
    return {"groundingMetadata": {"webSearchQueries": ["a query"], "groundingChunks": chunks, "groundingSupports": supports}}
