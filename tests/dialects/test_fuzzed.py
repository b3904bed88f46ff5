"""Whatever a client or a provider sends, a reader reads it or says that it cannot; no other exception gets out, and every stream ends.

A few hundred mutants of every dialect's fixtures, the same in each run; `script/soak fuzz` looks for new ones.
"""

from __future__ import annotations

import json
import random

import pytest

from tests.harness import held, mutants
from tests.harness.goldens import FIXTURES

MANY = 400


@pytest.mark.parametrize("name", held.SPOKEN)
def test_any_ask_is_read_or_refused(name: str) -> None:
    dice = random.Random(f"asks of {name}")
    documents = mutants.documents(mutants.fixtures(FIXTURES, "asks", name))
    for _ in range(MANY):
        held.an_ask(name, mutants.mutant(dice.choice(documents), documents, dice))


@pytest.mark.parametrize("name", held.SPOKEN)
def test_any_answer_is_read_or_unreadable(name: str) -> None:
    dice = random.Random(f"answers of {name}")
    documents = mutants.documents(mutants.fixtures(FIXTURES, "answers", name))
    for _ in range(MANY):
        held.an_answer(name, mutants.mutant(dice.choice(documents), documents, dice))


@pytest.mark.parametrize("name", held.SPOKEN)
def test_any_stream_is_read_or_unreadable_and_ends_once(name: str) -> None:
    dice = random.Random(f"streams of {name}")
    streams = [mutants.events(stream) for stream in mutants.fixtures(FIXTURES, "streams", name)]
    for _ in range(MANY):
        held.a_stream(name, mutants.mutant_stream(dice.choice(streams), streams, dice))


@pytest.mark.parametrize("name", held.SPOKEN)
def test_any_value_of_an_ask_may_be_of_any_kind(name: str) -> None:
    for document in mutants.documents(mutants.fixtures(FIXTURES, "asks", name)):
        for holder, key in list(mutants.places(document)):
            kept = holder[key]
            for odd in ({"a": "halley.1.anthropic:x.next:"}, [], 1.5, "https://a]b/c.png"):
                holder[key] = odd
                held.an_ask(name, json.dumps(document).encode())
            holder[key] = kept
