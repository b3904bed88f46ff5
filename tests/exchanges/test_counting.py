"""Counting: what of an answer counts, in each dialect's words."""

from __future__ import annotations

import pytest

from halley.chat.usage import Usage
from halley.dialects import Dialect
from halley.exchanges.counting import CONTENTS, MESSAGES, RESPONSES


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (MESSAGES, b'{"input_tokens":7}'),
        (RESPONSES, b'{"object":"response.input_tokens","input_tokens":7}'),
        (CONTENTS, b'{"totalTokens":7}'),
    ],
)
def test_a_count_is_an_answer_that_nobody_pays(dialect: Dialect, body: bytes) -> None:
    whole = dialect.read_whole(body)
    assert whole is not None and (whole.usage, whole.answered) == (Usage(), True)
    assert dialect.swap is not None and dialect.swap.read_answer(body).input == 7
    assert not dialect.billed
    for other, answered in ((b'{"input_tokens":"x"}', False), (b"[]", None), (b"<html>", None)):
        whole = dialect.read_whole(other)
        assert (None if whole is None else whole.answered) is answered
