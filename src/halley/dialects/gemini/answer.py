"""What both ways of answering share: the wire's records, usage, and how an answer ends.

One record is a whole answer and a frame of a stream alike: `{candidates[], promptFeedback?, usageMetadata, modelVersion, responseId}`.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from halley.chat.model import Finish, Reason
from halley.chat.strays import Strays, Watch
from halley.chat.untold import Ends
from halley.chat.usage import Usage, tier_named
from halley.dialects.gemini.left_out import LEFT_OUT
from halley.wire.jsonbody import BROKEN

Json = dict[str, object]
# Where the input of a tool with a language of its own stands, which here is a function of one text.
FREE_INPUT = "input"
# No context is as long; a larger figure is nonsense, which counts as no report.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
ABSENT = msgspec.Raw()


class Call(msgspec.Struct, gc=False):
    name: str
    args: msgspec.Raw = ABSENT
    id: str | None = None
    partialArgs: msgspec.Raw = ABSENT


class Blob(msgspec.Struct, gc=False):
    mimeType: str
    data: str


class File(msgspec.Struct, gc=False):
    fileUri: str
    mimeType: str | None = None


class WirePart(msgspec.Struct, gc=False):
    """A part of none of these kinds is opaque, and read again raw."""

    text: str | None = None
    thought: bool | None = None
    thoughtSignature: str | None = None
    functionCall: Call | None = None
    inlineData: Blob | None = None
    fileData: File | None = None
    executableCode: msgspec.Raw = ABSENT
    codeExecutionResult: msgspec.Raw = ABSENT


class Content(msgspec.Struct, gc=False):
    parts: list[WirePart] | None = None


class Candidate(msgspec.Struct, gc=False):
    content: Content | None = None
    finishReason: str | None = None
    finishMessage: str | None = None
    index: int | None = None
    groundingMetadata: msgspec.Raw = ABSENT
    citationMetadata: msgspec.Raw = ABSENT
    urlContextMetadata: msgspec.Raw = ABSENT
    safetyRatings: msgspec.Raw = ABSENT
    logprobsResult: msgspec.Raw = ABSENT
    avgLogprobs: msgspec.Raw = ABSENT


class Response(msgspec.Struct, gc=False):
    candidates: list[Candidate] | None = None
    usageMetadata: msgspec.Raw = ABSENT
    modelVersion: str | None = None
    responseId: str | None = None
    promptFeedback: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class Feedback(msgspec.Struct, gc=False):
    blockReason: str | None = None
    blockReasonMessage: str | None = None


class _Object(msgspec.Struct):
    """Any object: what is in it is passed over."""


class _RawContent(msgspec.Struct, frozen=True):
    parts: list[msgspec.Raw] = []


class _RawCandidate(msgspec.Struct, frozen=True):
    content: _RawContent = _RawContent()


class _RawResponse(msgspec.Struct):
    candidates: list[msgspec.Raw] = []


decode = msgspec.json.Decoder(Response).decode
ANSWER = Watch(Response, LEFT_OUT)
decode_feedback = msgspec.json.Decoder(Feedback).decode
_decode_object = msgspec.json.Decoder(_Object).decode
_decode_raw = msgspec.json.Decoder(_RawResponse).decode
_decode_raw_candidate = msgspec.json.Decoder(_RawCandidate).decode
# What a candidate says about itself and no other dialect has; it goes with the answer as it came.
KEPT = ("groundingMetadata", "citationMetadata", "urlContextMetadata", "safetyRatings", "avgLogprobs")


def given(raw: msgspec.Raw) -> bool:
    size = len(raw)
    return size > 4 or (size > 0 and bytes(raw) != b"null")


def is_object(text: str | bytes) -> bool:
    """Whether it is the JSON text of an object."""
    try:
        _decode_object(text)
    except BROKEN:
        return False
    return True


def raw_candidates(body: bytes) -> list[msgspec.Raw]:
    """The candidates as they came."""
    return _decode_raw(body).candidates


def raw_parts(candidate: msgspec.Raw) -> list[msgspec.Raw]:
    return _decode_raw_candidate(candidate).content.parts


# ---- usage ------------------------------------------------------------------------------------------------------------------------------


class _Modality(msgspec.Struct, gc=False):
    modality: str = ""
    tokenCount: Count = 0


class UsageMetadata(msgspec.Struct, gc=False):
    promptTokenCount: Count | None = None
    candidatesTokenCount: Count | None = None
    thoughtsTokenCount: Count | None = None
    toolUsePromptTokenCount: Count | None = None
    cachedContentTokenCount: Count | None = None
    promptTokensDetails: list[_Modality] | None = None
    candidatesTokensDetails: list[_Modality] | None = None
    serviceTier: str | None = None


USAGE_SAID = frozenset({"cache_read", "reasoning", "audio_in", "audio_out", "image_in", "image_out"})
SEARCHED = b'"webSearchQueries"'
NO_TOOLS: dict[str, int] = {}


class _Grounding(msgspec.Struct):
    webSearchQueries: list[str] | None = None


class _Grounded(msgspec.Struct):
    groundingMetadata: _Grounding | None = None


_decode_grounded = msgspec.json.Decoder(list[_Grounded]).decode
_decode_usage = msgspec.json.Decoder(UsageMetadata).decode
_USAGE = Watch(UsageMetadata, LEFT_OUT, "usageMetadata")


def read_usage(raw: bytes | msgspec.Raw, tools: dict[str, int] = NO_TOOLS) -> Usage | None:
    """None where there is none, or nonsense. `tools`: the `searches` that stand behind the answer."""
    if not raw:
        return None
    try:
        return usage_of(_decode_usage(raw), tools)
    except BROKEN:
        return None


def usage_watched(raw: msgspec.Raw, strays: Strays) -> Usage | None:
    """The same for who tells what of it is not known."""
    if not given(raw):
        return None
    try:
        return usage_of(_USAGE.read(raw, strays))
    except BROKEN:
        strays.tell("usageMetadata", "the provider's report makes no sense")
        return None


def searches(candidates: msgspec.Raw) -> dict[str, int]:
    """Google bills an answer that was grounded in a search, or each query of it, by the model: both are counted, and one is priced."""
    raw = bytes(candidates)
    if SEARCHED not in raw:
        return NO_TOOLS
    try:
        found = _decode_grounded(raw)
    except BROKEN:
        return NO_TOOLS
    queries = sum(len(each.groundingMetadata.webSearchQueries or ()) for each in found if each.groundingMetadata is not None)
    return {"grounded_answer": 1, "web_search": queries} if queries else NO_TOOLS


def usage_of(found: UsageMetadata | None, tools: dict[str, int] = NO_TOOLS) -> Usage | None:
    """Input is the prompt and what tools added to it, cached tokens included; output is the candidates and the thoughts."""
    if found is None or (found.promptTokenCount is None and found.candidatesTokenCount is None):
        return None
    thoughts = found.thoughtsTokenCount or 0
    prompt, output = found.promptTokensDetails, found.candidatesTokensDetails
    return Usage(
        input=(found.promptTokenCount or 0) + (found.toolUsePromptTokenCount or 0),
        output=(found.candidatesTokenCount or 0) + thoughts,
        cache_read=found.cachedContentTokenCount or 0,
        reasoning=thoughts,
        audio_in=_of("AUDIO", prompt),
        image_in=_of("IMAGE", prompt),
        audio_out=_of("AUDIO", output),
        image_out=_of("IMAGE", output),
        tools=tools,
        service_tier=tier_named(found.serviceTier),
    )


def _of(modality: str, details: list[_Modality] | None) -> int:
    return sum(each.tokenCount for each in details if each.modality == modality) if details else 0


def write_usage(usage: Usage) -> Json:
    made: Json = {"promptTokenCount": usage.input, "candidatesTokenCount": usage.output - usage.reasoning}
    if usage.cache_read:
        made["cachedContentTokenCount"] = usage.cache_read
    if usage.reasoning:
        made["thoughtsTokenCount"] = usage.reasoning
    made["totalTokenCount"] = usage.input + usage.output
    if usage.audio_in or usage.image_in:
        made["promptTokensDetails"] = _details(usage.input, usage.audio_in, usage.image_in)
    if usage.audio_out or usage.image_out:
        made["candidatesTokensDetails"] = _details(usage.output - usage.reasoning, usage.audio_out, usage.image_out)
    return made


def _details(total: int, audio: int, image: int) -> list[Json]:
    split = (("TEXT", total - audio - image), ("AUDIO", audio), ("IMAGE", image))
    return [{"modality": modality, "tokenCount": count} for modality, count in split if count > 0]


# ---- ends -------------------------------------------------------------------------------------------------------------------------------

_REASONS: dict[str, Reason] = {
    "STOP": "stop",
    "FINISH_REASON_UNSPECIFIED": "stop",
    "MAX_TOKENS": "length",
    "MALFORMED_FUNCTION_CALL": "bad_call",
    "UNEXPECTED_TOOL_CALL": "bad_call",
    "TOO_MANY_TOOL_CALLS": "bad_call",
}
_FILTERS = (
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "IMAGE_OTHER",
    "NO_IMAGE",
)
_WORDS: dict[Reason, str] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "length": "MAX_TOKENS",
    "context": "MAX_TOKENS",
    "tool": "STOP",
    "filter": "SAFETY",
    "refusal": "SAFETY",
    "pause": "STOP",
    "bad_call": "MALFORMED_FUNCTION_CALL",
}
_OWN = frozenset({*_REASONS, *_FILTERS})
ENDS = Ends(frozenset({"stop", "length", "tool", "filter", "bad_call"}), frozenset(_WORDS), _OWN)


def read_finish(word: str, detail: str | None, called: bool) -> Finish:
    """Every word that is neither an end nor a limit is a filter's; one that is unknown here too, because an answer that ended for it is not
    known to be whole. The word is kept where the reason says less than it."""
    reason = _REASONS.get(word, "filter")
    if reason == "stop":
        return Finish("tool" if called else "stop", detail=detail)
    return Finish(reason, detail=detail, word=None if _WORDS[reason] == word else word)


def write_finish(finish: Finish) -> str:
    word = finish.word
    if word in _OWN and (finish.reason == _REASONS.get(word, "filter")):
        return word
    return _WORDS[finish.reason]


def read_block(raw: msgspec.Raw) -> Finish | None:
    """A prompt that was blocked has no candidates."""
    feedback = decode_feedback(raw) if given(raw) else None
    if feedback is None or feedback.blockReason is None:
        return None
    return Finish("filter", detail=feedback.blockReasonMessage, word=feedback.blockReason)
