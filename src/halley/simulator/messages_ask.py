"""Anthropic Messages, the request: a body is read as strictly as Anthropic reads it.

Pure. Sources: Anthropic API reference, Messages, extended thinking, tool use, versioning (read 2026-11). Thinking must come back with the
seal that the simulator gave it, and every tool use must be answered at the start of the turn after it.
"""

from __future__ import annotations

import re

from halley.simulator.heard import Heard, Medium, Offer, Result, Turn, Wishes, decoded, hear, linked, plain, stored
from halley.simulator.reading import Node, check, flag
from halley.simulator.schema import Json
from halley.simulator.seals import ANTHROPIC_REDACTED, ANTHROPIC_THINKING, holds, wrapped

WITHOUT_SAMPLING = "2026-10-21"
"""From this API version on, temperature, top_p and top_k are no fields, and a user's text has no citations (Anthropic's migration page,
read 2026-11)."""
# fmt: off
_KNOWN = (
    "model", "messages", "max_tokens", "system", "temperature", "top_p", "top_k", "stop_sequences", "stream", "metadata", "tools",
    "tool_choice", "thinking", "output_config", "output_format", "cache_control", "service_tier", "container", "inference_geo",
    "context_management", "mcp_servers",
)
# fmt: on
# Counting takes what decides the prompt, and nothing of how the answer should be.
_COUNTED = (
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "cache_control",
    "context_management",
    "mcp_servers",
)
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_CALL_ID = re.compile(r"[a-zA-Z0-9_-]+")
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_BLOCKS = {
    "text": ("type", "text", "cache_control", "citations"),
    "image": ("type", "source", "cache_control"),
    "document": ("type", "source", "title", "context", "citations", "cache_control"),
    "search_result": ("type", "source", "title", "content", "citations", "cache_control"),
    "tool_use": ("type", "id", "name", "input", "cache_control", "caller"),
    "tool_result": ("type", "tool_use_id", "content", "is_error", "cache_control"),
    "thinking": ("type", "thinking", "signature"),
    "redacted_thinking": ("type", "data"),
    "tool_reference": ("type", "tool_name", "cache_control"),
}
_OF_ROLE = {
    "user": ("text", "image", "document", "search_result", "tool_result"),
    "assistant": ("text", "tool_use", "thinking", "redacted_thinking"),
    "system": ("text",),
}
_IN_RESULTS = ("text", "image", "document", "search_result", "tool_reference")
_MOST_MARKS = 4


def read(body: bytes, version: str, counting: bool = False) -> Heard:
    """`counting` for `count_tokens`, which takes no max_tokens. Raises BadBody."""
    top = Node.of(body)
    if thread := top.find("thread"):
        raise thread.bad("Threads are not served: send the whole conversation.", "thread_unsupported_request")
    known = _COUNTED if counting else _KNOWN
    top.only(*(name for name in known if version < WITHOUT_SAMPLING or name not in ("temperature", "top_p", "top_k")))
    model = top.need("model").text()
    cap = top.find("max_tokens") if counting else top.need("max_tokens")
    most = cap.whole(0) if cap is not None else None
    check(
        top,
        {
            "temperature": lambda node: node.number(0, 1),
            "top_p": lambda node: node.number(0, 1),
            "top_k": lambda node: node.whole(0),
            "metadata": lambda node: node.only("user_id"),
        },
    )
    tools = top.find("tools")
    names = [tool.need("name") for tool in tools.items()] if tools is not None else []
    for index, name in enumerate(names):
        if not _TOOL_NAME.fullmatch(name.text()):
            raise name.bad(f"String should match pattern '{_TOOL_NAME.pattern}'.")
        if name.text() in [other.text() for other in names[:index]]:
            raise name.bad("Tool names must be unique.")
    offers = tuple(offer for tool in (tools.items() if tools is not None else ()) if (offer := _offer(tool)) is not None)
    thinking = top.find("thinking")
    kind = thinking.need("type").text("enabled", "adaptive", "disabled") if thinking is not None else "disabled"
    if thinking is not None and kind == "enabled":
        thinking.need("budget_tokens").whole(1024, None if most is None else most - 1)
        _check_thinking(top)
    system = top.find("system")
    turns = [] if system is None else [Turn("system", *_texts_and_media(system, ("text",)))]
    messages = top.need("messages")
    turns += _turns(messages, kind == "enabled", version)
    _count_marks(top)
    choice = top.find("tool_choice")
    stops = top.find("stop_sequences")
    schema = _schema(top)
    wishes = Wishes(
        stream=flag(top, "stream"),
        cap=most,
        stops=tuple(stops.texts()) if stops is not None else (),
        tools=offers,
        chosen=_chosen(choice, offers),
        parallel=choice is None or not flag(choice, "disable_parallel_tool_use"),
        schema=schema,
        json=schema is not None,
        cites_documents=_cites_documents(messages),
        # Such a turn is refused when it comes back without its thinking, so it must have some.
        must_think=kind == "enabled",
        thinks=thinking is None or kind != "disabled",
        shows_thoughts=not (thinking is not None and (display := thinking.find("display")) and display.text() == "omitted"),
    )
    whole = top.fields()
    return hear(model, turns, wishes, [whole.get(name) for name in ("system", "messages", "tools")], whole)


