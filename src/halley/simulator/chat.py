"""OpenAI's chat dialect, as an upstream speaks it: a body is read as strictly as OpenAI reads it, an answer becomes a document or frames.

Pure. Unknown fields pass unread, as at most hosts that speak this dialect; a `strict` script refuses them, as OpenAI does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import msgspec

from halley.simulator import logprobs
from halley.simulator.heard import Heard, Medium, Offer, Result, Turn, Wishes, decoded, hear, linked, stored
from halley.simulator.plan import CREATED, Call, Choice, Citation, Frame, Part, Reply, Text, Thought, Usage, reported
from halley.simulator.reading import Node, check, flag, strict_schema, text
from halley.simulator.schema import Json
from halley.simulator.script import Script

MOST_CHOICES = 128
KINDS = {401: "invalid_request_error", 403: "permission_error", 404: "invalid_request_error", 429: "rate_limit_error"}
CODES = {401: "invalid_api_key", 403: "permission_denied", 404: "model_not_found", 429: "rate_limit_exceeded"}
_FINISHES = {"length": "length", "tool": "tool_calls", "filter": "content_filter", "blocked": "content_filter"}
# fmt: off
_KNOWN = (
    "model", "messages", "stream", "stream_options", "temperature", "top_p", "max_tokens", "max_completion_tokens", "n", "stop",
    "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "seed", "response_format", "tools", "tool_choice",
    "parallel_tool_calls", "functions", "function_call", "reasoning_effort", "verbosity", "modalities", "audio", "prediction",
    "web_search_options", "service_tier", "store", "metadata", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    "prompt_cache_options", "moderation",
)
# fmt: on
_LONGEST_ID = 40
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_AUDIO = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def read(body: bytes) -> Heard:
    """Raises BadBody."""
    top = Node.of(body)
    model = top.need("model").text()
    messages = top.need("messages")
    turns = _turns(messages)
    check(
        top,
        {
            "temperature": lambda node: node.number(0, 2),
            "top_p": lambda node: node.number(0, 1),
            "max_tokens": lambda node: node.whole(1),
            "max_completion_tokens": lambda node: node.whole(1),
            "presence_penalty": lambda node: node.number(-2, 2),
            "frequency_penalty": lambda node: node.number(-2, 2),
            "reasoning_effort": lambda node: node.text("none", "minimal", "low", "medium", "high", "xhigh", "max"),
        },
    )
    options = top.find("stream_options")
    cap = top.find("max_completion_tokens") or top.find("max_tokens")
    count = top.find("n")
    schema, wants_json = _format(top.find("response_format"))
    tools = top.find("tools")
    offers = tuple(map(_offer, tools.items())) if tools is not None else ()
    wishes = Wishes(
        stream=flag(top, "stream"),
        include_usage=options is not None and flag(options, "include_usage"),
        count=count.whole(1, MOST_CHOICES) if count is not None else 1,
        cap=cap.whole() if cap is not None else None,
        stops=_stops(top.find("stop")),
        tools=offers,
        chosen=_choice(top.find("tool_choice"), offers),
        parallel=top.find("parallel_tool_calls") is None or flag(top, "parallel_tool_calls"),
        schema=schema,
        json=wants_json,
        logprobs=_alternatives(top),
    )
    whole = top.fields()
    return hear(model, turns, wishes, [whole.get(name) for name in ("messages", "tools", "response_format", "seed")], whole)


def inspect(heard: Heard) -> None:
    """What a `strict` model refuses on top, as OpenAI does and few others. Raises BadBody."""
    top = Node(heard.whole)
    top.only(*_KNOWN)
    for message in top.need("messages").items():
        calls = message.find("tool_calls")
        for call in calls.items() if calls is not None else ():
            if len(call.need("id").text()) > _LONGEST_ID:
                raise call.need("id").bad(f"String too long: at most {_LONGEST_ID} characters.")
    if heard.wishes.json and heard.wishes.schema is None and not any("json" in text.lower() for text in heard.texts):
        raise top.need("messages").bad("'messages' must contain the word 'json' for a 'response_format' of type 'json_object'.")


def document(reply: Reply, heard: Heard, script: Script) -> Json:
    """The body of an answer that is not streamed."""
    choices: list[Json] = [
        {
            "index": index,
            "message": _message(choice),
            "logprobs": _logprobs(heard, choice.parts),
            "finish_reason": _finish(choice) if script.finish else None,
        }
        for index, choice in enumerate(reply.choices)
    ]
    body: dict[str, Json] = {**_top(reply, "chat.completion"), "choices": choices}
    if script.usage != "none":
        body["usage"] = usage(reported(reply.usage, script))
    return body


def frames(reply: Reply, heard: Heard, script: Script) -> Iterator[Frame]:
    """The frames of a stream in OpenAI's order; the last one is `[DONE]`."""
    top = _top(reply, "chat.completion.chunk")
    include_usage = heard.wishes.include_usage
    sent = 0

    def frame(index: int, delta: dict[str, Json], finish: str | None, tokens: int) -> Frame:
        nonlocal sent
        sent += tokens
        said = delta.get("content")
        chances = _logprobs(heard, (Text((said,)),)) if isinstance(said, str) and tokens else None
        chunk = top | {"choices": [{"index": index, "delta": delta, "logprobs": chances, "finish_reason": finish}]}
        if script.usage == "each-chunk":
            chunk["usage"] = usage(Usage(reply.usage.prompt, sent))
        elif script.usage == "early" and not sent:
            chunk["usage"] = usage(reply.usage)
        elif script.usage == "nulls" and include_usage:
            chunk["usage"] = None
        return Frame(msgspec.json.encode(chunk), tokens)

    if script.empty_choices:
        yield Frame(msgspec.json.encode(top | {"choices": []}))
    for index, choice in enumerate(reply.choices):
        yield frame(index, {"role": "assistant", "content": None if choice.calls else ""}, None, 0)
    rows = [_deltas(choice) for choice in reply.choices]
    total = sum(choice.tokens for choice in reply.choices)
    while rows:
        ended = True
        for index, rest in enumerate(rows):
            found = next(rest, None)
            if found is not None:
                yield frame(index, found[0], None, found[1])
                ended = False
        if ended or (sent >= total and not script.cite):
            break
    if script.finish:
        for index, choice in enumerate(reply.choices):
            yield frame(index, {}, _finish(choice), 0)
    if include_usage and script.usage not in ("none", "early"):
        yield Frame(msgspec.json.encode(top | {"choices": [], "usage": usage(reported(reply.usage, script))}))
    yield Frame(b"[DONE]")


