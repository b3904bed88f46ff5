"""An ask as a request body of this dialect. What it cannot say and may be lost is a loss; what must not be lost is Refused.

Schemas go out untouched, as JSON Schema (`parametersJsonSchema`, `responseJsonSchema`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import msgspec

from halley.chat.doors import Target, Written
from halley.chat.model import Ask, Choice, Extra, FreeTool, Function, Hosted, Reasoning, Tool, WebSearch
from halley.chat.naming import flat
from halley.dialects.gemini.answer import FREE_INPUT
from halley.dialects.gemini.node import camel
from halley.dialects.gemini.seals import NAME
from halley.dialects.gemini.write_contents import Json, Writer, generation, refused

_MOST_STOPS = 5
_MODES = {"auto": "AUTO", "any": "ANY", "none": "NONE"}
_LEVELS = {"none": "MINIMAL", "minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "HIGH", "max": "HIGH"}
_NOT_EXACT = {"xhigh": "high is the most that this dialect has a word for", "max": "high is the most that this dialect has a word for"}
# Models before Gemini 3 take tokens and refuse the words. The figures are Google's own for these words (OpenAI compatibility page, read
# 2026-11) and within the bounds of every 2.5 model but one: Pro cannot be told not to think at all.
_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
_LEAST_OF_PRO = 128
_TIERS = {"flex": "flex", "priority": "priority", "standard": "standard", "default": "standard"}
_MOST_LEVELS_DEEP = 4
# Fields of the ask, the place of each in the body, in the order in which they are written.
_PLAIN: tuple[tuple[str, str], ...] = (
    ("max_output", "maxOutputTokens"),
    ("temperature", "temperature"),
    ("top_p", "topP"),
    ("top_k", "topK"),
    ("seed", "seed"),
    ("presence_penalty", "presencePenalty"),
    ("frequency_penalty", "frequencyPenalty"),
)
_UNSAID: tuple[tuple[str, Callable[[Ask], object], str], ...] = (
    ("verbosity", lambda ask: ask.verbosity, "verbosity has no twin in this dialect"),
    ("logit_bias", lambda ask: ask.logit_bias, "single tokens cannot be weighted in this dialect"),
    ("end_user", lambda ask: ask.end_user, "an end user is not named in this dialect"),
    ("metadata", lambda ask: ask.metadata, "metadata is not kept in this dialect"),
    ("cache_key", lambda ask: ask.cache_key, "this dialect caches by itself and takes no key"),
    ("cache", lambda ask: ask.cache, "a cache mark has no place in this dialect, which caches by itself"),
    ("store", lambda ask: ask.store or None, "answers are not stored in this dialect"),
)


def write_ask(ask: Ask, target: Target) -> Written:
    """Raises Refused for content and tools that cannot be said."""
    contents = Writer(target)
    contents.turns(ask.turns)
    body: Json = {}
    if contents.system:
        body["systemInstruction"] = {"parts": contents.system}
    body["contents"] = contents.contents
    writer = _Fields(contents, target, body)
    writer.tools(ask.tools)
    if ask.choice is not None:
        writer.choice(ask.choice)
    writer.config(ask)
    writer.tier(ask.service_tier)
    for field, given, why in _UNSAID:
        if given(ask) is not None:
            contents.lost(field, why)
    for extra in ask.extras:
        writer.extra(extra)
    return Written(msgspec.json.encode(body), tuple(contents.losses))


class _Fields:
    """Everything of a body that is not its contents."""

    __slots__ = ("_body", "_contents", "_target")

    def __init__(self, contents: Writer, target: Target, body: Json) -> None:
        self._contents = contents
        self._target = target
        self._body = body

    def tools(self, tools: tuple[Tool, ...]) -> None:
        declared: list[Json] = []
        others: list[object] = []
        names: set[str] = set()
        for tool in tools:
            match tool:
                case Function() | FreeTool():
                    name = flat(tool.name, tool.namespace)
                    if name in names:
                        raise refused(tool.at, f'two tools have the name "{name}"')
                    names.add(name)
                    declared.append(self._free(tool, name) if isinstance(tool, FreeTool) else self._function(tool, name))
                case WebSearch():
                    others.append({"googleSearch": self._search(tool)})
                case Hosted():
                    if tool.dialect != NAME:
                        raise refused(tool.at, f"the tool {tool.what} is run by {tool.dialect} alone")
                    others.append(tool.raw)
        found = [{"functionDeclarations": declared}, *others] if declared else others
        if found:
            self._body["tools"] = found

    def _free(self, tool: FreeTool, name: str) -> Json:
        """A tool in a language of its own is a function of one text, which whoever offered it takes out of the JSON again."""
        self._contents.lost(tool.at, "its input is one text in a JSON object, and no grammar holds the model to its language")
        grammar = "" if tool.grammar is None else f"The input follows this grammar: {bytes(tool.grammar).decode()}"
        made: Json = {"name": name}
        if description := "\n\n".join(words for words in (tool.description, grammar) if words):
            made["description"] = description
        return made | {"parametersJsonSchema": {"type": "object", "properties": {FREE_INPUT: {"type": "string"}}, "required": [FREE_INPUT]}}

    def _function(self, tool: Function, name: str) -> Json:
        lost = self._contents.lost
        if tool.strict:
            lost(f"{tool.at}.strict", "a single tool cannot be strict in this dialect")
        if tool.cache is not None:
            lost(tool.at, "a cache mark has no place in this dialect, which caches by itself")
        made: Json = {"name": name}
        if tool.description is not None:
            made["description"] = tool.description
        if tool.schema is not None:
            made["parametersJsonSchema"] = tool.schema
        return made

    def _search(self, tool: WebSearch) -> Json:
        # The Gemini API's tool has no settings; `excludeDomains` is Vertex's, and in a body of this dialect it can only come from there.
        asked = (tool.size, tool.most_uses, tool.allowed or None, tool.location)
        if any(each is not None for each in asked):
            self._contents.lost(tool.at, "Google's search takes no size, count, list of allowed sites or place")
        return {"excludeDomains": tool.blocked} if tool.blocked else {}

    def choice(self, choice: Choice) -> None:
        if choice.parallel is False:
            self._contents.lost("choice.parallel", "parallel calls cannot be forbidden in this dialect")
        if choice.mode is None and not choice.names:
            return
        # Names narrow AUTO in no other way: VALIDATED is AUTO, held to the schemas of the allowed ones.
        mode = "VALIDATED" if choice.names and choice.mode in (None, "auto") else _MODES[choice.mode or "auto"]
        calling: Json = {"mode": mode}
        if choice.names:
            calling["allowedFunctionNames"] = choice.names
        self._body["toolConfig"] = {"functionCallingConfig": calling}

    def config(self, ask: Ask) -> None:
        config: Json = {}
        for field, name in _PLAIN:
            value = getattr(ask, field)
            if value is not None:
                config[name] = value
        if ask.n == 1:
            config["candidateCount"] = 1
        elif ask.n is not None:
            self._contents.lost("n", f"one answer is carried over from another dialect, not {ask.n}")
        if ask.stop:
            config["stopSequences"] = ask.stop[:_MOST_STOPS]
            if len(ask.stop) > _MOST_STOPS:
                cut = ", ".join(msgspec.json.encode(word[:64]).decode() for word in ask.stop[_MOST_STOPS:])
                self._contents.lost("stop", f"at most {_MOST_STOPS} are taken in this dialect; not given: {cut}")
        if ask.logprobs is not None:
            config["responseLogprobs"] = True
            if ask.logprobs:
                config["logprobs"] = ask.logprobs
        if ask.format is not None:
            config["responseMimeType"] = "application/json"
            if ask.format.schema is not None:
                config["responseJsonSchema"] = ask.format.schema
            if ask.format.description is not None:
                self._contents.lost("format", "the description of a format has no place in this dialect")
        if ask.modalities and ask.modalities != ("text",):
            config["responseModalities"] = [word.upper() for word in ask.modalities]
        if ask.voice is not None:
            # Under the name that was asked for: Google's voices are asked for by name through every dialect.
            config["speechConfig"] = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": ask.voice.name}}}
            if ask.voice.format not in (None, "pcm16"):
                self._contents.lost("voice", "speech is always PCM in this dialect")
        if ask.reasoning is not None and (thinking := self._thinking(ask.reasoning)):
            config["thinkingConfig"] = thinking
        if config:
            self._body["generationConfig"] = config

    def _thinking(self, reasoning: Reasoning) -> Json:
        """A budget for models up to 2.5, a level from 3 on; both together are refused by all. From 3 on a budget is taken as well."""
        lost = self._contents.lost
        made: Json = {}
        effort = reasoning.effort
        if reasoning.budget is not None:
            made["thinkingBudget"] = reasoning.budget
            if effort is not None:
                lost("reasoning", "a budget is given, and the effort beside it has no place in this dialect")
        elif effort is not None:
            number = generation(self._target.model)
            if effort in _NOT_EXACT:
                lost("reasoning", _NOT_EXACT[effort])
            if number is not None and number < 3:
                budget = _BUDGETS[effort]
                if not budget and "pro" in self._target.model:
                    budget = _LEAST_OF_PRO
                    lost("reasoning", f"this model always thinks; {budget} tokens are the least")
                made["thinkingBudget"] = budget
            else:
                made["thinkingLevel"] = _LEVELS[effort]
                if effort == "none":
                    lost("reasoning", "this dialect has no word for no thinking; minimal is the least")
        elif reasoning.adaptive:
            made["thinkingBudget"] = -1
        if reasoning.show is not None:
            made["includeThoughts"] = reasoning.show != "none"
        return made

    def tier(self, tier: str | None) -> None:
        if tier in _TIERS:
            self._body["serviceTier"] = _TIERS[tier]
        elif tier is not None:
            self._contents.lost("service_tier", "the tiers of this dialect are flex, standard and priority")

    def extra(self, extra: Extra) -> None:
        """A field of this dialect goes back to its place; one that stood within a list has lost it."""
        words = [camel(word) for word in extra.at.split(".")]
        if extra.dialect != NAME:
            self._contents.lost(extra.at, f"known to {extra.dialect} alone")
        elif "[" in extra.at or len(words) > _MOST_LEVELS_DEEP:
            self._contents.lost(extra.at, "a field within a list is not carried over")
        else:
            place = self._body
            for word in words[:-1]:
                inner = place.setdefault(word, {})
                if not isinstance(inner, dict):
                    self._contents.lost(extra.at, "what it stands in is written in another way")
                    return
                place = cast("Json", inner)
            place[words[-1]] = extra.raw
