"""An ask as a request body: tools, choice, knobs, and what this dialect cannot say."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from halley.chat.model import (
    Ask,
    Cache,
    Choice,
    Extra,
    Format,
    FreeTool,
    Function,
    Hosted,
    Image,
    Inline,
    Reasoning,
    Seal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Turn,
    Voice,
    WebSearch,
)
from halley.dialects.gemini import DOORS
from halley.errors import Refused
from tests.dialects.gemini.samples import NEWER, OWN, TARGET, ask, cases, plain, reread, written

ASK = Ask(model="m", turns=(Turn("user", (Text("hello"),)),))


def config(target=TARGET, **fields: object) -> tuple[object, list[str]]:
    made = DOORS.write_ask(replace(ASK, **fields), target)
    return written(replace(ASK, **fields), target).get("generationConfig"), [loss.path for loss in made.losses]


# Spelled otherwise, with media of a result where the model takes them, or with names of files and asks for several answers.
_OTHERWISE = ("snake_case", "tool_result_image", "several", "agent", "document_text")


@pytest.mark.parametrize("case", [case for case in cases("asks") if case not in _OTHERWISE])
def test_what_was_read_is_written_and_read_as_the_same(case: str) -> None:
    found = ask(case)
    made = DOORS.write_ask(found, NEWER if case == "effort" else TARGET)
    assert not made.losses
    again = plain(DOORS.read_ask(made.body))
    assert _without_places(again) == _without_places(plain(found))


def _without_places(value: object) -> object:
    """`at` moves when results and their images are laid out anew."""
    if isinstance(value, dict):
        return {key: _without_places(each) for key, each in value.items() if key != "at"}
    return [_without_places(each) for each in value] if isinstance(value, list) else value


def test_schemas_go_out_untouched() -> None:
    schema = Raw(b'{"type":"object","additionalProperties":false,"$schema":"x"}')
    made = DOORS.write_ask(replace(ASK, tools=(Function("f", "d", schema),), format=Format("schema", schema, "shape")), TARGET)
    assert made.body.count(bytes(schema)) == 2 and not made.losses
    assert written(replace(ASK, tools=(Function("f"),)))["tools"] == [{"functionDeclarations": [{"name": "f"}]}]


def test_tools() -> None:
    tools = (
        Function("f", strict=True, cache=Cache(), at="tools[0]"),
        WebSearch(size="high", at="tools[1]"),
        WebSearch(blocked=("a.example",)),
        Hosted("gemini", "codeExecution", Raw(b'{"codeExecution":{}}')),
    )
    found = replace(ASK, tools=tools)
    assert written(found)["tools"] == [
        {"functionDeclarations": [{"name": "f"}]},
        {"googleSearch": {}},
        {"googleSearch": {"excludeDomains": ["a.example"]}},
        {"codeExecution": {}},
    ]
    assert [loss.path for loss in DOORS.write_ask(found, TARGET).losses] == ["tools[0].strict", "tools[0]", "tools[1]"]


@pytest.mark.parametrize(
    "tool",
    [Hosted("anthropic", "bash", Raw(b"{}"), at="here"), FreeTool("f", namespace="a", at="here")],
)
def test_a_tool_that_cannot_be_said_is_refused(tool) -> None:
    with pytest.raises(Refused) as refused:
        DOORS.write_ask(replace(ASK, tools=(Function("f", namespace="a"), tool)), TARGET)
    assert refused.value.param == "here"


def test_a_tool_in_a_language_of_its_own_is_a_function_of_one_text_and_namespaces_are_part_of_the_name() -> None:
    tools = (Function("f", namespace="a"), FreeTool("f", "Patches.", Raw(b'{"type":"lark"}'), namespace="b", at="tools[1]"))
    made = DOORS.write_ask(replace(ASK, tools=tools), TARGET)
    first, second = json.loads(made.body)["tools"][0]["functionDeclarations"]
    assert first == {"name": "a__f"}
    assert second == {
        "name": "b__f",
        "description": 'Patches.\n\nThe input follows this grammar: {"type":"lark"}',
        "parametersJsonSchema": {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]},
    }
    assert [loss.path for loss in made.losses] == ["tools[1]"]


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        (Choice("auto"), {"mode": "AUTO"}),
        (Choice("any"), {"mode": "ANY"}),
        (Choice("none"), {"mode": "NONE"}),
        (Choice("any", ("f",)), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (Choice("auto", ("f", "g")), {"mode": "VALIDATED", "allowedFunctionNames": ["f", "g"]}),
        (Choice(parallel=True), None),
    ],
)
def test_choice(choice: Choice, calling: object) -> None:
    body = written(replace(ASK, choice=choice))
    assert body.get("toolConfig") == (None if calling is None else {"functionCallingConfig": calling})


def test_parallel_calls_cannot_be_forbidden() -> None:
    assert [loss.path for loss in DOORS.write_ask(replace(ASK, choice=Choice("auto", parallel=False)), TARGET).losses] == [
        "choice.parallel"
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"max_output": 9, "temperature": 0.5, "top_p": 0.1, "top_k": 3},
            {"maxOutputTokens": 9, "temperature": 0.5, "topP": 0.1, "topK": 3},
        ),
        (
            {"seed": 0, "presence_penalty": 1.0, "frequency_penalty": -1.0, "n": 1},
            {"seed": 0, "presencePenalty": 1.0, "frequencyPenalty": -1.0, "candidateCount": 1},
        ),
        ({"stop": ("a", "b")}, {"stopSequences": ["a", "b"]}),
        ({"logprobs": 0}, {"responseLogprobs": True}),
        ({"logprobs": 3}, {"responseLogprobs": True, "logprobs": 3}),
        ({"format": Format("json")}, {"responseMimeType": "application/json"}),
        ({"modalities": ("text", "audio")}, {"responseModalities": ["TEXT", "AUDIO"]}),
        ({"voice": Voice("Kore", "pcm16")}, {"speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}}),
        ({"reasoning": Reasoning(budget=0)}, {"thinkingConfig": {"thinkingBudget": 0}}),
        ({"reasoning": Reasoning(adaptive=True, show="auto")}, {"thinkingConfig": {"thinkingBudget": -1, "includeThoughts": True}}),
        ({"reasoning": Reasoning("medium", show="none")}, {"thinkingConfig": {"thinkingBudget": 8192, "includeThoughts": False}}),
        ({"reasoning": Reasoning("none")}, {"thinkingConfig": {"thinkingBudget": 0}}),
        ({"modalities": ("text",), "store": False, "wants_usage": True}, None),
    ],
)
def test_knobs(fields: dict[str, object], expected: object) -> None:
    assert config(**fields) == (expected, [])


def test_stop_sequences_that_are_too_many_are_named() -> None:
    made = DOORS.write_ask(replace(ASK, stop=("a", "b", "c", "d", "e", "f", "\n")), TARGET)
    assert [(loss.path, loss.reason[-9:]) for loss in made.losses] == [("stop", '"f", "\\n"')]
    assert config(stop=tuple("abcdef"))[0] == {"stopSequences": list("abcde")}


@pytest.mark.parametrize(
    ("effort", "level", "lost"),
    [
        ("none", "MINIMAL", True),
        ("minimal", "MINIMAL", False),
        ("low", "LOW", False),
        ("medium", "MEDIUM", False),
        ("high", "HIGH", False),
        ("max", "HIGH", True),
    ],
)
def test_newer_models_are_told_a_level(effort, level: str, lost: bool) -> None:
    assert config(NEWER, reasoning=Reasoning(effort)) == ({"thinkingConfig": {"thinkingLevel": level}}, ["reasoning"] if lost else [])


def test_a_model_that_always_thinks_is_told_the_least() -> None:
    assert config(TARGET._replace(model="gemini-2.5-pro"), reasoning=Reasoning("none")) == (
        {"thinkingConfig": {"thinkingBudget": 128}},
        ["reasoning"],
    )
    assert config(reasoning=Reasoning("low", budget=99)) == ({"thinkingConfig": {"thinkingBudget": 99}}, ["reasoning"])


@pytest.mark.parametrize(
    "fields",
    [
        {"verbosity": "low"},
        {"logit_bias": Raw(b"{}")},
        {"end_user": "u"},
        {"metadata": {"a": "b"}},
        {"cache_key": "k"},
        {"cache": Cache()},
        {"store": True},
        {"service_tier": "auto"},
        {"voice": Voice("alloy", "mp3")},
        {"format": Format("schema", Raw(b"{}"), description="d")},
    ],
)
def test_a_knob_that_is_not_here_is_reported_by_its_field(fields: dict[str, object]) -> None:
    assert config(**fields)[1] == list(fields)


@pytest.mark.parametrize(("tier", "word"), [("flex", "flex"), ("priority", "priority"), ("default", "standard"), ("standard", "standard")])
def test_tiers(tier: str, word: str) -> None:
    assert written(replace(ASK, service_tier=tier))["serviceTier"] == word


def test_extras_go_back_to_their_place_or_are_reported() -> None:
    extras = (
        Extra("gemini", "safety_settings", Raw(b"[]")),
        Extra("gemini", "generation_config.speech_config", Raw(b"{}")),
        Extra("gemini", "contents[0].parts[0].odd", Raw(b"1")),
        Extra("anthropic", "context_management", Raw(b"{}")),
    )
    made = DOORS.write_ask(replace(ASK, extras=extras), TARGET)
    assert written(replace(ASK, extras=extras)) | {"contents": []} == {
        "contents": [],
        "safetySettings": [],
        "generationConfig": {"speechConfig": {}},
    }
    assert [loss.path for loss in made.losses] == ["contents[0].parts[0].odd", "context_management"]


def test_losses_are_spelled_as_a_client_of_this_dialect_spells_fields() -> None:
    spelled = DOORS.spelling
    assert spelled["stop"] == "generationConfig.stopSequences" and {field.partition(".")[0] for field in spelled} <= set(
        Ask.__struct_fields__
    )


# ---- round trips ------------------------------------------------------------------------------------------------------------------------

WORDS = st.text(min_size=1, max_size=20)
NAMES = st.from_regex("[a-z]{1,8}", fullmatch=True)
SEALS = st.none() | st.just(Seal("gemini:", OWN))
SAID = st.one_of(
    st.builds(Text, WORDS, seal=SEALS),
    st.builds(Image, st.builds(Inline, st.just("image/png"), st.just("QQ=="))),
)
ANSWERED = st.one_of(st.builds(Text, WORDS, seal=SEALS), st.builds(Thinking, WORDS, seal=st.just(Seal("gemini:", OWN))))


@st.composite
def asks(draw: st.DrawFn) -> Ask:
    turns: list[Turn] = []
    if draw(st.booleans()):
        turns.append(Turn("system", (Text(draw(WORDS)),)))
    for number in range(draw(st.integers(1, 3))):
        turns.append(Turn("user", tuple(draw(st.lists(SAID, min_size=1, max_size=3)))))
        call = ToolCall(f"id{number}", draw(NAMES), draw(st.sampled_from(["{}", '{"a":[1]}'])), seal=draw(SEALS))
        turns.append(Turn("assistant", (*draw(st.lists(ANSWERED, max_size=2)), call)))
        turns.append(Turn("user", (ToolResult(call.id, (Text(draw(WORDS)),), call.name, draw(st.booleans())),)))
        turns.append(Turn("assistant", tuple(draw(st.lists(ANSWERED, min_size=1, max_size=2)))))
    return Ask(
        model="",
        turns=tuple(turns),
        tools=tuple(
            Function(name, description) for name, description in draw(st.dictionaries(NAMES, st.none() | WORDS, max_size=2)).items()
        ),
        choice=draw(st.none() | st.builds(Choice, st.sampled_from(["auto", "any", "none"]))),
        reasoning=draw(st.none() | st.builds(Reasoning, budget=st.integers(-1, 9), show=st.sampled_from([None, "auto", "none"]))),
        max_output=draw(st.none() | st.integers(1, 9)),
        temperature=draw(st.none() | st.floats(0, 2)),
        top_k=draw(st.none() | st.integers(1, 9)),
        stop=tuple(draw(st.lists(WORDS, max_size=5))),
        n=draw(st.none() | st.just(1)),
        logprobs=draw(st.none() | st.integers(0, 5)),
        wants_usage=True,
    )


@given(asks())
def test_an_ask_is_read_as_it_was_written(found: Ask) -> None:
    again = reread(found)
    assert _without_places(plain(again)) == _without_places(plain(found))
    assert plain(reread(again)) == plain(again)
