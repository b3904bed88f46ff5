"""A request body as an ask. The model and whether the answer is streamed stand in the path of this dialect, so they are left empty here.

Shape: `{contents[], systemInstruction, tools[], toolConfig, generationConfig, safetySettings, cachedContent, labels, …}`, each field in
camelCase or snake_case at every level. What has no word in the vocabulary is an extra with its place.
"""

from __future__ import annotations

import msgspec

from halley.chat.model import Ask, Effort, Extra, Format, Reasoning
from halley.chat.reading import invalid, refused
from halley.dialects.gemini.node import Node
from halley.dialects.gemini.read_contents import Reader
from halley.dialects.gemini.read_tools import read_choice, read_tools
from halley.dialects.gemini.schema import json_schema
from halley.dialects.gemini.seals import NAME
from halley.wire.jsonbody import BROKEN

SPELLING = {
    "turns": "contents",
    "choice": "toolConfig.functionCallingConfig",
    "format": "generationConfig.responseSchema",
    "reasoning": "generationConfig.thinkingConfig",
    "reasoning.budget": "generationConfig.thinkingConfig.thinkingBudget",
    "reasoning.show": "generationConfig.thinkingConfig.includeThoughts",
    "max_output": "generationConfig.maxOutputTokens",
    "temperature": "generationConfig.temperature",
    "top_p": "generationConfig.topP",
    "top_k": "generationConfig.topK",
    "stop": "generationConfig.stopSequences",
    "seed": "generationConfig.seed",
    "presence_penalty": "generationConfig.presencePenalty",
    "frequency_penalty": "generationConfig.frequencyPenalty",
    "n": "generationConfig.candidateCount",
    "logprobs": "generationConfig.responseLogprobs",
    "modalities": "generationConfig.responseModalities",
    "voice": "generationConfig.speechConfig",
    "service_tier": "serviceTier",
}
_MIMES = (b'"application/json"', b'"text/plain"', b'""')
_EFFORTS: dict[str, Effort] = {"MINIMAL": "minimal", "LOW": "low", "MEDIUM": "medium", "HIGH": "high"}


# What stands there is part of the prompt.
_ESSENTIAL: dict[str, str] = dict.fromkeys(("cachedContent", "cached_content"), "cached content is kept by providers of this dialect only")


def read_ask(body: bytes) -> Ask:
    """Raises Refused, naming the field as the caller spelled it."""
    try:
        return _read(body)
    except BROKEN as error:  # what was kept as it came, and is no text
        raise refused(error) from None


def _read(body: bytes) -> Ask:
    root = Node(body)
    reader = Reader()
    extras = reader.extras
    path = root.path("systemInstruction")
    instruction = root.take("systemInstruction")
    system = [] if instruction is None else [reader.system(instruction, path)]
    contents = root.nodes("contents")
    if not contents:
        raise invalid(root.path("contents"), "is missing: at least one content is needed")
    turns = reader.turns(contents)
    tools = read_tools(root.nodes("tools"), extras)
    calling = root.node("toolConfig")
    choice = None if calling is None else read_choice(calling, extras)
    tier = root.text("serviceTier")
    config = root.node("generationConfig") or Node(b"{}", "generationConfig")
    asked = config.flag("responseLogprobs")
    ask = Ask(
        model="",
        turns=(*system, *turns),
        tools=tools,
        choice=choice,
        format=_format(config),
        reasoning=_reasoning(config, extras),
        max_output=config.integer("maxOutputTokens"),
        temperature=config.number("temperature"),
        top_p=config.number("topP"),
        top_k=config.integer("topK"),
        stop=config.texts("stopSequences"),
        seed=config.integer("seed"),
        presence_penalty=config.number("presencePenalty"),
        frequency_penalty=config.number("frequencyPenalty"),
        n=config.integer("candidateCount"),
        logprobs=(config.integer("logprobs") or 0) if asked else None,
        modalities=tuple(word.lower() for word in config.texts("responseModalities")),
        service_tier=tier.lower() if tier else None,
        wants_usage=True,  # every answer of this dialect has it
    )
    reader.left(config)
    reader.left(root)
    return msgspec.structs.replace(
        ask, extras=tuple(msgspec.structs.replace(extra, essential=_ESSENTIAL.get(extra.at)) for extra in extras)
    )


def _format(config: Node) -> Format | None:
    """A schema without `application/json` beside it is one still. `text/x.enum` is no JSON and stays an extra, with its schema."""
    kind = config.look("responseMimeType")
    if kind is not None and bytes(kind) not in _MIMES:
        return None
    mime = config.text("responseMimeType")
    plain = config.take("responseJsonSchema")
    if plain is not None:
        return Format("schema", plain)
    path = config.path("responseSchema")
    schema = config.take("responseSchema")
    if schema is not None:
        return Format("schema", json_schema(schema, path))
    return Format("json") if mime == "application/json" else None


def _reasoning(config: Node, extras: list[Extra]) -> Reasoning | None:
    thinking = config.node("thinkingConfig")
    if thinking is None:
        return None
    path = thinking.path("thinkingLevel")
    word = (thinking.text("thinkingLevel") or "THINKING_LEVEL_UNSPECIFIED").upper()
    if word not in _EFFORTS and word != "THINKING_LEVEL_UNSPECIFIED":
        raise invalid(path, "must be MINIMAL, LOW, MEDIUM or HIGH")
    budget = thinking.integer("thinkingBudget")
    shown = thinking.flag("includeThoughts")
    extras += [Extra(NAME, inner, value) for _, inner, value in thinking.rest()]
    show = None if shown is None else "auto" if shown else "none"
    return Reasoning(_EFFORTS.get(word), budget, show=show)
