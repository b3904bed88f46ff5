"""What a script asks for comes out in every dialect, whole and streamed."""

from __future__ import annotations

import json

import pytest

from tests.simulator.tongues import TONGUES, answered, converse, raw, spoken, user
from tests.simulator.wire import events, simulator

each_way = pytest.mark.parametrize(("tongue", "stream"), [(tongue, stream) for tongue in TONGUES for stream in (False, True)])
each_stream = pytest.mark.parametrize("tongue", TONGUES)


@each_way
async def test_words_cost_the_same_in_every_dialect(tongue: str, stream: bool) -> None:
    async with simulator() as sim:
        said = await converse(sim, tongue, "sim/tokens-5", [user(tongue, "hello there")], stream=stream)
        assert (len(said.text.split()), said.usage) == (5, (2, 5))
        row = sim.bill.rows[-1]
        assert (row.surface, row.streamed, row.cancelled, row.outcome) == (tongue, stream, False, "complete")
        assert (row.prompt_tokens, row.completion_tokens) == (2, 5)


@each_way
async def test_a_whole_tool_loop_ends_with_a_text_that_quotes_the_results(tongue: str, stream: bool) -> None:
    async with simulator() as sim:
        model = "sim/echo+calls-2+rounds-2+think-3+preamble"
        turns = [user(tongue, "how warm is it")]
        for _ in range(2):
            said = await converse(sim, tongue, model, turns, stream=stream, tools=["weather", "clock"], thinks=True)
            assert [(name, arguments) for _, name, arguments in said.calls] == [
                ("weather", {"city": "sample"}),
                ("clock", {"city": "sample"}),
            ]
            assert said.text == "Let me look that up. " and len(said.thoughts.split()) == 3
            turns += [*spoken(tongue, said), *answered(tongue, said, "result of")]
        said = await converse(sim, tongue, model, turns, stream=stream, tools=["weather", "clock"], thinks=True)
        assert not said.calls
        assert said.text.startswith("You said: how warm is it")
        assert 'weather said "result of weather"; clock said "result of clock"' in said.text


@each_way
async def test_a_named_tool_is_called_with_the_arguments_that_the_script_wants(tongue: str, stream: bool) -> None:
    async with simulator() as sim:

        async def call(script: str) -> tuple[str, object]:
            said = await converse(sim, tongue, f"sim/{script}", [user(tongue, "go")], stream=stream, tools=["first", "second"])
            ((_, name, arguments),) = said.calls
            return name, arguments

        assert await call("tool-second") == ("second", {"city": "sample"})
        assert await call("args-empty") == ("first", {})
        assert await call("args-long-9000+fragment-100") == ("first", {"city": "sample", "filling": "x" * 9000})
        told = [user(tongue, 'Use {braces} for {"path": "/tmp/a", "more": {"deep": 1}}, please.')]
        ((_, name, arguments),) = (await converse(sim, tongue, "sim/args-said", told, stream=stream, tools=["first"])).calls
        assert (name, arguments) == ("first", {"path": "/tmp/a", "more": {"deep": 1}})
        assert await call("args-said") == ("first", {})
        assert await call("args-called") == ("first", {"city": "sample"})
        cities = {'Use first("Kiel", 3), please.': "Kiel", "Use it for 'Grüße 世界'.": "Grüße 世界", "Use first(no).": "sample"}
        for words, city in cities.items():
            told = [user(tongue, words)]
            ((_, _, arguments),) = (await converse(sim, tongue, "sim/args-called", told, stream=stream, tools=["first"])).calls
            assert arguments == {"city": city}
        said = await converse(sim, tongue, "sim/no-tools", [user(tongue, "go")], stream=stream, tools=["first"])
        assert not said.calls


ENDINGS = {
    "length": ("length", "max_output_tokens", "max_tokens", "MAX_TOKENS"),
    "refusal": ("stop", "completed", "refusal", "SAFETY"),
    "filter": ("content_filter", "content_filter", "refusal", "SAFETY"),
    "blocked": ("content_filter", "content_filter", "refusal", "SAFETY"),
    "echo": ("stop", "completed", "end_turn", "STOP"),
}


@each_way
async def test_an_ending_has_the_dialects_own_word(tongue: str, stream: bool) -> None:
    async with simulator() as sim:
        for script, words in ENDINGS.items():
            said = await converse(sim, tongue, f"sim/{script}", [user(tongue, "hello")], stream=stream)
            assert said.finish == words[list(TONGUES).index(tongue)], script
            assert (said.text == "") == (script in ("filter", "blocked"))


