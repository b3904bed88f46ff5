"""OpenAI's chat dialect, as an upstream speaks it: a body becomes an answer, an answer becomes a JSON document or a list of frames.

Pure. Everything follows from the request and the script, so the same request gives the same bytes. Tokens are counted here and only
here: a token of output is one piece (a word with the blank after it, or up to eight characters of JSON); a token of prompt is one word,
an image is 85.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from typing import NamedTuple, cast

import msgspec

from halley.simulator.schema import Json, instance
from halley.simulator.script import Script

IMAGE_TOKENS = 85
MOST_CHOICES = 128
_CREATED = 1_767_225_600
_WORD = re.compile(r"\S+")
_PIECE = re.compile(r"\s*\S+\s*|\s+")
_FRAGMENT = re.compile(r"(?s).{1,8}")
_VOCABULARY = (
    "amber",
    "bridge",
    "cloud",
    "dune",
    "ember",
    "field",
    "garden",
    "harbor",
    "island",
    "journey",
    "kettle",
    "lantern",
    "meadow",
    "north",
    "ocean",
    "pebble",
    "quiet",
    "river",
    "stone",
    "timber",
)


class ImageUrl(msgspec.Struct, frozen=True):
    url: str = ""


class Part(msgspec.Struct, frozen=True):
    type: str
    text: str = ""
    image_url: ImageUrl | None = None


class Message(msgspec.Struct, frozen=True):
    role: str
    content: str | tuple[Part, ...] | None = None


class Function(msgspec.Struct, frozen=True):
    name: str
    parameters: dict[str, object] = {}


class Tool(msgspec.Struct, frozen=True):
    type: str = "function"
    function: Function | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    function: Function | None = None


class JsonSchema(msgspec.Struct, frozen=True):
    schema: dict[str, object] = {}


class ResponseFormat(msgspec.Struct, frozen=True):
    type: str = "text"
    json_schema: JsonSchema | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class Ask(msgspec.Struct, frozen=True):
    """The fields of a request that change the answer; all others pass unread."""

    model: str
    messages: tuple[Message, ...]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: str | ToolChoice | None = None
    response_format: ResponseFormat | None = None
    seed: int | None = None

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and bool(self.stream_options.include_usage)


class Usage(NamedTuple):
    prompt: int
    completion: int
    reasoning: int = 0

    def render(self) -> dict[str, object]:
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": self.reasoning},
        }

    def counts(self) -> dict[str, int]:
        return {"prompt_tokens": self.prompt, "completion_tokens": self.completion}


class Call(NamedTuple):
    id: str
    name: str


class Choice(NamedTuple):
    """Each piece is one token; a tool call's head counts as one."""

    reasoning: tuple[str, ...]
    pieces: tuple[str, ...]
    call: Call | None
    finish: str

    @property
    def tokens(self) -> int:
        return len(self.reasoning) + len(self.pieces) + (self.call is not None)


class Answer(NamedTuple):
    id: str
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: Usage


class Frame(NamedTuple):
    """One `data:` line of a stream; `tokens` is what it adds to the bill."""

    data: bytes
    tokens: int


def read(body: bytes) -> Ask:
    """Raises msgspec.DecodeError (also for a value of the wrong kind, then naming its place)."""
    ask = msgspec.json.decode(body, type=Ask)
    if not ask.messages:
        raise msgspec.ValidationError("`messages` must not be empty - at `$.messages`")
    if ask.n is not None and not 1 <= ask.n <= MOST_CHOICES:
        raise msgspec.ValidationError(f"`n` must be between 1 and {MOST_CHOICES} - at `$.n`")
    return ask


def last_user_text(ask: Ask) -> str:
    for message in reversed(ask.messages):
        if message.role == "user":
            return " ".join(_texts(message))
    return ""


def prompt_tokens(ask: Ask) -> int:
    words = sum(len(_WORD.findall(text)) for message in ask.messages for text in _texts(message))
    return words + IMAGE_TOKENS * _images(ask)