def usage(of: Usage) -> Json:
    """Chat's words for it; completions, embeddings and rerank share them."""
    prompt: dict[str, Json] = {"cached_tokens": of.cached}
    completion: dict[str, Json] = {"reasoning_tokens": of.reasoning}
    if of.audio_in:
        prompt["audio_tokens"] = of.audio_in
    if of.audio_out:
        completion["audio_tokens"] = of.audio_out
    if of.write_5m or of.write_1h:
        prompt["cache_write_tokens"] = of.write_5m + of.write_1h
    return {
        "prompt_tokens": of.prompt,
        "completion_tokens": of.completion,
        "total_tokens": of.prompt + of.completion,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": completion,
    }


def failure(status: int, message: str, code: str | None = None, param: str | None = None) -> bytes:
    """The body of an error, in OpenAI's shape."""
    kind = KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": param, "code": code or CODES.get(status)}})


def failed(_sent: int) -> Frame:
    """The error that a stream breaks off with."""
    fault = {"message": "The model failed while it was answering.", "type": "server_error", "param": None, "code": None}
    return Frame(msgspec.json.encode({"error": fault}))


def annotation(citation: Citation) -> dict[str, Json]:
    """As Responses spells it; chat puts it under its type's name."""
    return {"url": citation.url, "title": citation.title, "start_index": citation.start, "end_index": citation.end}


def _top(reply: Reply, kind: str) -> dict[str, Json]:
    return {"id": f"chatcmpl-{reply.id}", "object": kind, "created": CREATED, "model": reply.model}


