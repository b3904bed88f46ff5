"""OpenAI's legacy completions: a prompt becomes text, whole or in frames. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from halley.simulator.chat import MOST_CHOICES, usage
from halley.simulator.heard import Heard, Turn, Wishes, hear
from halley.simulator.plan import CREATED, Choice, Frame, Reply, reported
from halley.simulator.reading import Node, check, flag
from halley.simulator.schema import Json
from halley.simulator.script import Script

_FINISHES = {"length": "length", "filter": "content_filter", "blocked": "content_filter"}
# OpenAI's own default, unlike chat's.
_CAP = 16


def read(body: bytes) -> Heard:
    """Raises BadBody."""
    top = Node.of(body)
    prompt = top.need("prompt")
    prompts = _prompts(prompt)
    check(top, {"temperature": lambda node: node.number(0, 2), "max_tokens": lambda node: node.whole(0)})
    options, count, cap, stop = top.find("stream_options"), top.find("n"), top.find("max_tokens"), top.find("stop")
    wishes = Wishes(
        stream=flag(top, "stream"),
        include_usage=options is not None and flag(options, "include_usage"),
        count=(count.whole(1, MOST_CHOICES) if count is not None else 1) * len(prompts),
        cap=cap.whole() if cap is not None else _CAP,
        stops=() if stop is None else (stop.text(),) if isinstance(stop.value, str) else tuple(stop.texts()),
        thinks=False,
    )
    return hear(top.need("model").text(), [Turn("user", tuple(prompts))], wishes, [prompt.value], top.fields())


def document(reply: Reply, heard: Heard, script: Script) -> Json:
    choices: list[Json] = [
        _choice(index, _text(choice), _finish(choice) if script.finish else None) for index, choice in enumerate(reply.choices)
    ]
    body: dict[str, Json] = {**_top(reply), "choices": choices}
    if script.usage != "none":
        body["usage"] = usage(reported(reply.usage, script))
    return body


def frames(reply: Reply, heard: Heard, script: Script) -> Iterator[Frame]:
    top = _top(reply)
    for index, choice in enumerate(reply.choices):
        for part in choice.parts:
            for piece in part.pieces:
                yield Frame(msgspec.json.encode(top | {"choices": [_choice(index, piece, None)]}), 1)
        if script.finish:
            yield Frame(msgspec.json.encode(top | {"choices": [_choice(index, "", _finish(choice))]}))
    if heard.wishes.include_usage and script.usage != "none":
        yield Frame(msgspec.json.encode(top | {"choices": [], "usage": usage(reported(reply.usage, script))}))
    yield Frame(b"[DONE]")


def _top(reply: Reply) -> dict[str, Json]:
    return {"id": f"cmpl-{reply.id}", "object": "text_completion", "created": CREATED, "model": reply.model}


def _choice(index: int, text: str, finish: str | None) -> Json:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}


def _finish(choice: Choice) -> str:
    return _FINISHES.get(choice.end, "stop")


def _text(choice: Choice) -> str:
    return "".join(piece for part in choice.parts for piece in part.pieces)


def _prompts(prompt: Node) -> list[str]:
    if isinstance(prompt.value, str):
        return [prompt.value]
    items = prompt.items()
    if not items:
        raise prompt.bad("`prompt` must not be empty.")
    if all(isinstance(item.value, int) for item in items):
        return [" ".join(str(item.whole(0)) for item in items)]
    return [item.text() if isinstance(item.value, str) else " ".join(str(token.whole(0)) for token in item.items()) for item in items]