def compose(ask: Ask, script: Script) -> Answer:
    """The scripted answer. `stream`, usage flags and token caps are no part of its seed, so a gateway may change them."""
    dice = random.Random(_seed(ask))
    identity = f"{dice.getrandbits(96):024x}"
    count = 0 if script.empty_choices else ask.n or 1
    return _answer(ask, identity, tuple(_choice(ask, script, dice, index) for index in range(count)))


def say(ask: Ask, text: str) -> Answer:
    """An answer with this text, for models that know what to say."""
    identity = f"{random.Random(_seed(ask)).getrandbits(96):024x}"
    choice = _capped(ask, Choice((), tuple(_PIECE.findall(text)), None, "stop"))
    return _answer(ask, identity, (choice,) * (ask.n or 1))


def document(answer: Answer, script: Script) -> bytes:
    """The body of an answer that is not streamed."""
    body: dict[str, object] = {
        "id": f"chatcmpl-{answer.id}",
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "choices": [
            {"index": index, "message": _message(choice), "logprobs": None, "finish_reason": choice.finish if script.finish else None}
            for index, choice in enumerate(answer.choices)
        ],
    }
    if script.usage != "none":
        body["usage"] = reported(answer.usage, script).render()
    rendered = msgspec.json.encode(body)
    return rendered[: len(rendered) // 2] if script.bad_json else rendered


def frames(answer: Answer, script: Script, include_usage: bool) -> Iterator[Frame]:
    """The frames of a stream in OpenAI's order; the last one is `[DONE]`."""
    top: dict[str, object] = {
        "id": f"chatcmpl-{answer.id}",
        "object": "chat.completion.chunk",
        "created": answer.created,
        "model": answer.model,
    }
    sent = 0

    def frame(index: int, delta: dict[str, object], finish: str | None, tokens: int) -> Frame:
        nonlocal sent
        sent += tokens
        chunk = top | {"choices": [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}]}
        if script.usage == "each-chunk":
            chunk["usage"] = Usage(answer.usage.prompt, sent).render()
        elif script.usage == "nulls" and include_usage:
            chunk["usage"] = None
        return Frame(msgspec.json.encode(chunk), tokens)

    if script.empty_choices:
        yield Frame(msgspec.json.encode(top | {"choices": []}), 0)
    for index in range(len(answer.choices)):
        yield frame(index, {"role": "assistant", "content": None if answer.choices[index].call else ""}, None, 0)
    deltas = [_deltas(choice) for choice in answer.choices]
    spoiled = script.bad_json
    while deltas:
        for index, rest in enumerate(deltas):
            delta = next(rest, None)
            if delta is not None:
                whole = frame(index, delta, None, 1)
                yield Frame(whole.data[: len(whole.data) // 2], 1) if spoiled else whole
                spoiled = False
        if sent >= answer.usage.completion:
            break
    if script.finish:
        for index, choice in enumerate(answer.choices):
            yield frame(index, {}, choice.finish, 0)
    if include_usage and script.usage != "none":
        yield Frame(msgspec.json.encode(top | {"choices": [], "usage": reported(answer.usage, script).render()}), 0)
    yield Frame(b"[DONE]", 0)


def reported(usage: Usage, script: Script) -> Usage:
    """What the answer claims it cost; a wrong report is ten times the truth."""
    return Usage(usage.prompt, usage.completion * 10, usage.reasoning) if script.usage == "wrong" else usage


def _answer(ask: Ask, identity: str, choices: tuple[Choice, ...]) -> Answer:
    completion = sum(choice.tokens for choice in choices)
    reasoning = sum(len(choice.reasoning) for choice in choices)
    return Answer(identity, _CREATED, ask.model, choices, Usage(prompt_tokens(ask), completion, reasoning))


def _choice(ask: Ask, script: Script, dice: random.Random, index: int) -> Choice:
    reasoning = tuple(f"{dice.choice(_VOCABULARY)} " for _ in range(script.reasoning_tokens))
    tool = _wanted_tool(ask)
    if tool is not None:
        call = Call(f"call_{dice.getrandbits(96):024x}", tool.name)
        return _capped(ask, Choice(reasoning, _json_pieces(_example(tool.parameters)), call, "tool_calls"))
    return _capped(ask, Choice(reasoning, _content(ask, script, dice, index), None, "stop"))


def _content(ask: Ask, script: Script, dice: random.Random, index: int) -> tuple[str, ...]:
    wanted = ask.response_format
    if wanted is not None and wanted.type == "json_schema" and wanted.json_schema is not None:
        return _json_pieces(_example(wanted.json_schema.schema))
    if wanted is not None and wanted.type == "json_object":
        return _json_pieces({"answer": last_user_text(ask)})
    if script.answer == "words" or script.tokens is not None:
        count = 16 if script.tokens is None else script.tokens
        return tuple(f"{dice.choice(_VOCABULARY)} " for _ in range(count))
    images = _images(ask)
    text = f"You said: {last_user_text(ask)}" if index == 0 else f"You said ({index + 1}): {last_user_text(ask)}"
    return tuple(_PIECE.findall(f"{text} [images: {images}]" if images else text))


def _capped(ask: Ask, choice: Choice) -> Choice:
    cap = ask.max_completion_tokens if ask.max_completion_tokens is not None else ask.max_tokens
    if cap is None or choice.tokens <= cap:
        return choice
    reasoning = choice.reasoning[:cap]
    left = cap - len(reasoning)
    call = choice.call if left else None
    return Choice(reasoning, choice.pieces[: left - (call is not None)] if left else (), call, "length")


def _wanted_tool(ask: Ask) -> Function | None:
    # After a tool's result the model talks, else every tool loop would run for ever.
    if not ask.tools or ask.tool_choice == "none" or ask.messages[-1].role == "tool":
        return None
    functions = [tool.function for tool in ask.tools if tool.function is not None]
    chosen = ask.tool_choice
    if isinstance(chosen, ToolChoice) and chosen.function is not None:
        name = chosen.function.name
        return next((each for each in functions if each.name == name), None)
    return functions[0] if functions else None


def _deltas(choice: Choice) -> Iterator[dict[str, object]]:
    for piece in choice.reasoning:
        yield {"reasoning_content": piece}
    call = choice.call
    if call is None:
        for piece in choice.pieces:
            yield {"content": piece}
        return
    head = {"index": 0, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
    yield {"tool_calls": [head]}
    for piece in choice.pieces:
        yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


def _message(choice: Choice) -> dict[str, object]:
    text = "".join(choice.pieces)
    message: dict[str, object] = {"role": "assistant", "content": text if choice.call is None else None, "refusal": None}
    if choice.reasoning:
        message["reasoning_content"] = "".join(choice.reasoning)
    if choice.call is not None:
        function = {"name": choice.call.name, "arguments": text}
        message["tool_calls"] = [{"id": choice.call.id, "type": "function", "function": function}]
    return message


def _example(schema: dict[str, object]) -> Json:
    return instance(cast(Json, schema)) if schema else {}


def _json_pieces(value: Json) -> tuple[str, ...]:
    return tuple(_FRAGMENT.findall(msgspec.json.encode(value).decode()))


def _seed(ask: Ask) -> int:
    said = msgspec.json.encode((ask.model, ask.messages, ask.tools, ask.response_format, ask.seed))
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big")


def _texts(message: Message) -> list[str]:
    match message.content:
        case None:
            return []
        case str(text):
            return [text]
        case parts:
            return [part.text for part in parts if part.text]


def _images(ask: Ask) -> int:
    return sum(part.type == "image_url" for message in ask.messages if isinstance(message.content, tuple) for part in message.content)