def _finish(choice: Choice) -> str:
    return _FINISHES.get(choice.end, "stop")


def _annotations(part: Text) -> list[Json]:
    return [{"type": "url_citation", "url_citation": annotation(citation)} for citation in part.citations]


def _deltas(choice: Choice) -> Iterator[tuple[dict[str, Json], int]]:
    index = -1
    for part in choice.parts:
        match part:
            case Thought():
                for piece in part.pieces:
                    yield {"reasoning_content": piece}, 1
            case Text():
                for piece in part.pieces:
                    yield {"refusal" if part.refusal else "content": piece}, 1
                if part.citations:
                    yield {"annotations": _annotations(part)}, 0
            case Call():
                index += 1
                kind, field = ("custom", "input") if part.free else ("function", "arguments")
                yield {"tool_calls": [{"index": index, "id": part.id, "type": kind, kind: {"name": part.name, field: ""}}]}, 1
                for piece in part.pieces:
                    yield {"tool_calls": [{"index": index, kind: {field: piece}}]}, 1


def _message(choice: Choice) -> dict[str, Json]:
    parts = choice.parts
    texts = [part for part in parts if isinstance(part, Text) and not part.refusal]
    refusals = [part for part in parts if isinstance(part, Text) and part.refusal]
    none = not texts and (choice.calls or refusals or choice.end in ("filter", "blocked"))
    message: dict[str, Json] = {
        "role": "assistant",
        "content": None if none else "".join(map(_joined, texts)),
        "refusal": "".join(map(_joined, refusals)) if refusals else None,
    }
    thoughts = "".join(_joined(part) for part in parts if isinstance(part, Thought))
    if thoughts:
        message["reasoning_content"] = thoughts
    if annotations := [each for part in texts for each in _annotations(part)]:
        message["annotations"] = annotations
    if choice.calls:
        message["tool_calls"] = list(map(_call, choice.calls))
    return message


def _logprobs(heard: Heard, parts: Sequence[Part]) -> Json:
    top = heard.wishes.logprobs
    if top is None:
        return None
    pieces = [piece for part in parts if isinstance(part, Text) and not part.refusal for piece in part.pieces]
    return {"content": logprobs.openai(pieces, top), "refusal": None}


def _call(call: Call) -> Json:
    kind, field = ("custom", "input") if call.free else ("function", "arguments")
    return {"id": call.id, "type": kind, kind: {"name": call.name, field: _joined(call)}}


def _joined(part: Part) -> str:
    return "".join(part.pieces)


def _turns(messages: Node) -> list[Turn]:
    turns: list[Turn] = []
    # Calls that the last assistant message made and no tool message has answered yet, with their names.
    open_calls: dict[str, str] = {}
    for message in messages.items():
        role = message.need("role").text("system", "developer", "user", "assistant", "tool", "function")
        if role == "tool":
            identity = message.need("tool_call_id")
            if identity.text() not in open_calls:
                raise identity.bad("A message with role 'tool' must answer a 'tool_calls' entry of the assistant message before it.")
            texts, media = _content(message.need("content"), ("text",))
            name = open_calls.pop(identity.text())
            turns.append(Turn("tool", texts, media, (Result(identity.text(), name, ""),)))
            continue
        if open_calls:
            missing = ", ".join(open_calls)
            raise message.bad(f"An assistant message with 'tool_calls' must be followed by a tool message for each of them: {missing}.")
        calls = message.find("tool_calls") if role == "assistant" else None
        open_calls = dict(map(_said_call, calls.items())) if calls is not None else {}
        if calls is not None and not open_calls:
            raise calls.bad("An empty array: at least one call, or no such field.")
        kinds = ("text", "refusal") if role == "assistant" else ("text", "image_url", "input_audio", "file", "video_url")
        content = message.find("content")
        # A null content of an assistant is common in stored conversations.
        if content is None and role != "assistant":
            message.need("content")
        texts, media = _content(content, kinds) if content is not None else ((), ())
        turns.append(Turn("system" if role == "developer" else role, texts, media, called=bool(open_calls)))
    if open_calls:
        raise messages.bad(f"The conversation ends with calls that no tool message answers: {', '.join(open_calls)}.")
    if not turns:
        raise messages.bad("`messages` must not be empty.")
    return [_with_results(turn) for turn in turns]