@each_way
async def test_usage_is_split_as_the_script_says(tongue: str, stream: bool) -> None:
    async with simulator() as sim:
        model = "sim/tokens-4+think-3+cached-100+cache-write-20+cache-write-1h-30+audio-in-7+audio-out-5"
        said = await converse(sim, tongue, model, [user(tongue, "one two")], stream=stream, thinks=True)
        assert said.usage == (2 + 100 + 20 + 30 + 7, 4 + 3 + 5)
        row = sim.bill.rows[-1]
        assert (row.cached_tokens, row.cache_write_5m_tokens, row.cache_write_1h_tokens, row.reasoning_tokens) == (100, 20, 30, 3)
        assert (row.audio_prompt_tokens, row.audio_completion_tokens) == (7, 5)
        assert row.reported is not None and row.reported["cached_tokens"] == 100


@each_way
async def test_faults_are_the_same_in_every_dialect(tongue: str, stream: bool) -> None:
    async with simulator() as sim:
        turns = [user(tongue, "hello")]
        refused = await raw(sim, tongue, "sim/status-503", turns, stream=stream)
        assert refused.status == 503 and json.loads(refused.body)["error"]["message"]
        html = await raw(sim, tongue, "sim/html-502", turns, stream=stream)
        assert (html.status, html.fields["content-type"]) == (502, "text/html")
        cut = await raw(sim, tongue, "sim/tokens-90+cut-at-300", turns, stream=stream)
        assert not cut.clean and len(cut.body) == 300
        split = await raw(sim, tongue, "sim/tokens-3+write-7", turns, stream=stream)
        assert split.clean and split.status == 200
        assert sim.bill.totals.outcomes == {"refused": 2, "cut": 1, "complete": 1}
        broken = await raw(sim, tongue, "sim/bad-json+tokens-3", turns, stream=stream)
        if stream:
            assert any(isinstance(event.said, str) and event.said != "[DONE]" for event in events(broken))
        else:
            with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
                json.loads(broken.body)


@each_stream
async def test_what_stands_between_the_frames_changes_no_frame(tongue: str) -> None:
    async with simulator() as sim:
        turns = [user(tongue, "hello")]
        noisy = await raw(sim, tongue, "sim/tokens-3+comments+pings+crlf", turns, stream=True)
        assert noisy.body.count(b": a comment\r\n\r\n") >= 3
        said = TONGUES[tongue].stream(noisy._replace(body=noisy.body.replace(b"\r\n", b"\n")))
        assert (len(said.text.split()), said.usage) == (3, (1, 3))
        odd = await raw(sim, tongue, "sim/tokens-3+unknown-events", turns, stream=True)
        assert odd.body.count(b"uture") >= 3
        garbage = await raw(sim, tongue, "sim/tokens-3+garbage-after-1", turns, stream=True)
        assert garbage.body.count(b"this is no frame") == 1 and garbage.clean


@each_stream
async def test_a_stream_can_fail_or_end_after_some_pieces(tongue: str) -> None:
    async with simulator() as sim:
        turns = [user(tongue, "hello")]
        failed = events(await raw(sim, tongue, "sim/tokens-9+error-frame-after-3", turns, stream=True))
        last = failed[-1].said
        assert {
            "chat": lambda: last["error"]["type"] == "server_error",
            "responses": lambda: (last["type"], last["code"], last["sequence_number"]) == ("error", "server_error", len(failed) - 1),
            "messages": lambda: (failed[-1].name, last["error"]["type"]) == ("error", "overloaded_error"),
            "gemini": lambda: last["error"]["status"] == "UNAVAILABLE",
        }[tongue]()
        cut = await raw(sim, tongue, "sim/tokens-9+cut-after-3", turns, stream=True)
        assert not cut.clean
        assert [(row.outcome, row.completion_tokens) for row in sim.bill.rows] == [("failed", 3), ("cut", 3)]


@each_way
async def test_usage_can_be_missing(tongue: str, stream: bool) -> None:
    async with simulator() as sim:
        assert (await converse(sim, tongue, "sim/tokens-3+no-usage", [user(tongue, "hello")], stream=stream)).usage is None
        wrong = await converse(sim, tongue, "sim/tokens-3+wrong-usage", [user(tongue, "hello")], stream=stream)
        assert wrong.usage == (1, 30)
        assert [row.completion_tokens for row in sim.bill.rows] == [3, 3]


@each_way
async def test_the_request_can_be_seen_as_it_came(tongue: str, stream: bool) -> None:
    async with simulator() as sim:
        said = await converse(sim, tongue, "sim/echo-ask", [user(tongue, "hello  there é")], stream=stream)
        body = TONGUES[tongue].body("sim/echo-ask", [user(tongue, "hello  there é")], stream=stream, tools=[], thinks=False)
        assert json.loads(said.text) == body
        head = json.loads((await converse(sim, tongue, "sim/echo-head", [user(tongue, "hello")], stream=stream)).text)
        assert head["method"] == "POST" and "(a credential)" in head["fields"].values()
