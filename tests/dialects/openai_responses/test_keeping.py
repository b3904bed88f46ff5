"""State of another dialect comes back as it went, with what it clings to; this dialect's own stands bare."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halley.chat.model import Seal
from halley.dialects.openai_responses import keeping


@given(st.sampled_from(get_args(keeping.Clings)), st.text())
def test_a_foreign_seal_comes_back_with_what_it_clings_to(clings: keeping.Clings, value: str) -> None:
    seal = Seal("anthropic:main", value)
    assert keeping.read(keeping.written(seal, clings)) == (seal, clings)


def test_an_own_seal_stands_bare() -> None:
    assert keeping.written(Seal("openai_responses:p", "gAAA"), "thinking") == "gAAA"
    assert keeping.read("gAAA") == (Seal("openai_responses:", "gAAA"), None)


def test_an_own_seal_knows_the_id_of_its_item() -> None:
    seal = keeping.sealed("openai_responses:p", "rs_1", "gAAA")
    assert seal is not None and keeping.unsealed(seal) == ("rs_1", "gAAA")
    assert keeping.written(seal, "summary") == "gAAA"
    assert keeping.sealed("openai_responses:p", None, "gAAA") == Seal("openai_responses:p", "gAAA")
    assert keeping.unsealed(Seal("openai_responses:", "gAAA")) == (None, "gAAA")
    assert keeping.sealed("openai_responses:p", "rs_1", None) is None


@pytest.mark.parametrize("value", ["abc", "", "other:abc"])
def test_a_label_that_was_not_made_here_is_of_thinking(value: str) -> None:
    assert keeping.read(f"halley.1.gemini:g.{value}") == (Seal("gemini:g", value), "thinking")