def _with_results(turn: Turn) -> Turn:
    """A tool's text stands in its result, where it is counted."""
    if not turn.results:
        return turn
    result = turn.results[0]._replace(text="".join(turn.texts), media=turn.media)
    return Turn("tool", results=(result,))


def _said_call(call: Node) -> tuple[str, str]:
    identity = call.need("id").text()
    kind = text(call, "type", "function")
    inner = call.need("custom" if kind == "custom" else "function")
    inner.need("input" if kind == "custom" else "arguments").text()
    return identity, inner.need("name").text()


def _content(content: Node, kinds: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Medium, ...]]:
    if isinstance(content.value, str):
        return (content.value,), ()
    texts: list[str] = []
    media: list[Medium] = []
    for part in content.items():
        match part.need("type").text(*kinds):
            case ("text" | "refusal") as kind:
                texts.append(part.need(kind).text())
            case kind:
                media.append(_medium(kind, part.need(kind)))
    return tuple(texts), tuple(media)


def _medium(kind: str, node: Node) -> Medium:
    match kind:
        case "input_audio":
            data = node.need("data")
            return decoded(data, "audio", _AUDIO[node.need("format").text(*_AUDIO)], data.text())
        case "file":
            if data := node.find("file_data"):
                value = data.text()
                return linked(data, "document", value) if value.startswith("data:") else decoded(data, "document", "", value)
            return stored("document", "", node.need("file_id").text())
        case _:
            url = node.need("url")
            return linked(url, "video" if kind == "video_url" else "image", url.text())


def _offer(tool: Node) -> Offer:
    kind = text(tool, "type", "function")
    if kind == "custom":
        return Offer(tool.need("custom").need("name").text(), None, free=True)
    tool.need("type").text("function")
    function = tool.need("function")
    parameters = function.find("parameters")
    strict_schema(parameters, function.find("strict"))
    name = function.need("name")
    if not _NAME.fullmatch(name.text()):
        raise name.bad(f"String does not match pattern '{_NAME.pattern}'.")
    return Offer(name.text(), parameters.fields() if parameters is not None else None)


def _choice(choice: Node | None, offers: tuple[Offer, ...]) -> str:
    if choice is None:
        return "auto"
    if isinstance(choice.value, str):
        return {"required": "any"}.get(choice.text("none", "auto", "required"), choice.text())
    kind = choice.need("type").text("function", "custom", "allowed_tools")
    if kind == "allowed_tools":
        return {"required": "any"}.get(mode := choice.need("allowed_tools").need("mode").text("auto", "required"), mode)
    name = choice.need(kind).need("name")
    if name.text() not in {offer.name for offer in offers}:
        raise name.bad(f"The tool {name.text()!r} is not among `tools`.")
    return name.text()


def _format(wanted: Node | None) -> tuple[Json, bool]:
    if wanted is None:
        return None, False
    match wanted.need("type").text("text", "json_object", "json_schema"):
        case "json_schema":
            inner = wanted.need("json_schema")
            inner.need("name").text()
            schema = inner.find("schema")
            strict_schema(schema, inner.find("strict"))
            return (schema.fields() if schema is not None else {}), True
        case kind:
            return None, kind == "json_object"


def _alternatives(top: Node) -> int | None:
    if not flag(top, "logprobs"):
        if count := top.find("top_logprobs"):
            raise count.bad("Taken only with `logprobs` true.")
        return None
    count = top.find("top_logprobs")
    return count.whole(0, 20) if count is not None else 0


def _stops(stop: Node | None) -> tuple[str, ...]:
    if stop is None:
        return ()
    found = (stop.text(),) if isinstance(stop.value, str) else tuple(stop.texts())
    if len(found) > 4:
        raise stop.bad("At most 4 stop sequences.")
    return found
