"""What an answer says, before any dialect: parts, pieces and an end, made once from what was heard and from the script.

Pure. Everything follows from the request and the script, so the same request gives the same answer. A token of output is one piece (a
word with the blank after it, or a few characters of JSON); a tool call's head is one more.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec

from halley.simulator.heard import Heard, Offer, Result
from halley.simulator.schema import Json, as_called, instance, last_object
from halley.simulator.script import Script

CREATED = 1_767_225_600
"""When every answer was made: 2026-01-01T00:00:00Z."""

REFUSAL = "I cannot help with that."
_LEAST_THOUGHT = 4
_PIECE = re.compile(r"\s*\S+\s*|\s+")
# fmt: off
_VOCABULARY = (
    "amber", "bridge", "cloud", "dune", "ember", "field", "garden", "harbor", "island", "journey",
    "kettle", "lantern", "meadow", "north", "ocean", "pebble", "quiet", "river", "stone", "timber",
)
# fmt: on


class Citation(NamedTuple):
    """`start` and `end` are characters of the text that it belongs to."""

    url: str
    title: str
    start: int
    end: int
    cited: str


class Thought(NamedTuple):
    """Hidden: the provider keeps the text and gives a seal only."""

    pieces: tuple[str, ...]
    hidden: bool = False


class Text(NamedTuple):
    pieces: tuple[str, ...]
    refusal: bool = False
    citations: tuple[Citation, ...] = ()


class Call(NamedTuple):
    """`whole` is false for arguments that a cap cut short or that the script broke."""

    id: str
    name: str
    pieces: tuple[str, ...]
    free: bool = False
    whole: bool = True
    namespace: str = ""


Part = Thought | Text | Call
End = Literal["stop", "stop-sequence", "tool", "length", "refusal", "filter", "blocked"]


class Choice(NamedTuple):
    parts: tuple[Part, ...]
    end: End
    stop: str | None = None

    @property
    def tokens(self) -> int:
        return sum(map(cost, self.parts))

    @property
    def calls(self) -> tuple[Call, ...]:
        return tuple(part for part in self.parts if isinstance(part, Call))


class Usage(msgspec.Struct, frozen=True):
    """`prompt` holds what was cached and written to the cache; `completion` holds the reasoning."""

    prompt: int
    completion: int
    reasoning: int = 0
    cached: int = 0
    write_5m: int = 0
    write_1h: int = 0
    audio_in: int = 0
    audio_out: int = 0

    @property
    def fresh(self) -> int:
        return self.prompt - self.cached - self.write_5m - self.write_1h

    def counts(self) -> dict[str, int]:
        """As the bill shows them; what is zero only where every answer has it."""
        more = {
            "reasoning_tokens": self.reasoning,
            "cached_tokens": self.cached,
            "cache_write_5m_tokens": self.write_5m,
            "cache_write_1h_tokens": self.write_1h,
            "audio_prompt_tokens": self.audio_in,
            "audio_completion_tokens": self.audio_out,
        }
        return {"prompt_tokens": self.prompt, "completion_tokens": self.completion} | {name: count for name, count in more.items() if count}


class Reply(NamedTuple):
    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage


class Frame(NamedTuple):
    """One frame of a stream; `tokens` is what it adds to the bill. Its event name stands in an `event:` line where it has one."""

    data: bytes
    tokens: int = 0
    event: str = ""


def cost(part: Part) -> int:
    return len(part.pieces) + isinstance(part, Call)


def compose(heard: Heard, script: Script, head: Json) -> Reply:
    """The scripted answer. `head` is the request's line and fields, for the model that repeats them."""
    dice = random.Random(heard.seed)
    identity = f"{dice.getrandbits(96):024x}"
    count = 0 if script.empty_choices else heard.wishes.count
    return _reply(heard, script, identity, tuple(_choice(heard, script, dice, index, head) for index in range(count)))


