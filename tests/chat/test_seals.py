"""Opaque state goes to its maker alone, whatever it travelled through."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from halley.chat import seals
from halley.chat.model import Seal

NAMES = st.text(min_size=1, max_size=30)
DIALECTS = st.sampled_from(["anthropic", "gemini", "openai_responses"])


@given(DIALECTS, NAMES, st.text(max_size=200), DIALECTS)
def test_a_label_comes_off_as_it_was_put_on(dialect: str, provider: str, value: str, through: str) -> None:
    seal = Seal(seals.origin(dialect, provider), value)
    assert seals.read(seals.labelled(seal), through) == seal


@given(st.text(max_size=200), DIALECTS)
def test_what_has_no_label_is_of_the_dialect_it_stands_in(value: str, dialect: str) -> None:
    if not value.startswith(seals.PREFIX):
        assert seals.read(value, dialect) == Seal(f"{dialect}:", value)


def test_a_seal_opens_for_its_maker_alone() -> None:
    made = Seal(seals.origin("anthropic", "main account"), "c2ln")
    assert seals.opens(made, seals.origin("anthropic", "main account"))
    assert not seals.opens(made, seals.origin("anthropic", "other"))
    assert not seals.opens(made, seals.origin("gemini", "main account"))


def test_one_without_a_maker_opens_for_any_provider_of_its_dialect() -> None:
    unlabelled = seals.read("c2ln", "anthropic")
    assert seals.opens(unlabelled, seals.origin("anthropic", "any"))
    assert not seals.opens(unlabelled, seals.origin("gemini", "any"))
