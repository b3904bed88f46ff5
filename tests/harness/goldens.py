"""The goldens: what each fixture of a dialect becomes in every other one, with what is lost on the way. They are the specification.

`fixtures/asks|answers|streams/DIALECT/CASE.json|sse` are written by hand. Beside each stands, for every other dialect, `CASE.to-OTHER`:
made by `script/goldens`, read by a reviewer as a diff, and held against the code by `tests/dialects/test_goldens.py`. Asks and answers are
one JSON document with `losses` and either `body` or `refused`; a stream is the stream, with its losses as a comment in front.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from halley.chat import seals
from halley.chat.doors import Asked, Doors, Target, Unreadable
from halley.chat.model import Ask, Loss, Text, Turn
from halley.dialects import DOORS
from halley.dialects.bridge import Bridge, carried
from halley.errors import Refused
from halley.wire import sse

FIXTURES = Path(__file__).parents[2] / "fixtures"
MODEL = "the-model"
_CREATED = 1_767_225_600
_ID = "0123456789ABCDEFGHJKMNPQRS"


class Golden(NamedTuple):
    """One made file: where it stands and what has to be in it."""

    path: Path
    text: str


def goldens() -> Iterator[Golden]:
    for kind, suffix, make in _KINDS:
        for source in sorted((FIXTURES / kind).glob(f"*/*{suffix}")):
            if ".to-" in source.name:
                continue
            mine = DOORS[source.parent.name]
            for other in DOORS.values():
                if other is not mine:
                    name = f"{source.name.removesuffix(suffix)}.to-{other.name}{suffix}"
                    yield Golden(source.with_name(name), make(source.read_bytes(), mine, other))


def read(doors: Doors, body: bytes) -> Ask:
    ask = doors.read_ask(body)
    return msgspec.structs.replace(ask, model=MODEL)


def target(doors: Doors) -> Target:
    return Target("upstream-model", seals.origin(doors.name, "upstream"), most_output=8192)


def _ask(body: bytes, mine: Doors, other: Doors) -> str:
    """An ask of `mine` at a provider that speaks `other`."""
    try:
        written = carried(read(mine, body), mine, other, target(other))
    except Refused as refusal:
        return _document({"refused": {"message": refusal.message, "param": refusal.param}})
    return _document({"losses": _losses(written.losses), "body": json.loads(written.body)})


def _asked(mine: Doors) -> Asked:
    return Asked(Ask(model=MODEL, turns=(Turn("user", (Text("hello"),)),), wants_usage=True), MODEL, _ID, _CREATED)


def _answer(body: bytes, mine: Doors, other: Doors) -> str:
    """An answer of a provider that speaks `mine`, for a client of `other`."""
    answer = mine.read_answer(body, seals.origin(mine.name, "upstream"), _ID)
    written = other.write_answer(answer, _asked(other))
    return _document({"losses": _losses((*answer.losses, *written.losses)), "body": json.loads(written.body)})


def _stream(data: bytes, mine: Doors, other: Doors) -> str:
    """Frame by frame, so that the golden shows what each of the provider's frames makes."""
    asked = _asked(other)
    ask = asked.ask
    bridge = Bridge(other, mine, target(mine), asked, carried(ask, other, mine, target(mine)))
    stream = bridge.stream()
    out = b"".join([stream.feed(frame) for frame in sse.frames(data)]) + stream.end()
    lost = "".join(f": lost {loss.path}: {loss.reason}\n" for loss in stream.losses)
    return (lost + "\n" if lost else "") + out.decode()


def _losses(losses: tuple[Loss, ...]) -> list[dict[str, str]]:
    return [{"path": loss.path, "reason": loss.reason} for loss in losses]


def _document(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


_KINDS: tuple[tuple[str, str, Callable[[bytes, Doors, Doors], str]], ...] = (
    ("asks", ".json", _ask),
    ("answers", ".json", _answer),
    ("streams", ".sse", _stream),
)

__all__ = ["Golden", "Unreadable", "goldens"]


def main() -> None:
    """Writes all of them, and takes away those whose case is gone."""
    argparse.ArgumentParser(prog="script/goldens", description=__doc__).parse_args()
    made = {golden.path: golden.text for golden in goldens()}
    changed = [path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in changed:
        path.write_text(made[path], encoding="utf-8")
    old = [path for kind, suffix, _ in _KINDS for path in (FIXTURES / kind).glob(f"*/*.to-*{suffix}") if path not in made]
    for path in old:
        path.unlink()
    print(f"{len(made)} goldens, {len(changed)} changed, {len(old)} removed; git diff fixtures shows how")
    from tests.harness.crossing_pages import pages  # it reads what was written here

    for page in pages():
        page.path.write_text(page.text, encoding="utf-8")


if __name__ == "__main__":
    main()
