"""OpenAI Responses, the request: a body is read as strictly as OpenAI reads it.

Pure. Source: OpenAI's OpenAPI document, CreateResponse and Item (read 2026-11). Calls and outputs must pair by `call_id`, and encrypted
reasoning must be the simulator's own. The shelf holds stored responses.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from halley.simulator.heard import Heard, Medium, Offer, Result, Turn, Wishes, decoded, hear, linked, stored
from halley.simulator.reading import Node, check, flag, strict_schema
from halley.simulator.schema import Json
from halley.simulator.seals import OPENAI_REASONING, wrapped
from halley.simulator.shelf import Shelf

# fmt: off
_KNOWN = (
    "model", "input", "instructions", "previous_response_id", "conversation", "max_output_tokens", "max_tool_calls", "temperature",
    "top_p", "top_logprobs", "stream", "stream_options", "store", "background", "reasoning", "text", "tools", "tool_choice",
    "parallel_tool_calls", "include", "truncation", "metadata", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    "prompt_cache_options", "service_tier", "prompt", "context_management", "moderation",
    # Codex sends it, and OpenAI takes it.
    "client_metadata",
)
_INCLUDED = (
    "file_search_call.results", "web_search_call.results", "web_search_call.action.sources", "message.input_image.image_url",
    "computer_call_output.output.image_url", "code_interpreter_call.outputs", "reasoning.encrypted_content", "message.output_text.logprobs",
)
# fmt: on
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
_OUTPUTS = {"function_call_output": "function_call", "custom_tool_call_output": "custom_tool_call"}
_PREFIXES = {"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc"}
_AFTER_THOUGHT = ("reasoning", "message", "function_call", "custom_tool_call", "web_search_call", "code_interpreter_call")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_UNREAD = ("web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call", "compaction", "item_reference")
_ITEMS = ("message", "reasoning", *_CALLS, *_OUTPUTS, *_UNREAD)
_LEAST_CAP = 16
_LONGEST_ID = 64


def read(body: bytes, shelf: Shelf) -> Heard:
    """Raises BadBody."""
    top = Node.of(body)
    top.only(*_KNOWN)
    model = top.need("model").text()
    check(
        top,
        {
            "temperature": lambda node: node.number(0, 2),
            "top_p": lambda node: node.number(0, 1),
            "max_output_tokens": lambda node: node.whole(_LEAST_CAP),
            "include": lambda node: [item.text(*_INCLUDED) for item in node.items()],
            "instructions": lambda node: node.text(),
            "truncation": lambda node: node.text("auto", "disabled"),
        },
    )
    for name in ("conversation", "prompt"):
        if kept := top.find(name):
            raise kept.bad("The simulator keeps none of these: send the whole conversation, or `previous_response_id`.")
    before = _previous(top.find("previous_response_id"), shelf)
    fresh = inputs_of(top)
    # Stored items stand before the input and have a place of their own, so that a fault in the input is named by its own index.
    turns = _turns([*(Node(item, ("previous", index)) for index, item in enumerate(before)), *fresh], shelf)
    if (instructions := top.find("instructions")) is not None:
        turns.insert(0, Turn("system", (instructions.text(),)))
    cap = top.find("max_output_tokens")
    tools = top.find("tools")
    offers = tuple(offer for tool in (tools.items() if tools is not None else ()) for offer in _offers(tool))
    reasoning = top.find("reasoning")
    if reasoning is not None:
        check(reasoning, {"effort": lambda node: node.text(*_EFFORTS), "summary": lambda node: node.text("auto", "concise", "detailed")})
    include = top.find("include")
    schema, wants_json = _format(top)
    wishes = Wishes(
        stream=flag(top, "stream"),
        cap=cap.whole() if cap is not None else None,
        tools=offers,
        chosen=_choice(top.find("tool_choice"), offers),
        parallel=top.find("parallel_tool_calls") is None or flag(top, "parallel_tool_calls"),
        schema=schema,
        json=wants_json,
        logprobs=_alternatives(top, include),
        background=flag(top, "background"),
        shows_thoughts=reasoning is not None and reasoning.find("summary") is not None,
        sealed=include is not None and "reasoning.encrypted_content" in tuple(include.texts()),
    )
    whole = top.fields()
    return hear(model, turns, wishes, [before, *(whole.get(name) for name in ("instructions", "input", "tools", "text"))], whole)


def inputs_of(top: Node) -> list[Node]:
    """The input as items."""
    given = top.need("input")
    return [Node({"role": "user", "content": given.value}, given.path)] if isinstance(given.value, str) else given.items()


def _previous(identity: Node | None, shelf: Shelf) -> list[Json]:
    if identity is None:
        return []
    found = shelf.find(identity.text())
    if found is None:
        raise identity.bad(f"Previous response with id '{identity.text()}' not found.", "previous_response_not_found")
    return list(found.conversation)


def _turns(items: Sequence[Node], shelf: Shelf) -> list[Turn]:
    turns: list[Turn] = []
    open_calls: dict[str, tuple[str, str]] = {}
    thought: Node | None = None
    for given in items:
        item = _resolved(given, shelf)
        kind = _kind(item)
        if thought is not None and kind not in _AFTER_THOUGHT:
            raise thought.bad("Item of type 'reasoning' was provided without its required following item.")
        thought = item if kind == "reasoning" else None
        _check_id(item, kind)
        match kind:
            case "message":
                turns.append(_message(item))
            case ("function_call" | "custom_tool_call") as called:
                identity = item.need("call_id")
                if identity.text() in open_calls:
                    raise identity.bad(f"Two calls have the call_id {identity.text()!r}.")
                open_calls[identity.text()] = called, item.need("name").text()
                item.need(_CALLS[called]).text()
                turns.append(Turn("assistant", called=True))
            case ("function_call_output" | "custom_tool_call_output") as answered:
                identity = item.need("call_id")
                called, name = open_calls.pop(identity.text(), ("", ""))
                if called != _OUTPUTS[answered] or not 1 <= len(identity.text()) <= _LONGEST_ID:
                    raise identity.bad(f"No tool call found for function call output with call_id {identity.text()}.")
                texts, media = _content(item.need("output"), ("input_text", "input_image", "input_file"))
                turns.append(Turn("tool", results=(Result(identity.text(), name, "".join(texts), media),)))
            case "reasoning":
                _check_reasoning(item, shelf)
            case _:
                pass
    if thought is not None:
        raise thought.bad("Item of type 'reasoning' was provided without its required following item.")
    if open_calls:
        raise items[-1].bad(f"No tool output found for function call {', '.join(open_calls)}.")
    if not turns:
        raise Node(None, ("input",)).bad("At least one input item is required.")
    return turns


def _message(item: Node) -> Turn:
    role = item.need("role").text("user", "assistant", "system", "developer")
    kinds = ("output_text", "refusal") if role == "assistant" else ("input_text", "input_image", "input_file", "input_audio")
    texts, media = _content(item.need("content"), kinds)
    return Turn("system" if role == "developer" else role, texts, media)


def _resolved(item: Node, shelf: Shelf) -> Node:
    """A reference is the item that it names. Raises BadBody."""
    if _kind(item) != "item_reference":
        return item
    name = item.need("id")
    found = shelf.item(name.text())
    if found is None:
        raise name.bad(f"Item with id '{name.text()}' not found.")
    return Node(found, item.path)


def _kind(item: Node) -> str:
    kind = item.find("type")
    return "message" if kind is None else kind.text(*_ITEMS)


def _check_id(item: Node, kind: str) -> None:
    identity, prefix = item.find("id"), _PREFIXES.get(kind)
    if identity is not None and prefix is not None and not identity.text().startswith(prefix):
        raise identity.bad(f"Invalid id {identity.text()!r}: expected an id that begins with '{prefix}'.")


def _check_reasoning(item: Node, shelf: Shelf) -> None:
    item.only("type", "id", "summary", "content", "encrypted_content", "status")
    for part in item.need("summary").items():
        part.need("type").text("summary_text")
        part.need("text").text()
    sealed, identity = item.find("encrypted_content"), item.need("id")
    if sealed is None and shelf.item(identity.text()) is None:
        raise identity.bad(f"Item with id '{identity.text()}' not found: send its encrypted_content where nothing is stored.")
    if sealed is not None and not wrapped(OPENAI_REASONING, sealed.text()):
        raise sealed.bad("The encrypted content could not be verified.", "invalid_encrypted_content")


def _content(content: Node, kinds: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Medium, ...]]:
    if isinstance(content.value, str):
        return (content.value,), ()
    texts: list[str] = []
    media: list[Medium] = []
    for part in content.items():
        match part.need("type").text(*kinds):
            case "input_text" | "output_text":
                texts.append(part.need("text").text())
            case "refusal":
                texts.append(part.need("refusal").text())
            case kind:
                media.append(_medium(kind, part))
    return tuple(texts), tuple(media)


def _medium(kind: str, part: Node) -> Medium:
    match kind:
        case "input_audio":
            audio = part.need("input_audio")
            data = audio.need("data")
            return decoded(data, "audio", f"audio/{audio.need('format').text('wav', 'mp3')}", data.text())
        case "input_image":
            if url := part.find("image_url"):
                return linked(url, "image", url.text())
            return stored("image", "", part.need("file_id").text())
        case _:
            if url := part.find("file_url"):
                return linked(url, "document", url.text())
            if data := part.find("file_data"):
                part.need("filename").text()
                value = data.text()
                return linked(data, "document", value) if value.startswith("data:") else decoded(data, "document", "", value)
            return stored("document", "", part.need("file_id").text())


def _offers(tool: Node) -> list[Offer]:
    """A namespace holds tools; what OpenAI itself runs is no offer."""
    kind = tool.need("type").text()
    match kind:
        case "namespace":
            return [offer._replace(namespace=tool.need("name").text()) for inner in tool.need("tools").items() for offer in _offers(inner)]
        case "custom":
            return [Offer(tool.need("name").text(), None, free=True)]
        case "function":
            if nested := tool.find("function"):
                raise nested.bad("A function stands flat in its tool here: `name` and `parameters` beside `type`.")
            parameters = tool.find("parameters")
            strict_schema(parameters, tool.find("strict"))
            name = tool.need("name")
            if not _NAME.fullmatch(name.text()):
                raise name.bad(f"String does not match pattern '{_NAME.pattern}'.")
            return [Offer(name.text(), parameters.fields() if parameters is not None else None)]
        case _:
            return []


def _choice(choice: Node | None, offers: tuple[Offer, ...]) -> str:
    if choice is None:
        return "auto"
    if isinstance(choice.value, str):
        word = choice.text("none", "auto", "required")
        return "any" if word == "required" else word
    match choice.need("type").text():
        case "function" | "custom":
            name = choice.need("name")
            if name.text() not in {offer.name for offer in offers}:
                raise name.bad(f"Tool choice {name.text()!r} not found in 'tools' parameter.")
            return name.text()
        case "allowed_tools":
            return "any" if choice.need("mode").text("auto", "required") == "required" else "auto"
        case _:
            return "auto"


def _alternatives(top: Node, include: Node | None) -> int | None:
    if include is None or "message.output_text.logprobs" not in tuple(include.texts()):
        return None
    count = top.find("top_logprobs")
    return count.whole(0, 20) if count is not None else 0


def _format(top: Node) -> tuple[Json, bool]:
    config = top.find("text")
    wanted = config.find("format") if config is not None else None
    if wanted is None:
        return None, False
    match wanted.need("type").text("text", "json_object", "json_schema"):
        case "json_schema":
            wanted.only("type", "name", "schema", "description", "strict")
            wanted.need("name").text()
            strict_schema(wanted.need("schema"), wanted.find("strict"))
            return wanted.need("schema").fields(), True
        case kind:
            return None, kind == "json_object"