def say(heard: Heard, script: Script, text: str) -> Reply:
    """An answer with this text, for models that know what to say."""
    identity = f"{random.Random(heard.seed).getrandbits(96):024x}"
    choice = _capped(heard, _stopped(heard, Choice((Text(pieces(text)),), "stop")))
    return _reply(heard, script, identity, (choice,) * heard.wishes.count)


def reported(usage: Usage, script: Script) -> Usage:
    """What the answer claims it cost; a wrong report is ten times the truth."""
    return msgspec.structs.replace(usage, completion=usage.completion * 10) if script.usage == "wrong" else usage


def pieces(text: str) -> tuple[str, ...]:
    return tuple(_PIECE.findall(text))


def _reply(heard: Heard, script: Script, identity: str, choices: tuple[Choice, ...]) -> Reply:
    reasoning = sum(cost(part) for choice in choices for part in choice.parts if isinstance(part, Thought))
    added = script.cached_tokens + script.cache_write_tokens + script.cache_write_1h_tokens + script.audio_prompt_tokens
    usage = Usage(
        prompt=heard.words + added,
        completion=sum(choice.tokens for choice in choices) + script.audio_completion_tokens,
        reasoning=reasoning,
        cached=script.cached_tokens,
        write_5m=script.cache_write_tokens,
        write_1h=script.cache_write_1h_tokens,
        audio_in=script.audio_prompt_tokens,
        audio_out=script.audio_completion_tokens,
    )
    return Reply(identity, heard.model, choices, usage)


def _choice(heard: Heard, script: Script, dice: random.Random, index: int, head: Json) -> Choice:
    thoughts: list[Part] = []
    if script.reasoning_tokens and heard.wishes.thinks:
        thoughts.append(Thought(tuple(f"{dice.choice(_VOCABULARY)} " for _ in range(script.reasoning_tokens))))
    if script.redacted:
        thoughts.append(Thought((), hidden=True))
    if script.ending in ("filter", "blocked"):
        return _capped(heard, Choice(tuple(thoughts), script.ending))
    if script.ending == "refusal":
        return _capped(heard, Choice((*thoughts, Text(pieces(REFUSAL), refusal=True)), "refusal"))
    wanted = _wanted(heard, script)
    if wanted:
        if heard.wishes.must_think and not thoughts:
            thoughts.append(Thought(tuple(f"{dice.choice(_VOCABULARY)} " for _ in range(_LEAST_THOUGHT))))
        talk = [Text(pieces("Let me look that up. "))] if script.preamble else []
        calls = [_call(heard, offer, script, dice) for offer in wanted]
        return _ended(script, _capped(heard, Choice((*thoughts, *talk, *calls), "tool")))
    text = Text(_content(heard, script, dice, index, head))
    if script.cite:
        text = text._replace(citations=(_citation(text.pieces),))
    return _ended(script, _capped(heard, _stopped(heard, Choice((*thoughts, text), "stop"))), heard.wishes.stops)


def _ended(script: Script, choice: Choice, stops: Sequence[str] = ()) -> Choice:
    if script.ending == "length":
        return choice._replace(end="length")
    if script.ending == "stop-sequence" and stops and choice.end == "stop":
        return choice._replace(end="stop-sequence", stop=stops[0])
    return choice


def _wanted(heard: Heard, script: Script) -> list[Offer]:
    """The tools to call. After the results of the last round the model talks, else every tool loop would run for ever."""
    wishes = heard.wishes
    if not wishes.tools or wishes.chosen == "none" or script.no_tools or (heard.results and heard.rounds >= script.rounds):
        return []
    named = wishes.chosen if wishes.chosen not in ("auto", "any") else script.tool
    offered = [offer for offer in wishes.tools if named is None or offer.name == named]
    if not offered:
        return []
    count = script.calls if wishes.parallel else 1
    return [offered[index % len(offered)] for index in range(count)]


