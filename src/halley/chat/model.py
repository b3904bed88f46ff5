"""What is meant by a chat request and its answer, in no dialect's words: the one vocabulary through which dialects are translated.

A reader makes these values from a body, a writer makes a body from them; neither knows who wrote the other side. What two dialects share
has a field here. What only one understands stays raw and names its dialect (`Opaque` parts, `Hosted` tools, `Extra` fields), so that a
writer of another can report it instead of dropping it. Nothing is clamped, guessed or completed in a reader: absent is None or empty.

`at` is where the thing stood in the caller's body, in the caller's spelling (`messages[3].content[1]`): what a `Loss` or an error names.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from halley.chat.usage import Usage

Role = Literal["system", "developer", "user", "assistant"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Reason = Literal["stop", "stop_sequence", "length", "context", "tool", "filter", "refusal", "pause", "bad_call"]

# ---- where a medium is ------------------------------------------------------------------------------------------------------------------


class Inline(msgspec.Struct, frozen=True, tag="inline"):
    """Base64 as it came, with its MIME type."""

    mime: str
    data: str


class Url(msgspec.Struct, frozen=True, tag="url"):
    """An http(s) address that the provider, or the gateway for it, would fetch. `mime` is what the caller says it is."""

    url: str
    mime: str | None = None


class FileId(msgspec.Struct, frozen=True, tag="file"):
    """A file that was uploaded to the provider of a dialect before; it means nothing to any other."""

    id: str
    dialect: str
    mime: str | None = None


class PlainText(msgspec.Struct, frozen=True, tag="text"):
    """A document that is its text."""

    text: str


Source = Inline | Url | FileId

# ---- what clings to parts ---------------------------------------------------------------------------------------------------------------


class Cache(msgspec.Struct, frozen=True):
    """A mark: what stands up to here should be cached for so long. `ttl` None is the provider's default."""

    ttl: Literal["5m", "1h"] | None = None


class Seal(msgspec.Struct, frozen=True):
    """State that only its maker can read (a signature, encrypted reasoning), to be given back unharmed. `origin` names the maker, see
    `chat.seals`."""

    origin: str
    value: str


class Citation(msgspec.Struct, frozen=True):
    """A source for a stretch of text. `start` and `end` are characters of the part's text; `raw` is the citation in its dialect's words."""

    url: str | None = None
    title: str | None = None
    start: int | None = None
    end: int | None = None
    quote: str | None = None
    dialect: str | None = None
    raw: msgspec.Raw | None = None


# ---- parts ------------------------------------------------------------------------------------------------------------------------------


class Text(msgspec.Struct, frozen=True, tag="text"):
    text: str
    cache: Cache | None = None
    citations: tuple[Citation, ...] = ()
    seal: Seal | None = None
    at: str = ""


class Image(msgspec.Struct, frozen=True, tag="image"):
    """`detail` is how closely to look, in OpenAI's words: low, high, auto, original."""

    source: Source
    detail: str | None = None
    cache: Cache | None = None
    seal: Seal | None = None
    at: str = ""


class Audio(msgspec.Struct, frozen=True, tag="audio"):
    """In an ask: what was recorded. In an answer: what was spoken, with its transcript; `id` names it in the next turn."""

    source: Source | None
    transcript: str | None = None
    id: str | None = None
    cache: Cache | None = None
    at: str = ""


class Video(msgspec.Struct, frozen=True, tag="video"):
    """`start_s` and `end_s` clip it, `fps` samples it."""

    source: Source
    start_s: float | None = None
    end_s: float | None = None
    fps: float | None = None
    cache: Cache | None = None
    at: str = ""


class Document(msgspec.Struct, frozen=True, tag="document"):
    """A PDF, a text, or another file to be read. `context` is a remark about it, `cited` asks for citations."""

    source: Source | PlainText
    name: str | None = None
    context: str | None = None
    cited: bool = False
    cache: Cache | None = None
    at: str = ""


class ToolCall(msgspec.Struct, frozen=True, tag="tool_call"):
    """The model wants a tool run. `arguments` is JSON text exactly as the model wrote it, maybe not valid, maybe empty; of a `free` tool it
    is the tool's own language. `id` is empty where the dialect has none and the caller gave none."""

    id: str
    name: str
    arguments: str
    free: bool = False
    namespace: str | None = None
    cache: Cache | None = None
    seal: Seal | None = None
    at: str = ""


class ToolResult(msgspec.Struct, frozen=True, tag="tool_result"):
    """What a tool returned; stands in a user turn. `name` is known where the dialect gives it, and can be looked up by `id` where not.
    `structured` says that the text is a JSON object and was one in the caller's body."""

    id: str
    parts: tuple[Text | Image | Audio | Video | Document | Opaque, ...]
    name: str | None = None
    failed: bool = False
    structured: bool = False
    cache: Cache | None = None
    at: str = ""


class Thinking(msgspec.Struct, frozen=True, tag="thinking"):
    """The model's reasoning: its text or a summary of it, and the seal by which its maker knows it. Without text it is redacted or
    encrypted, and the seal is all there is."""

    text: str
    summary: bool = False
    redacted: bool = False
    id: str | None = None
    seal: Seal | None = None
    at: str = ""


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """The model declines, in words."""

    text: str
    at: str = ""


