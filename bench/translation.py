"""What a chunk of a stream costs beyond its passing when provider and client speak different dialects: CPU, without sockets.

A stream that passes is cut into frames and metered; one that crosses is read and written besides, by the bridge of its request, and that is
measured: one frame at a time, in the middle of a long part, for each pair of dialects and each kind of chunk. As in `bench.harness`,
batches are timed beside one of the reference loop, and the quiet moments count.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

from bench.arithmetic import percentile
from bench.reference import reference
from halley.chat.doors import Asked, Doors, Target
from halley.chat.events import Delta, Event, PartStarted, Started
from halley.chat.model import Ask, Function, Part, Text, Thinking, ToolCall, Turn
from halley.dialects import DOORS
from halley.dialects.bridge import Bridge, Stream, carried

CHUNKS = 200
_REFERENCES = 96
# In microseconds where the reference loop takes `REFERENCE_US`. A whole call is up to four events at its client.
LIMITS_US = {"text": 3.0, "tool": 5.0, "thinking": 5.0, "call": 10.0}
REFERENCE_US = 18.0
_TOOL = Function("weather")
_ASKED = Asked(Ask(model="m", turns=(Turn("user", (Text("hello"),)),), tools=(_TOOL,), wants_usage=True), "m", "ID", 1_767_225_600)
_PARTS: dict[str, tuple[Part, str]] = {
    "text": (Text(""), "and then the "),
    "tool": (ToolCall("call_1", "weather", ""), '"city":"P",'),
    "thinking": (Thinking(""), "so perhaps I "),
}
_WHOLE_CALLS = "gemini"  # has no pieces of a call
_CALL = (
    b'data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"weather","args":{"city":"P"}}}],"role":"model"},"index":0}],'
    b'"modelVersion":"m","responseId":"r"}\n\n'
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of CPU for one chunk of a kind, and the reference loop's beside it."""

    kind: str
    provider: str
    client: str
    cpu_us: float
    reference_us: float

    @property
    def ratio(self) -> float:
        return self.cpu_us / self.reference_us

    @property
    def on_reference_us(self) -> float:
        """What it would take where the reference loop takes `REFERENCE_US`."""
        return self.ratio * REFERENCE_US


def crossings() -> Iterator[tuple[str, Doors, Doors]]:
    """Kind of chunk, provider and client."""
    for kind in _PARTS:
        for provider, client in permutations(DOORS.values(), 2):
            yield "call" if kind == "tool" and provider.name == _WHOLE_CALLS else kind, provider, client


def frames(provider: Doors, kind: str) -> tuple[bytes, list[bytes]]:
    """The beginning of a provider's stream, and chunks of the part that has begun."""
    part, piece = _PARTS["text" if kind == "call" else kind]
    writer = provider.write_stream(_ASKED)
    begun: list[Event] = [Started("id", "m", 1), PartStarted(part), Delta(piece)]
    start = writer.write(begun)
    return start, [_CALL] * CHUNKS if kind == "call" else [writer.write([Delta(piece)]) for _ in range(CHUNKS)]


def crossing(provider: Doors, client: Doors) -> Stream:
    target = Target("upstream-model", f"{provider.name}:bench", most_output=8192)
    return Bridge(client, provider, target, _ASKED, carried(_ASKED.ask, client, provider, target)).stream()


def measure(batches: int = 60) -> list[Cost]:
    return [_cost(kind, provider, client, batches) for kind, provider, client in crossings()]


def _cost(kind: str, provider: Doors, client: Doors, batches: int) -> Cost:
    begin, chunks = frames(provider, kind)
    spent: list[float] = []
    beside: list[float] = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(batches):
            stream = crossing(provider, client)
            stream.feed(begin)
            feed = stream.feed
            began = time.thread_time()
            for frame in chunks:
                feed(frame)
            spent.append((time.thread_time() - began) / len(chunks))
            assert not stream.over
            began = time.thread_time()
            for _ in range(_REFERENCES // 8):
                reference()
            beside.append((time.thread_time() - began) / (_REFERENCES // 8))
    finally:
        gc.enable()
    return Cost(kind, provider.name, client.name, percentile(spent, 0.05) * 1e6, percentile(beside, 0.05) * 1e6)


def main() -> None:
    show(measure())


def show(costs: Sequence[Cost]) -> None:
    for cost in costs:
        mark = "" if cost.on_reference_us <= LIMITS_US[cost.kind] else "   over"
        print(
            f"{cost.kind:9} {cost.provider:17} to {cost.client:17} {cost.cpu_us:6.2f} us   ratio {cost.ratio:5.3f}"
            f"   on the reference machine {cost.on_reference_us:5.2f} us{mark}"
        )


if __name__ == "__main__":
    main()