def _call(heard: Heard, offer: Offer, script: Script, dice: random.Random) -> Call:
    identity = f"call_{dice.getrandbits(96):024x}"
    if offer.free:
        return Call(identity, offer.name, _fragments("amber bridge", script.fragment), free=True, namespace=offer.namespace)
    value = instance(offer.schema) if offer.schema else {}
    if script.arguments == "said":
        value = last_object(heard.said)
    if script.arguments == "called":
        value = as_called(heard.said, offer.name, value)
    if script.arguments == "empty":
        return Call(identity, offer.name, (), namespace=offer.namespace)
    if script.arguments == "long" and isinstance(value, dict):
        value |= {"filling": "x" * script.argument_length}
    text = msgspec.json.encode(value).decode()
    broken = script.arguments == "broken"
    written = _fragments(text[: len(text) // 2] if broken else text, script.fragment)
    return Call(identity, offer.name, written, whole=not broken, namespace=offer.namespace)


def _content(heard: Heard, script: Script, dice: random.Random, index: int, head: Json) -> tuple[str, ...]:
    wishes = heard.wishes
    match script.answer:
        case "ask":
            return _fragments(msgspec.json.encode(heard.whole, order="sorted").decode(), 64)
        case "head":
            return _fragments(msgspec.json.encode(head, order="sorted").decode(), 64)
        case _:
            pass
    if wishes.schema is not None:
        value = instance(wishes.schema) if wishes.schema else {}
        # A schema of one enumerated string may be asked for as bare text.
        return (value,) if isinstance(value, str) and not wishes.json else _fragments(_json(value), script.fragment)
    if wishes.json:
        return _fragments(_json({"answer": heard.said}), script.fragment)
    if script.answer == "words" or script.tokens is not None:
        count = 16 if script.tokens is None else script.tokens
        return tuple(f"{dice.choice(_VOCABULARY)} " for _ in range(count))
    text = f"You said: {heard.said}" if index == 0 else f"You said ({index + 1}): {heard.said}"
    if heard.results:
        text += " The tools answered: " + "; ".join(map(_quoted, heard.results))
    return pieces(" ".join((text, *(medium.describe() for medium in heard.media))))


def _quoted(result: Result) -> str:
    verb = "failed with" if result.failed else "said"
    return f"{result.name} {verb} {_json(result.text)}"


def _citation(said: Sequence[str]) -> Citation:
    text = "".join(said)
    return Citation("https://example.com/source", "A source", 0, len(text), text[:40])


def _stopped(heard: Heard, choice: Choice) -> Choice:
    """Ends the text before the first stop sequence in it."""
    parts: list[Part] = []
    for part in choice.parts:
        if not isinstance(part, Text) or not heard.wishes.stops:
            parts.append(part)
            continue
        text = "".join(part.pieces)
        found = min(((place, stop) for stop in heard.wishes.stops if stop and (place := text.find(stop)) >= 0), default=None)
        if found is not None:
            return Choice((*parts, Text(pieces(text[: found[0]]))), "stop-sequence", found[1])
        parts.append(part)
    return choice


def _capped(heard: Heard, choice: Choice) -> Choice:
    left = heard.wishes.cap
    if left is None or choice.tokens <= left:
        return choice
    parts: list[Part] = []
    for part in choice.parts:
        if cost(part) <= left:
            parts.append(part)
            left -= cost(part)
            continue
        match part:
            case Thought() if left:
                parts.append(part._replace(pieces=part.pieces[:left]))
            case Text() if left:
                parts.append(Text(part.pieces[:left], part.refusal))
            case Call() if left:
                parts.append(part._replace(pieces=part.pieces[: left - 1], whole=False))
            case _:
                pass
        break
    return Choice(tuple(parts), "length")


def _fragments(text: str, size: int) -> tuple[str, ...]:
    return tuple(text[start : start + size] for start in range(0, len(text), size))


def _json(value: Json) -> str:
    return msgspec.json.encode(value).decode()
