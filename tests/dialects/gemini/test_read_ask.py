"""A request as an ask: every knob, in both spellings, and nothing dropped."""

from __future__ import annotations

import json

import pytest

from halley.chat.model import Ask, Format, Reasoning
from halley.dialects.gemini import DOORS
from halley.errors import Refused
from tests.dialects.gemini.samples import ask, cases, plain


def config(**given: object) -> Ask:
    return DOORS.read_ask(json.dumps({"contents": [{"parts": []}], "generationConfig": given}).encode())


def test_the_path_says_the_model_and_whether_it_streams() -> None:
    found = ask("text")
    assert (found.model, found.stream, found.wants_usage) == ("", False, True)


def test_sampling() -> None:
    found = ask("sampling")
    assert (found.temperature, found.top_p, found.top_k, found.seed, found.n) == (0.7, 0.9, 64, 42, 1)
    assert (found.presence_penalty, found.frequency_penalty) == (0.5, -0.5)
    assert ask("length").max_output == 16
    assert ask("stop_sequence").stop == ("5", "six")
    assert ask("image_out").modalities == ("text", "image")
    assert ask("logprobs").logprobs == 2
    assert config(responseLogprobs=True).logprobs == 0


def test_log_probabilities_that_were_not_asked_for_are_an_extra() -> None:
    found = config(logprobs=3)
    assert found.logprobs is None and [extra.at for extra in found.extras] == ["generationConfig.logprobs"]


def test_formats() -> None:
    assert ask("json").format == Format("json")
    shape = ask("schema").format
    assert shape is not None and shape.kind == "schema" and shape.schema is not None
    assert plain(shape.schema) == {
        "type": "array",
        "minItems": 2,
        "items": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "minutes": {"type": ["integer", "null"]}},
            "required": ["name"],
            "propertyOrdering": ["name", "minutes"],
        },
    }
    untouched = config(responseMimeType="application/json", responseJsonSchema={"type": "OBJECT"}).format
    assert untouched is not None and plain(untouched.schema) == {"type": "OBJECT"}
    assert config(responseMimeType="text/plain").format is None
    assert [extra.at for extra in config(responseMimeType="text/x.enum", responseSchema={"enum": ["a"]}).extras] == [
        "generationConfig.responseMimeType",
        "generationConfig.responseSchema",
    ]


def test_thinking() -> None:
    assert ask("thinking").reasoning == Reasoning(show="auto")
    assert ask("effort").reasoning == Reasoning("low")
    assert ask("budget").reasoning == Reasoning(budget=2048, show="none")
    assert config(thinkingConfig={"thinkingBudget": -1}).reasoning == Reasoning(budget=-1)
    assert config().reasoning is None
    with pytest.raises(Refused, match="MINIMAL"):
        config(thinkingConfig={"thinkingLevel": "EXTREME"})


def test_both_spellings_mixed_at_every_level() -> None:
    found = ask("snake_case")
    assert (found.max_output, found.top_p, found.stop, found.reasoning) == (300, 0.9, ("END",), Reasoning(budget=1024, show="auto"))
    assert found.choice is not None and (found.choice.mode, found.choice.names) == ("any", ("look_up",))
    assert found.format is not None and plain(found.format.schema) == {
        "type": "object",
        "properties": {"the_answer": {"type": "string"}},
        "propertyOrdering": ["the_answer"],
    }
    assert [turn.role for turn in found.turns] == ["system", "user", "assistant", "user"]
    assert found.turns[1].parts[0].at == "contents[0].parts[0]"


def test_what_has_no_word_here_is_an_extra_with_its_place() -> None:
    found = ask("unknown_field")
    assert {extra.at: plain(extra.raw) for extra in found.extras} == {
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "labels": {"team": "red"},
        "fromTheFuture": {"a": [1, 2]},
        "generationConfig.enableAffectiveDialog": True,
        "generationConfig.mediaResolution": "MEDIA_RESOLUTION_LOW",
    }


def test_a_tier_of_service_is_a_word_in_small_letters() -> None:
    assert DOORS.read_ask(b'{"contents": [{}], "serviceTier": "FLEX"}').service_tier == "flex"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"[]", None),
        (b"{", None),
        (b"{}", "contents"),
        (b'{"contents": []}', "contents"),
        (b'{"contents": "hello"}', "contents"),
        (b'{"contents": [1]}', "contents[0]"),
        (b'{"contents": [{}], "generation_config": {"top_p": "much"}}', "generation_config.top_p"),
        (b'{"contents": [{}], "tools": 1}', "tools"),
    ],
)
def test_a_fault_is_named_in_the_callers_spelling(body: bytes, param: str | None) -> None:
    with pytest.raises(Refused) as refused:
        DOORS.read_ask(body)
    assert refused.value.param == param


@pytest.mark.parametrize("case", cases("asks"))
def test_every_sample_is_read(case: str) -> None:
    assert ask(case).turns