def _turns(messages: Node, thinking: bool, version: str) -> list[Turn]:
    """Consecutive messages of one role are one turn. Every tool use is answered in the user turn after it, and nothing else is."""
    turns: list[Turn] = []
    open_calls: dict[str, str] = {}
    answering: dict[str, str] = {}
    previous = ""
    opening: Node | None = None  # the first block of the model's turn, of which results of its tools are a part
    for message in messages.items():
        message.only("role", "content")
        role = message.need("role").text("user", "assistant", "system")
        content = message.need("content")
        if role == "system" and not turns:
            raise message.bad("The first message cannot have role 'system': use the top-level `system`.")
        if role != previous:
            if role == "user":
                answering, open_calls = open_calls, {}
            elif role == "assistant" and answering:
                raise message.bad(_unanswered(answering))
        if not content.value and (role != "assistant" or message.path != messages.items()[-1].path):
            raise content.bad("All messages must have non-empty content except for the optional final assistant message.")
        blocks = content.items() if not isinstance(content.value, str) else []
        if role == "assistant":
            opening = opening or next(iter(blocks), None)
        calls: dict[str, str] = {}
        results: list[Result] = []
        seen = ""
        for block in blocks:
            kind = _kind(block, role)
            if kind == "text" and role == "user" and version >= WITHOUT_SAMPLING and (cited := block.find("citations")) and cited.value:
                raise cited.bad("A text of the user has no citations.")
            if kind == "tool_result" and seen not in ("", "tool_result"):
                raise block.bad("`tool_result` blocks must come first in the content of their message.")
            seen = kind
            if kind == "tool_use":
                block.need("input").fields()
                identity = block.need("id")
                if not _CALL_ID.fullmatch(identity.text()):
                    raise identity.bad(f"String should match pattern '{_CALL_ID.pattern}'.")
                if identity.text() in calls or identity.text() in open_calls:
                    raise identity.bad("`tool_use` ids must be unique.")
                calls[identity.text()] = block.need("name").text()
            elif kind == "tool_result":
                results.append(_result(block, answering))
        open_calls |= calls
        if role == "user" and not results:
            opening = None
        texts, media = _texts_and_media(content, _OF_ROLE[role])
        turns.append(Turn(role, texts, media, tuple(results), bool(calls)))
        previous = role if role != "system" else previous
    if not turns:
        raise messages.bad("At least one message is required.")
    if thinking and opening is not None and opening.need("type").text() not in ("thinking", "redacted_thinking"):
        raise opening.bad("With thinking enabled, a turn with `tool_use` must start with its `thinking` block.")
    if previous == "assistant" and turns[-1].texts and turns[-1].texts[-1] != turns[-1].texts[-1].rstrip():
        raise messages.bad("Final assistant content cannot end with trailing whitespace.")
    if answering or open_calls:
        raise messages.bad(_unanswered(answering | open_calls))
    return turns


def _check_thinking(top: Node) -> None:
    """What does not go together with thinking of a fixed budget (Anthropic docs, extended thinking, read 2026-11)."""
    choice, temperature, last = top.find("tool_choice"), top.find("temperature"), top.need("messages").items()[-1:]
    if choice is not None and choice.need("type").text() in ("any", "tool"):
        raise choice.bad("Thinking may not be enabled when tool_choice forces tool use.")
    if temperature is not None and temperature.number() != 1:
        raise temperature.bad("`temperature` may only be set to 1 when thinking is enabled.")
    if top.find("top_k") is not None:
        raise top.need("top_k").bad("`top_k` must be unset when thinking is enabled.")
    if last and last[0].need("role").text() == "assistant":
        raise last[0].bad("An answer cannot be begun for the model when thinking is enabled.")


