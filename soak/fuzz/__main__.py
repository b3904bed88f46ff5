"""One fuzzer: `python -m soak.fuzz [libFuzzer's flags] CORPUS`. It ends with status 0 after its time, and else shows what broke.

The first byte of an input says what the rest is: a dialect's ask, answer or stream, or bytes for a parser of `wire`. Every second mutation
is one of a document (`tests.harness.mutants`), every other libFuzzer's own, so that neither shape nor letters are ever taken for granted.
"""

from __future__ import annotations

import random
import sys

import atheris  # pyright: ignore[reportMissingImports]

with atheris.instrument_imports(include=["halley"]):  # pyright: ignore[reportUnknownMemberType]
    from soak.fuzz.targets import TARGETS, spoiled


def run(data: bytes) -> None:
    if data:
        TARGETS[data[0] % len(TARGETS)].hold(data[1:])


def mutate(data: bytes, most: int, seed: int) -> bytes:
    dice = random.Random(seed)
    made = spoiled(data, dice) if data and dice.random() < 0.5 else None
    return made if made is not None and len(made) <= most else atheris.Mutate(data, most)  # pyright: ignore


def main() -> None:
    atheris.Setup(sys.argv, run, custom_mutator=mutate)  # pyright: ignore[reportUnknownMemberType]
    atheris.Fuzz()  # pyright: ignore[reportUnknownMemberType]


if __name__ == "__main__":
    main()
