"""Tools and the choice among them."""

from __future__ import annotations

import json

import pytest

from halley.chat.model import Choice, Extra, Function, Hosted, WebSearch
from halley.dialects.gemini.node import Node
from halley.dialects.gemini.read_tools import read_choice, read_tools
from halley.errors import Refused
from tests.dialects.gemini.samples import ask, plain


def tools(given: object) -> tuple[tuple[object, ...], list[Extra]]:
    extras: list[Extra] = []
    return read_tools(Node(json.dumps({"tools": given}).encode()).nodes("tools"), extras), extras


def choice(given: object) -> tuple[Choice | None, list[Extra]]:
    extras: list[Extra] = []
    return read_choice(Node(json.dumps(given).encode(), "toolConfig"), extras), extras


def test_functions_have_a_schema_in_either_form() -> None:
    first, second = ask("choice_any").tools
    assert isinstance(first, Function) and isinstance(second, Function)
    assert first.at == "tools[0].functionDeclarations[0]" and first.schema is not None and second.schema is not None
    assert plain(first.schema) == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Name of the city"},
            "unit": {"type": ["string", "null"], "enum": ["C", "F", None]},
        },
        "required": ["city"],
        "propertyOrdering": ["city", "unit"],
    }
    assert plain(second.schema) == {
        "type": "object",
        "properties": {"zone": {"type": "string"}},
        "required": ["zone"],
        "additionalProperties": False,
    }


def test_one_object_holds_several_tools_and_each_is_its_own() -> None:
    found, extras = tools(
        [
            {
                "google_search": {},
                "code_execution": {},
                "urlContext": {},
                "function_declarations": [{"name": "f", "response": {"type": "STRING"}}],
            }
        ]
    )
    assert found[:2] == (Function("f", at="tools[0].function_declarations[0]"), WebSearch(at="tools[0].google_search"))
    assert [(tool.what, bytes(tool.raw)) for tool in found[2:] if isinstance(tool, Hosted)] == [
        ("codeExecution", b'{"codeExecution":{}}'),
        ("urlContext", b'{"urlContext":{}}'),
    ]
    assert [extra.at for extra in extras] == ["tools[0].function_declarations[0].response"]


def test_settings_of_the_search_are_kept() -> None:
    found, extras = tools(
        [
            {"googleSearch": {"excludeDomains": ["a.example"], "timeRangeFilter": {}}},
            {"googleSearchRetrieval": {"dynamicRetrievalConfig": {}}},
        ]
    )
    assert found == (WebSearch(blocked=("a.example",), at="tools[0].googleSearch"), WebSearch(at="tools[1].googleSearchRetrieval"))
    assert [extra.at for extra in extras] == [
        "tools[0].googleSearch.timeRangeFilter",
        "tools[1].googleSearchRetrieval.dynamicRetrievalConfig",
    ]


@pytest.mark.parametrize(
    ("word", "mode"), [("AUTO", "auto"), ("ANY", "any"), ("NONE", "none"), ("any", "any"), ("MODE_UNSPECIFIED", None), (None, None)]
)
def test_modes(word: str | None, mode: str | None) -> None:
    found, extras = choice({"functionCallingConfig": {"mode": word, "allowedFunctionNames": ["f"]}})
    assert found is not None and (found.mode, found.names, extras) == (mode, ("f",), [])


def test_validated_is_auto_and_keeps_its_word() -> None:
    found, extras = choice({"functionCallingConfig": {"mode": "VALIDATED"}, "retrievalConfig": {"languageCode": "en"}})
    assert found == Choice("auto", at="toolConfig.functionCallingConfig")
    assert [(extra.at, bytes(extra.raw)) for extra in extras] == [
        ("toolConfig.functionCallingConfig.mode", b'"VALIDATED"'),
        ("toolConfig.retrievalConfig", b'{"languageCode": "en"}'),
    ]


def test_an_unknown_mode_and_a_nameless_function_are_refused() -> None:
    with pytest.raises(Refused, match="VALIDATED"):
        choice({"functionCallingConfig": {"mode": "MAYBE"}})
    with pytest.raises(Refused, match=r"functionDeclarations\[0\].name"):
        tools([{"functionDeclarations": [{}]}])