class Opaque(msgspec.Struct, frozen=True, tag="opaque"):
    """A part that one dialect alone understands, as it came. `what` is its kind in words fit for a message."""

    dialect: str
    what: str
    raw: msgspec.Raw
    at: str = ""


Part = Text | Image | Audio | Video | Document | ToolCall | ToolResult | Thinking | Refusal | Opaque


class Turn(msgspec.Struct, frozen=True):
    """What one side said. Turns of one role may follow each other; tool results are parts of user turns."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None
    at: str = ""


# ---- tools ------------------------------------------------------------------------------------------------------------------------------


class Function(msgspec.Struct, frozen=True, tag="function"):
    """A tool that the caller runs. `schema` is a JSON Schema as it came (lower-case types), None when no parameters were given."""

    name: str
    description: str | None = None
    schema: msgspec.Raw | None = None
    strict: bool | None = None
    namespace: str | None = None
    cache: Cache | None = None
    at: str = ""


class FreeTool(msgspec.Struct, frozen=True, tag="free"):
    """A tool whose input is text in a language of its own, not JSON. `grammar` is the format object in OpenAI's words."""

    name: str
    description: str | None = None
    grammar: msgspec.Raw | None = None
    namespace: str | None = None
    at: str = ""


class Location(msgspec.Struct, frozen=True):
    """Roughly where whoever asks is."""

    country: str | None = None
    region: str | None = None
    city: str | None = None
    timezone: str | None = None

    def words(self) -> dict[str, str]:
        """The fields that are given; every dialect that has them spells them the same."""
        return {name: word for name in self.__struct_fields__ if (word := getattr(self, name)) is not None}


class WebSearch(msgspec.Struct, frozen=True, tag="web_search"):
    """The provider's own web search."""

    size: Literal["low", "medium", "high"] | None = None
    most_uses: int | None = None
    allowed: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    location: Location | None = None
    at: str = ""


class Hosted(msgspec.Struct, frozen=True, tag="hosted"):
    """A tool that the provider runs and one dialect alone knows, as it came."""

    dialect: str
    what: str
    raw: msgspec.Raw
    at: str = ""


Tool = Function | FreeTool | WebSearch | Hosted


class Choice(msgspec.Struct, frozen=True):
    """Which tools may or must be called: `auto` may, `any` must, `none` must not; `names` narrows it to those. Of `parallel` None is not
    said."""

    mode: Literal["auto", "any", "none"] | None = None
    names: tuple[str, ...] = ()
    parallel: bool | None = None
    at: str = ""


# ---- the ask ----------------------------------------------------------------------------------------------------------------------------


class Format(msgspec.Struct, frozen=True):
    """The shape of the text wanted: any JSON, or JSON of a schema."""

    kind: Literal["json", "schema"]
    schema: msgspec.Raw | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Reasoning(msgspec.Struct, frozen=True):
    """How much to think: by word, by tokens (0 is not at all, -1 as the model likes), or `adaptive`. `show` is what the caller wants to
    see of it."""

    effort: Effort | None = None
    budget: int | None = None
    adaptive: bool = False
    show: Literal["none", "auto", "concise", "detailed", "full"] | None = None


class Voice(msgspec.Struct, frozen=True):
    """How an audio answer is spoken: the provider's name of a voice, and the encoding."""

    name: str
    format: str | None = None


class Extra(msgspec.Struct, frozen=True):
    """A field of the request that one dialect alone has. `essential` says why an answer without it would answer something else: such a
    field is never a loss, it is refused; `code` is the word that its dialect has for that. `also` is another dialect that spells and means
    it the same."""

    dialect: str
    at: str
    raw: msgspec.Raw
    essential: str | None = None
    code: str | None = None
    also: str | None = None


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One chat request. `logprobs` is how many alternatives per token are wanted, 0 the chosen ones alone; `max_output` counts
    reasoning."""

    model: str
    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    choice: Choice | None = None
    format: Format | None = None
    reasoning: Reasoning | None = None
    verbosity: str | None = None
    max_output: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    n: int | None = None
    logprobs: int | None = None
    logit_bias: msgspec.Raw | None = None
    modalities: tuple[str, ...] = ()
    voice: Voice | None = None
    end_user: str | None = None
    metadata: dict[str, str] | None = None
    service_tier: str | None = None
    cache_key: str | None = None
    cache: Cache | None = None
    stream: bool = False
    wants_usage: bool = False
    store: bool | None = None
    extras: tuple[Extra, ...] = ()


class Loss(msgspec.Struct, frozen=True):
    """Something of a request or an answer that the other side's dialect cannot say, and why. `path` is in the caller's spelling."""

    path: str
    reason: str


# ---- the answer -------------------------------------------------------------------------------------------------------------------------


class Finish(msgspec.Struct, frozen=True):
    """Why the answer ended. `stop_sequence` is the text that was met, `detail` the provider's own explanation, `word` its own word where
    `reason` is coarser."""

    reason: Reason
    stop_sequence: str | None = None
    detail: str | None = None
    word: str | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One whole answer. `id` and `model` are the provider's; `created` is Unix seconds, None where the dialect has none; `losses` are what
    its reader does not know."""

    id: str
    model: str
    parts: tuple[Part, ...]
    finish: Finish
    usage: Usage | None = None
    created: int | None = None
    logprobs: msgspec.Raw | None = None
    service_tier: str | None = None
    extras: tuple[Extra, ...] = ()
    losses: tuple[Loss, ...] = ()
