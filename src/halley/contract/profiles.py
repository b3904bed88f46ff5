"""The contracts as data, and which of them a profile runs. A new surface is one more row here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from halley.contract import checks, streams
from halley.contract.checks import Check
from halley.contract.contracts import BAD_KEY, NO_KEY, Contract, Fields, as_form, happy, tone

_PROMPT: Final = "Respond with the single word: pong"
_TOOL: Final = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
_ANSWER: Final = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}


def _user(text: str) -> list[Fields]:
    return [{"role": "user", "content": text}]


def _chat(model: str) -> Fields:
    return {"model": model, "messages": _user(_PROMPT)}


def _tools(model: str) -> Fields:
    function = {"name": "get_weather", "description": "The weather of a city.", "parameters": _TOOL}
    return {
        "model": model,
        "messages": _user("What is the weather in Paris? Call the tool."),
        "tools": [{"type": "function", "function": function}],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
    }


def _structured(model: str) -> Fields:
    wanted = {"name": "reply", "strict": True, "schema": _ANSWER}
    return {**_chat(model), "response_format": {"type": "json_schema", "json_schema": wanted}}


def _responses(model: str) -> Fields:
    return {"model": model, "input": _PROMPT}


def _messages(model: str) -> Fields:
    return {"model": model, "max_tokens": 1024, "messages": _user(_PROMPT)}


def _gemini(_: str) -> Fields:
    return {"contents": [{"role": "user", "parts": [{"text": _PROMPT}]}]}


def _embeddings(model: str) -> Fields:
    return {"model": model, "input": "pong"}


def _image(model: str) -> Fields:
    return {"model": model, "prompt": "a plain grey square"}


def _speech(model: str) -> Fields:
    return {"model": model, "input": "pong", "voice": "alloy"}


def _transcription(model: str) -> Fields:
    return {"model": model, "file": tone()}


def _video(model: str) -> Fields:
    return {"model": model, "prompt": "a plain grey square"}


def _stream(grammar: Check) -> tuple[Check, ...]:
    return (*streams.FRAMED, grammar)


_STREAMED: Final[Fields] = {"stream": True}

CONTRACTS: Final[dict[str, Contract]] = {
    row.name: row
    for row in (
        Contract(
            name="chat", about="a chat completion answers a good key and refuses a bad one", path="/chat/completions", kind="text",
            required=_chat, optional={"stream": False}, happy=happy(*checks.CHAT), errors=(NO_KEY, BAD_KEY),
        ),
        Contract(
            name="models", about="the models of this key are listed", path="/models", method="GET", happy=happy(*checks.LISTED),
            model_field="",
        ),
        Contract(
            name="catalogue", about="the public catalogue lists models without a key", path="/api/models", method="GET", root="host",
            carrier="none", happy=happy(*checks.LISTED), model_field="", cap=16 << 20,
        ),
        Contract(
            name="chat-stream", about="a streamed chat completion: one finish reason, usage chunk, [DONE]", path="/chat/completions",
            kind="text", required=_chat, optional={**_STREAMED, "stream_options": {"include_usage": True}},
            happy=happy(*_stream(streams.chat)), after="chat",
        ),
        Contract(
            name="chat-tools", about="a named tool is called with JSON arguments", path="/chat/completions", kind="text", required=_tools,
            optional={"stream": False}, happy=happy(*checks.TOOLS), after="chat",
        ),
        Contract(
            name="chat-structured", about="an answer keeps to a JSON schema", path="/chat/completions", kind="text", required=_structured,
            optional={"stream": False}, happy=happy(*checks.STRUCTURED), after="chat",
        ),
        Contract(
            name="responses", about="a response answers a good key and refuses a bad one", path="/responses", kind="text",
            required=_responses, optional={"store": False}, happy=happy(*checks.RESPONSE), errors=(BAD_KEY,),
        ),
        Contract(
            name="responses-stream", about="a streamed response: created first, one terminal event last", path="/responses", kind="text",
            required=_responses, optional={"store": False, **_STREAMED}, happy=happy(*_stream(streams.responses)), after="responses",
        ),
        Contract(
            name="messages", about="a message answers a good key and refuses a bad one", path="/messages", carrier="x-api-key",
            kind="text", required=_messages, happy=happy(*checks.MESSAGE), errors=(BAD_KEY,),
        ),
        Contract(
            name="messages-stream", about="a streamed message: named events, blocks in order, one stop reason", path="/messages",
            carrier="x-api-key", kind="text", required=_messages, optional=_STREAMED, happy=happy(*_stream(streams.messages)),
            after="messages",
        ),
        Contract(
            name="gemini", about="generateContent answers a good key and refuses a bad one", path="/models/{model}:generateContent",
            root="v1beta", carrier="x-goog-api-key", kind="text", required=_gemini, happy=happy(*checks.GENERATED), errors=(BAD_KEY,),
            model_field="modelVersion",
        ),
        Contract(
            name="gemini-stream", about="streamGenerateContent: parts, one finish reason, usage",
            path="/models/{model}:streamGenerateContent?alt=sse", root="v1beta", carrier="x-goog-api-key", kind="text", required=_gemini,
            happy=happy(*_stream(streams.gemini)), after="gemini", model_field="modelVersion",
        ),
        Contract(
            name="embeddings", about="a text becomes a vector of numbers", path="/embeddings", kind="embeddings", required=_embeddings,
            happy=happy(*checks.EMBEDDED), errors=(BAD_KEY,),
        ),
        Contract(
            name="images", about="a picture as URL or base64", path="/images/generations", kind="image", required=_image, optional={"n": 1},
            happy=happy(*checks.PICTURE), errors=(BAD_KEY,), paid=True, cap=64 << 20,
        ),
        Contract(
            name="speech", about="a text becomes audio bytes", path="/audio/speech", kind="speech", required=_speech,
            optional={"response_format": "mp3"}, happy=happy(*checks.binary("audio/")), errors=(BAD_KEY,), paid=True, cap=64 << 20,
        ),
        Contract(
            name="transcription", about="an uploaded sound becomes text", path="/audio/transcriptions", kind="transcription",
            required=_transcription, encode=as_form, happy=happy(*checks.TRANSCRIBED), errors=(BAD_KEY,), paid=True,
        ),
        Contract(
            name="videos", about="a video is submitted, asked for until it is done, and fetched", path="/videos", kind="video",
            required=_video, encode=as_form, happy=happy(*checks.SUBMITTED), errors=(BAD_KEY,), paid=True, task=True, model_field="",
        ),
        Contract(
            name="balance", about="what the key may spend is told as a number", path="/dashboard/billing/subscription", method="GET",
            happy=happy(*checks.ALLOWANCE), errors=(BAD_KEY,), model_field="",
        ),
        Contract(
            name="balance-usage", about="what was spent is told as a number", path="/dashboard/billing/usage", method="GET",
            happy=happy(*checks.SPENT), model_field="", after="balance",
        ),
        Contract(
            name="rate-limit", about="too many requests are refused with 429, an error object and Retry-After", path="/chat/completions",
            kind="text", required=_chat, optional={"stream": False}, happy=happy(*checks.THROTTLED), after="chat", load=True,
        ),
    )
}  # fmt: skip

_TEXT = (
    "chat", "models", "catalogue", "chat-stream", "chat-tools", "chat-structured", "responses", "responses-stream", "messages",
    "messages-stream", "gemini", "gemini-stream", "embeddings",
)  # fmt: skip
_MEDIA = ("chat", "models", "catalogue", "images", "speech", "transcription", "videos")

PROFILES: Final[dict[str, tuple[str, ...]]] = {
    "chat": ("chat",),
    "text": _TEXT,
    "media": _MEDIA,
    "full": tuple(name for name in CONTRACTS),
}
"""A profile begins with the contract that everything else waits for."""


def select(profile: str, named: Sequence[str] = (), without: Sequence[str] = ()) -> tuple[str, ...]:
    """The contracts to run, in order: those of the profile or those named, with what each of them waits for, without those left out.
    KeyError for a name that is none."""
    wanted = set(named or PROFILES[profile])
    for name in [*wanted, *without]:
        before = CONTRACTS[name].after
        if name in wanted and before:
            wanted.add(before)
    return tuple(name for name in CONTRACTS if name in wanted and name not in without)
