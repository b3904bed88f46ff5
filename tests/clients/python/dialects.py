"""Drives the official SDK of one dialect through a gateway, against providers of every dialect, and prints what a program would see.

    python dialects.py SDK [async] < plan.json

SDK names a module beside this one, which says the same verbs in that SDK's words; `async` drives its asynchronous client. The plan, the
cases and what is printed are those of ../node/dialects.mjs. What must be seen is said in ../test_sdk_dialects.py.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import importlib
import importlib.metadata
import json
import sys
from collections.abc import Callable
from typing import Any

from blocking import blocking
from blocking import plain as plain_client

PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PAPER = base64.b64encode(b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n").decode()
WEATHER = {
    "name": "weather",
    "description": "The weather of a city.",
    "schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
        "additionalProperties": False,
    },
}
MOST_TURNS = 6
FACTS = ("text", "finish", "input", "output", "request_id")

Model = Callable[[str], str]
Piece = Callable[[], None]

plan = json.load(sys.stdin)
words = importlib.import_module(sys.argv[1])
client_of = blocking if sys.argv[2:] == ["async"] else plain_client


class Enough(Exception):
    """A program has read as much of a stream as it wants."""


def nothing() -> None:
    pass


@functools.cache
def connect(key: str = "main") -> Any:
    """One client for all cases, as a program has one: to make one takes a while."""
    return words.Sdk(plan["url"], plan["keys"][key], client_of)


def loop(model: str, **how: Any) -> dict[str, Any]:
    """The whole loop: ask, let every tool answer, ask again, until the model only talks."""
    client = connect()
    turns = [client.user("How is the weather?")]
    seen: dict[str, Any] = {"turns": 0, "calls": [], "ids": 0, "thoughts": ""}
    while seen["turns"] < MOST_TURNS:
        said = client.ask(nothing, model=model, turns=turns, tools=[WEATHER], **how)
        seen["turns"] += 1
        seen["thoughts"] += said["thoughts"]
        if not said["calls"]:
            return {**seen, "text": said["text"], "finish": said["finish"]}
        seen["calls"].append([[call["name"], call["arguments"]] for call in said["calls"]])
        seen["ids"] += len({call["id"] for call in said["calls"]})
        turns += [*said["turn"], *client.results(said["calls"], [f"rain {index}" for index in range(len(said["calls"]))])]
    return {**seen, "text": None, "finish": None}


def medium(model: str, mime: str, data: str) -> dict[str, Any]:
    client = connect()
    return {"text": client.ask(nothing, model=model, turns=[client.user("What is this?", [(mime, data)])])["text"]}


def plain(model: str, text: str = "Say hello to the harbour.", piece: Piece = nothing, key: str = "main", **how: Any) -> dict[str, Any]:
    client = connect(key)
    said = client.ask(piece, model=model, turns=[client.user(text)], **how)
    return {name: said[name] for name in (*FACTS, "pieces")}


def failure(model: str, **how: Any) -> dict[str, Any]:
    """What the SDK makes of a refusal or a break: its own exception and every field that a program would look at."""
    pieces = 0

    def piece() -> None:
        nonlocal pieces
        pieces += 1

    try:
        answered = plain(model, piece=piece, **how)
    except Exception as error:  # whatever the SDK raises is a fact
        said = {"class": type(error).__name__, "pieces": pieces, "message": str(error)[:400]}
        return said | connect().failure(error)
    return {"class": None, "pieces": pieces, "answered": {name: answered[name] for name in FACTS}}


def every_shape(model: Model) -> dict[str, str]:
    seen: dict[str, str] = {}
    for shape in plan["shapes"] + plan["late"].get(model("").rstrip("/"), []):
        try:
            seen[shape] = plain(model(shape), "Grüße, 世界 🌍", stream=True)["text"]
        except Exception as error:  # the next shape is read all the same
            seen[shape] = f"{type(error).__name__}: {error}"
    return seen


def left_early(model: Model) -> dict[str, Any]:
    pieces = 0

    def piece() -> None:
        nonlocal pieces
        pieces += 1
        if pieces == 2:
            raise Enough

    with contextlib.suppress(Enough):
        plain(model("slow"), piece=piece, stream=True)
    return {"pieces": pieces, "text_after": plain(model("words"))["text"]}


def loop_of_the_sdk(model: Model) -> dict[str, Any] | None:
    """Of which a program sees the end alone; None where this major has none."""
    client = connect()
    called: list[dict[str, Any]] = []
    if not hasattr(client, "loop"):
        return None
    text = client.loop(model("tool"), [client.user("How is the weather?")], called)
    return {"text": text, "called": called}


def structured(model: Model) -> dict[str, Any]:
    client = connect()
    value = client.structured(model=model("echo"), turns=[client.user("Where?")])
    return {"fits": isinstance(value, words.Place), "value": value.model_dump()}


def count(model: Model) -> dict[str, Any]:
    client = connect()
    has = hasattr(client, "count")
    return {"tokens": client.count(model("words"), [client.user("Say hello to the harbour.")]) if has else None}


def stored(model: Model) -> dict[str, Any] | None:
    client = connect()
    return client.stored(model("words")) if hasattr(client, "stored") else None


def embedding(model: Model) -> dict[str, Any] | None:
    client = connect()
    if not hasattr(client, "embed"):
        return None
    try:
        vectors = client.embed(model("echo"), ["north", "south"])
    except Exception as error:  # a refusal is a fact
        return {"refused": client.failure(error)["status"]}
    return {"lengths": [len(vector) for vector in vectors], "differ": vectors[0] != vectors[1]}


CASES: dict[str, Callable[[Model], Any]] = {
    "text": lambda model: plain(model("words")),
    "stream": lambda model: plain(model("words"), stream=True),
    "stream_helper": lambda model: plain(model("words"), stream=True, helper=True),
    "stream_of_tricky_text": lambda model: plain(model("echo"), plan["tricky"], stream=True),
    "stream_of_every_shape": every_shape,
    "stream_left_early": left_early,
    "refusal": lambda model: plain(model("refusal")),
    "refusal_streamed": lambda model: plain(model("refusal"), stream=True),
    "filter": lambda model: plain(model("filter")),
    "filter_streamed": lambda model: plain(model("filter"), stream=True),
    "length": lambda model: plain(model("long"), cap=20),
    "tools": lambda model: loop(model("tool")),
    "tools_streamed": lambda model: loop(model("tool"), stream=True),
    "parallel_tools": lambda model: loop(model("parallel")),
    "parallel_tools_streamed": lambda model: loop(model("parallel"), stream=True),
    "thinking": lambda model: loop(model("thinking"), think=True),
    "thinking_streamed": lambda model: loop(model("thinking"), think=True, stream=True),
    "loop_of_the_sdk": loop_of_the_sdk,
    "picture": lambda model: medium(model("echo"), "image/png", PICTURE),
    "paper": lambda model: medium(model("echo"), "application/pdf", PAPER),
    "structured": structured,
    "models": lambda _: {"ids": connect().models()},
    "count": count,
    "stored": stored,
    "embedding": embedding,
    "refused_key": lambda model: failure(model("words"), key="wrong"),
    "refused_key_for_a_stream": lambda model: failure(model("words"), key="wrong", stream=True),
    "unknown_model": lambda _: failure("nobody/nothing"),
    "upstream_400": lambda model: failure(model("status_400")),
    "upstream_429": lambda model: failure(model("status_429")),
    "upstream_500": lambda model: failure(model("status_500")),
    "upstream_500_for_a_stream": lambda model: failure(model("status_500"), stream=True),
    "broken_stream": lambda model: failure(model("cut"), stream=True),
    "failed_stream": lambda model: failure(model("error_frame"), stream=True),
}


def main() -> None:
    for upstream in plan["upstreams"]:

        def model(script: str, upstream: str = upstream) -> str:
            return f"{upstream}/{plan['scripts'].get(script, script)}"

        for name, run in CASES.items():
            try:
                line = {"seen": run(model)}
            except Exception as error:  # the next case runs all the same
                line = {"failed": f"{type(error).__name__}: {error}"[:2000]}
            print(json.dumps({"upstream": upstream, "case": name, **line}), flush=True)
    version = importlib.metadata.version(words.PACKAGE)
    print(json.dumps({"upstream": "", "case": "version", "seen": {"version": version}}), flush=True)


if __name__ == "__main__":
    main()