def _cites_documents(messages: Node) -> bool:
    blocks = [
        block for message in messages.items() if isinstance((content := message.need("content")).value, list) for block in content.items()
    ]
    documents = [block.find("citations") for block in blocks if block.need("type").text() == "document"]
    return any(citations is not None and flag(citations, "enabled") for citations in documents)


def _unanswered(calls: dict[str, str]) -> str:
    return f"`tool_use` ids were found without `tool_result` blocks immediately after: {', '.join(calls)}."


def _kind(block: Node, role: str) -> str:
    kind = block.need("type").text(*_OF_ROLE[role])
    block.only(*_BLOCKS[kind])
    match kind:
        case "text" if not block.need("text").text().strip():
            raise block.bad("Text content blocks must not be empty.")
        case "thinking":
            signature = block.need("signature")
            if not holds(ANTHROPIC_THINKING, block.need("thinking").text(), signature.text()):
                raise signature.bad("Invalid `signature` in `thinking` block.")
        case "redacted_thinking":
            data = block.need("data")
            if not wrapped(ANTHROPIC_REDACTED, data.text()):
                raise data.bad("Invalid `data` in `redacted_thinking` block.")
        case _:
            pass
    return kind


def _result(block: Node, answering: dict[str, str]) -> Result:
    identity = block.need("tool_use_id")
    name = answering.pop(identity.text(), None)
    if name is None:
        raise identity.bad("Unexpected `tool_use_id`: each `tool_result` must answer a `tool_use` of the previous message.")
    content = block.find("content")
    texts, media = _texts_and_media(content, _IN_RESULTS) if content is not None else ((), ())
    return Result(identity.text(), name, "".join(texts), media, flag(block, "is_error"))


def _texts_and_media(content: Node, kinds: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Medium, ...]]:
    if isinstance(content.value, str):
        return (content.value,), ()
    texts: list[str] = []
    media: list[Medium] = []
    for block in content.items():
        match block.need("type").text(*kinds):
            case "text":
                texts.append(block.need("text").text())
            case "tool_reference":
                texts.append(f"[tool {block.need('tool_name').text()}]")
            case "search_result":
                texts.extend(part.need("text").text() for part in block.need("content").items())
            case "image" | "document" as kind:
                media.append(_medium(kind, block.need("source")))
            case _:
                pass
    return tuple(texts), tuple(media)


def _medium(kind: str, source: Node) -> Medium:
    match source.need("type").text("base64", "url", "file", "text", "content"):
        case "base64":
            data, mime = source.need("data"), source.need("media_type")
            return decoded(data, kind, mime.text(*(_IMAGES if kind == "image" else ("application/pdf",))), data.text())
        case "url":
            url = source.need("url")
            return linked(url, kind, url.text())
        case "text" if kind == "document":
            return plain(kind, source.need("media_type").text("text/plain"), source.need("data").text())
        case "content" if kind == "document":
            content = source.need("content")
            return plain(kind, "text/plain", "".join(_texts_and_media(content, ("text", "image"))[0]))
        case "file":
            return stored(kind, "", source.need("file_id").text())
        case _:
            raise source.bad("An image has no such source.")


def _count_marks(top: Node) -> None:
    def marks(value: Json) -> int:
        match value:
            case dict():
                return ("cache_control" in value and value["cache_control"] is not None) + sum(map(marks, value.values()))
            case list():
                return sum(map(marks, value))
            case _:
                return 0

    fields = top.fields()
    found = sum(marks(fields.get(name)) for name in ("system", "tools", "messages"))
    if found > _MOST_MARKS:
        raise top.bad(f"A maximum of {_MOST_MARKS} blocks with cache_control may be provided. Found {found}.")


def _offer(tool: Node) -> Offer | None:
    """None for the tools that Anthropic itself runs."""
    kind = tool.find("type")
    name = tool.need("name").text()
    if kind is not None and kind.text() != "custom":
        return None
    schema = tool.need("input_schema")
    schema.need("type").text("object")
    return Offer(name, schema.fields())


def _chosen(choice: Node | None, offers: tuple[Offer, ...]) -> str:
    if choice is None:
        return "auto"
    choice.only("type", "name", "disable_parallel_tool_use")
    kind = choice.need("type").text("auto", "any", "tool", "none")
    if kind != "tool":
        return kind
    name = choice.need("name")
    if name.text() not in {offer.name for offer in offers}:
        raise name.bad(f"Tool {name.text()!r} not found in provided tools.")
    return name.text()


def _schema(top: Node) -> Json:
    config = top.find("output_config")
    wanted = config.find("format") if config is not None else top.find("output_format")
    if wanted is None:
        return None
    wanted.need("type").text("json_schema")
    return wanted.need("schema").fields()
