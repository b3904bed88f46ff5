"""Ten times as much of anything costs about ten times as much: no reader and no writer of streams looks twice at what it has seen."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator

import pytest

from halley.chat.doors import Asked, Doors
from halley.chat.events import Delta, Event, Finished, PartEnded, PartStarted, Started
from halley.chat.model import Ask, Citation, Finish, Function, Part, Seal, Text, Thinking, ToolCall
from halley.chat.usage import Usage
from halley.dialects import DOORS
from halley.wire import sse

FEW = 1000
TIMES = 10
# Ten, and what a busy machine adds to the better of several rounds. What is squared costs a hundred.
MOST = 20
ROUNDS = 4
WORD = "A sentence of about eighty bytes, as a provider would send it in one of its chunks. "
SOURCE = Citation(url="https://example.org/a", title="A", start=0, end=4)
TOOLS = tuple(Function(f"f{index}") for index in range(3))
ASKED = Asked(Ask(model="m", turns=(), tools=TOOLS, wants_usage=True), "m", "ID", 1)

Say = Callable[[int], Iterator[Event]]


def part(begins: Part, pieces: Iterable[str], seal: Seal | None = None, cited: tuple[Citation, ...] = ()) -> Iterator[Event]:
    yield PartStarted(begins)
    yield from map(Delta, pieces)
    yield PartEnded(seal, cited)


def many_chunks(size: int) -> Iterator[Event]:
    yield from part(Text(""), [WORD] * size)


def one_long_chunk(size: int) -> Iterator[Event]:
    yield from part(Text(""), [WORD * size])


def many_thoughts(size: int) -> Iterator[Event]:
    for index in range(size):
        yield from part(Thinking(""), [WORD], Seal("anthropic:x", f"c2ln{index}"))


def a_long_thought(size: int) -> Iterator[Event]:
    yield from part(Thinking(""), [WORD] * size, Seal("anthropic:x", "c2ln"))


def long_arguments(size: int) -> Iterator[Event]:
    yield from part(ToolCall("c", "f0", ""), ['{"list":["', *[WORD + '","'] * size, '"]}'])


def many_calls(size: int) -> Iterator[Event]:
    for index in range(size):
        yield from part(ToolCall(f"c{index}", "f1", ""), ['{"a":', f"{index}}}"])


def many_sources(size: int) -> Iterator[Event]:
    places = [(index, index * len(WORD)) for index in range(size)]
    sources = [Citation(url=f"https://example.org/{index}", title="A", start=place, end=place + 9) for index, place in places]
    yield from part(Text(""), [WORD] * size, cited=tuple(sources))


def many_parts_with_a_source(size: int) -> Iterator[Event]:
    for _ in range(size):
        yield from part(Text(""), [WORD], cited=(SOURCE,))


SAID: tuple[Say, ...] = (
    many_chunks, one_long_chunk, many_thoughts, a_long_thought, long_arguments, many_calls, many_sources, many_parts_with_a_source,
)  # fmt: skip


def whole(say: Say, size: int) -> list[list[Event]]:
    """Events as they come, one at a time."""
    inner = [[event] for event in say(size)]
    return [[Started("id", "m", 1)], *inner, [Finished(Finish("stop"), Usage(1, 1))]]


def write(doors: Doors, said: list[list[Event]]) -> bytes:
    writer = doors.write_stream(ASKED)
    return b"".join([writer.write(events) for events in said])


def read(doors: Doors, frames: list[tuple[bytes, bytes]]) -> int:
    reader = doors.read_stream(f"{doors.name}:x", "ID")
    return sum(len(reader.feed(payload, name)) for name, payload in frames) + len(reader.end())


def ratio(cost: Callable[[int], Callable[[], object]]) -> float:
    """What ten times as much costs, in the first round that is good enough, or the best. `cost` makes what is measured for a size."""
    few, many = cost(FEW), cost(FEW * TIMES)
    found = float("inf")
    for _ in range(ROUNDS):
        found = min(found, spent(many) / spent(few))
        if found < MOST:
            break
    return found


def spent(work: Callable[[], object]) -> float:
    since = time.process_time()
    work()
    return time.process_time() - since


@pytest.mark.parametrize("say", SAID, ids=lambda say: say.__name__)
@pytest.mark.parametrize("name", DOORS)
def test_a_writer_of_streams_is_linear(name: str, say: Say) -> None:
    doors = DOORS[name]

    def cost(size: int) -> Callable[[], object]:
        said = whole(say, size)
        return lambda: write(doors, said)

    assert ratio(cost) < MOST


@pytest.mark.parametrize("say", SAID, ids=lambda say: say.__name__)
@pytest.mark.parametrize("name", DOORS)
def test_a_reader_of_streams_is_linear(name: str, say: Say) -> None:
    doors = DOORS[name]

    def cost(size: int) -> Callable[[], object]:
        frames = sse.named(write(doors, whole(say, size)))
        return lambda: read(doors, frames)

    assert ratio(cost) < MOST


# ---- streams that no writer writes ------------------------------------------------------------------------------------------------------


def framed(*payloads: object) -> list[tuple[bytes, bytes]]:
    return [(b"", json.dumps(payload).encode()) for payload in payloads]


def chunk(*calls: dict[str, object]) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}


def begun(index: int, arguments: str) -> dict[str, object]:
    return {"index": index, "id": f"c{index}", "function": {"name": "f", "arguments": arguments}}


def more(index: int, arguments: str) -> dict[str, object]:
    return {"index": index, "function": {"arguments": arguments}}


def a_call_beside_a_long_one(size: int) -> list[tuple[bytes, bytes]]:
    """Every piece looks as if it could be the last."""
    pieces = [chunk(more(0, f'"{WORD}":""')) for _ in range(size)]
    return framed(chunk(begun(0, '{"a":""')), chunk(begun(1, "{}")), *pieces, chunk(more(0, "}")))


def calls_side_by_side(size: int) -> list[tuple[bytes, bytes]]:
    indices = range(size)
    return framed(*(chunk(begun(index, "{")) for index in indices), *(chunk(more(index, "}")) for index in indices))


def calls_from_the_last_to_the_first(size: int) -> list[tuple[bytes, bytes]]:
    indices = range(size, 0, -1)
    return framed(*(chunk(begun(index, "{")) for index in indices), *(chunk(more(index, "}")) for index in indices))


def calls_in_one_chunk(size: int) -> list[tuple[bytes, bytes]]:
    return framed(chunk(*(begun(index, "{}") for index in range(size))))


def items_side_by_side(size: int) -> list[tuple[bytes, bytes]]:
    def event(kind: str, index: int, **fields: object) -> dict[str, object]:
        return {"type": f"response.{kind}", "output_index": index, **fields}

    def item(index: int) -> dict[str, object]:
        return {"type": "function_call", "id": f"fc{index}", "call_id": f"c{index}", "name": "f", "arguments": ""}

    indices = range(size)
    return framed(
        *(event("output_item.added", index, item=item(index)) for index in indices),
        *(event("function_call_arguments.delta", index, delta="{}") for index in indices),
        *(event("output_item.done", index, item=item(index) | {"arguments": "{}"}) for index in reversed(indices)),
        event("completed", 0, response={"status": "completed"}),
    )


def signature_in_pieces(size: int) -> list[tuple[bytes, bytes]]:
    pieces = [{"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": WORD}}] * size
    begin = {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}
    return framed({"type": "message_start", "message": {}}, begin, *pieces, {"type": "content_block_stop"}, {"type": "message_stop"})


def citations_in_pieces(size: int) -> list[tuple[bytes, bytes]]:
    source = {"type": "char_location", "cited_text": "a"}
    pieces = [{"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": source}}] * size
    begin = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    return framed({"type": "message_start", "message": {}}, begin, *pieces, {"type": "content_block_stop"}, {"type": "message_stop"})


def unknown_parts_in_one_frame(size: int) -> list[tuple[bytes, bytes]]:
    parts = [{"executableCode": {"language": "PYTHON", "code": "1"}}] * size
    return framed({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]})


def many_candidates(size: int) -> list[tuple[bytes, bytes]]:
    frame = {"candidates": [{"index": index, "content": {"parts": [{"text": WORD}]}} for index in range(2)]}
    return framed(*[frame] * size)


ODD: tuple[tuple[str, Callable[[int], list[tuple[bytes, bytes]]]], ...] = (
    ("openai_chat", a_call_beside_a_long_one),
    ("openai_chat", calls_side_by_side),
    ("openai_chat", calls_from_the_last_to_the_first),
    ("openai_chat", calls_in_one_chunk),
    ("openai_responses", items_side_by_side),
    ("anthropic", signature_in_pieces),
    ("anthropic", citations_in_pieces),
    ("gemini", unknown_parts_in_one_frame),
    ("gemini", many_candidates),
)


@pytest.mark.parametrize("name, make", ODD, ids=lambda value: value if isinstance(value, str) else value.__name__)
def test_an_adversarial_stream_is_read_in_linear_time(name: str, make: Callable[[int], list[tuple[bytes, bytes]]]) -> None:
    def cost(size: int) -> Callable[[], object]:
        frames = make(size)
        return lambda: read(DOORS[name], frames)

    assert ratio(cost) < MOST


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_a_frame_that_comes_in_many_pieces_is_put_together_in_linear_time(end: bytes) -> None:
    def cost(size: int) -> Callable[[], object]:
        pieces = [b"data: ", *[WORD.encode()] * size, end, b":"]

        def work() -> None:
            splitter = sse.Splitter()
            assert sum(len(splitter.complete(piece)) for piece in pieces) == sum(map(len, pieces)) - 1

        return work

    assert ratio(cost) < MOST


def test_items_that_wait_for_the_first_are_told_in_linear_time() -> None:
    """Sixty times as many, because what was squared here cost little each time."""

    def cost(size: int) -> Callable[[], object]:
        frames = items_side_by_side(size)
        return lambda: read(DOORS["openai_responses"], frames)

    few, many = cost(FEW), cost(60 * FEW)
    assert min(spent(many) / spent(few) for _ in range(2)) < 60 * 2
