"""Clients that hang up, as values: at which place of an answer's life, in which dialect, how, and what their upstream does meanwhile."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tests.harness.crowd import WAYS, Member, post
from tests.harness.dialects import CLIENTS, FIELDS, PROVIDERS, ask
from tests.harness.priced import CAP, INPUT_USD, OUTPUT_USD

CANCELS = {"stopping": "stops_billing", "stubborn": "bills_to_end"}
USAGES = ("in-stream", "at-end", "never")
# So that a provider of each dialect tells its usage in that way.
_TOLD: Mapping[str, tuple[str, str, str]] = {
    "chat": ("+usage-each-chunk", "", "+no-usage"),
    "responses": ("", "", "+no-usage"),
    "messages": ("", "+usage-late", "+no-usage"),
    "gemini": ("", "+usage-late", "+no-usage"),
}
# Every fifth client is served by a provider of another dialect.
_CROSSED = 5
# What comes before the first piece of output, in events.
_PREAMBLE = {"chat": 1, "responses": 4, "messages": 2, "gemini": 0}
_TOKENS = 60
_TEXT = f"tokens-{_TOKENS}+slow-30ms"
_CLOSING = f"tokens-{_TOKENS}+slow-5ms+closing-300ms"
_THINKS, _CALLS = "think-40+tokens-20+slow-30ms", "tool-weather+args-long-300+fragment-6+slow-30ms"
# A model for whoever stays.
PROBE = "chat/stopping/echo"


class Marks(NamedTuple):
    """What a client of a dialect sees of the end of its answer; `usage` counts only after `finish`."""

    finish: bytes
    usage: bytes
    end: bytes


_MARKS = {
    "chat": Marks(b'"finish_reason":"', b'"usage":{', b"data: [DONE]"),
    "responses": Marks(b"event: response.output_text.done", b"event: response.completed", b"event: response.completed"),
    "messages": Marks(b"event: content_block_stop", b"event: message_delta", b"event: message_stop"),
    "gemini": Marks(b'"finishReason":"', b'"finishReason":"', b'"finishReason":"'),
}


class Cut(NamedTuple):
    """A place of an answer's life. `sent` is how much of the request its client sends: all of it, a part of the body, or of the head.

    `comes` is what the client waits for: that it has sent that, that its upstream is asked, or what `seen` looks for in what it got.
    `closing`: the answer may be whole before the hang-up is known.
    """

    name: str
    scripts: tuple[str, ...]
    sent: Literal["whole", "body", "head"] = "whole"
    comes: Literal["sent", "asked", "seen"] = "seen"
    seen: Callable[[Leaver], bool] = lambda _: False
    closing: bool = False


@dataclass(slots=True, eq=False)
class Leaver:
    """One client. `after` is how many pieces of output it wants to see where that is the question; `left_at` are Unix seconds."""

    name: str
    cut: Cut
    dialect: str
    cancel: str
    usage: str
    upstream: str
    script: str
    way: str
    after: int
    member: Member | None = None
    left_at: float = 0.0

    @property
    def cancels(self) -> bool:
        return self.cancel == "stopping"

    @property
    def crossed(self) -> bool:
        return self.upstream != self.dialect

    @property
    def model(self) -> str:
        return f"{self.upstream}/{self.cancel}/{self.script}"

    @property
    def sees_all(self) -> bool:
        """Chat has no word for showing thoughts: another dialect keeps them to itself."""
        return not (self.crossed and self.dialect == "chat" and self.script.startswith("think"))

    @property
    def theirs(self) -> str:
        """The model's name at its provider."""
        return f"sim/{self.script}" + ("" if self.cancels else "+bills-to-end")

    @property
    def output(self) -> int:
        """Pieces of output that have come."""
        return self.received.count(b"data: ") - _PREAMBLE[self.dialect]

    @property
    def there(self) -> Member:
        assert self.member is not None, f"{self.name} has not come yet"
        return self.member

    @property
    def received(self) -> bytearray:
        return self.there.received

    def saw(self, mark: Callable[[Marks], bytes]) -> bool:
        marks = _MARKS[self.dialect]
        _, finish, rest = bytes(self.received).partition(marks.finish)
        return bool(finish) and mark(marks) in finish + rest

    def request(self, key: str) -> bytes:
        """What it sends."""
        tools, think = self.script.startswith("tool"), self.script.startswith("think")
        path, body = ask(self.dialect, self.model, ["Tell me a story, please."], tools=tools, think=think, stream=True)
        fields = FIELDS[self.dialect].format(key=key) + f"\r\nx-request-id: {self.name}"
        data = post(path, fields, json.dumps(body).encode())
        blank = data.index(b"\r\n\r\n") + 4
        ends = {"whole": len(data), "body": (blank + len(data)) // 2, "head": blank // 2}
        return data[: ends[self.cut.sent]]


def _finished(leaver: Leaver) -> bool:
    """All of the output has come. Gemini says so only with the usage."""
    return leaver.output >= _TOKENS if leaver.dialect == "gemini" else leaver.saw(lambda marks: marks.finish)


def _reported(leaver: Leaver) -> bool:
    return leaver.saw(lambda marks: marks.finish if leaver.usage == "never" else marks.usage)


CUTS: tuple[Cut, ...] = (
    Cut("in-the-head", (_TEXT,), sent="head", comes="sent"),
    Cut("in-the-body", (_TEXT,), sent="body", comes="sent"),
    Cut("when-sent", (_TEXT,), comes="sent"),
    Cut("before-the-reply", ("tokens-30+slow-10ms+head-delay-1500ms",), comes="asked"),
    Cut("after-the-head", (_TEXT,), seen=lambda leaver: leaver.there.status == 200),
    Cut("after-the-first-piece", (_TEXT,), seen=lambda leaver: leaver.output >= 1),
    Cut("inside-an-event", (f"{_TEXT}+halves",), seen=lambda leaver: leaver.output >= 4),
    Cut("after-some-pieces", (_TEXT,), seen=lambda leaver: leaver.output >= leaver.after),
    Cut("inside-a-block", (_THINKS, _CALLS), seen=lambda leaver: leaver.output >= 6),
    Cut("after-the-last-piece", (_CLOSING,), seen=_finished, closing=True),
    Cut("after-the-usage", (_CLOSING,), seen=_reported, closing=True),
    Cut("after-the-end", (_CLOSING,), seen=lambda leaver: leaver.saw(lambda marks: marks.end), closing=True),
)  # fmt: skip


def leavers(cut: Cut, dice: random.Random, turns: range) -> Iterator[Leaver]:
    """One of each dialect, cancel rule and way of telling usage for each turn."""
    for turn in turns:
        kinds = [(dialect, cancel, usage) for dialect in CLIENTS for cancel in CANCELS for usage in USAGES]
        for number, (dialect, cancel, usage) in enumerate(kinds):
            upstream = _upstream(dialect, usage, turn)
            script = cut.scripts[(turn + number) % len(cut.scripts)]
            if script == _CALLS and "gemini" in (dialect, upstream):
                script = _THINKS  # Gemini's calls come in one piece
            way = tuple(WAYS)[(turn + number) % len(WAYS)]
            name = f"{cut.name}-{turn}-{dialect}-{cancel}-{usage}"
            told = _TOLD[upstream][USAGES.index(usage)]
            # A model of its own, because less of its output may be shown.
            apart = "+id-crossed" if upstream != dialect else ""
            yield Leaver(name, cut, dialect, cancel, usage, upstream, script + told + apart, way, dice.randrange(2, _TOKENS // 2))


def _upstream(dialect: str, usage: str, turn: int) -> str:
    """Its own dialect, now and then another one. Responses tells no usage before its end: what does is another dialect."""
    others = [each for each in CLIENTS if each != dialect]
    crosses = turn % _CROSSED == _CROSSED - 1 or (dialect, usage) == ("responses", "in-stream")
    return others[turn // _CROSSED % len(others)] if crosses else dialect


def configuration(url: str, cast: Iterable[Leaver]) -> str:
    """The whole file: a provider of each dialect and cancel rule, and every model that is asked for."""
    providers = [
        f'[[providers]]\nname = "{dialect}-{cancel}"\nkind = "{PROVIDERS[dialect][0]}"\nbase_url = "{url}{PROVIDERS[dialect][1]}"\n'
        f'api_key = "sk-any"\ncancel = "{rule}"\n'
        for dialect in CLIENTS
        for cancel, rule in CANCELS.items()
    ]
    models = {leaver.model: (f"{leaver.upstream}-{leaver.cancel}", leaver.theirs) for leaver in cast} | {
        PROBE: ("chat-stopping", "sim/echo")
    }
    rows = [
        f'[[models]]\nid = "{model}"\nmax_output = {CAP}\nprice = {{ input = "{INPUT_USD}", output = "{OUTPUT_USD}" }}\n'
        f'offers = [{{ provider = "{provider}", model = "{theirs}" }}]\n'
        for model, (provider, theirs) in models.items()
    ]
    return "\n".join([*providers, *rows])
