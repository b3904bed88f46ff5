"""A request of Anthropic Messages that goes to a provider of the same dialect: what is checked, and the few bytes that change.

The documented core is judged (Messages API reference, read 2026-11); everything else passes. Sealed thinking of other makers is cut out,
because the provider refuses a signature that is not its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal, get_args

import msgspec

from halley.chat.peek import Peek, opened
from halley.chat.reading import decode, invalid, missing
from halley.dialects.anthropic.ask_in import refuse_threads
from halley.dialects.anthropic.meter import MessagesMeter
from halley.dialects.anthropic.sealing import LABEL
from halley.errors import Condition, Refused
from halley.wire import jsonbody
from halley.wire.jsonbody import BROKEN

COUNT: Final = b"/count_tokens"
MOST_IMAGES: Final = 1500
Role = Literal["user", "assistant", "system"]


_Changes = list[tuple[int, int, bytes | None]]


class _Source(msgspec.Struct):
    url: str | None = None
    content: str | list[_Block] | None = None


class _Block(msgspec.Struct):
    type: str
    text: str | None = None
    source: _Source | str | None = None
    content: msgspec.Raw = msgspec.Raw()


class _Message(msgspec.Struct):
    role: Role
    content: str | list[_Block]


class Request(msgspec.Struct):
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    # Zero warms a cache and says nothing.
    max_tokens: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None
    system: str | list[_Block] | None = None
    stream: bool | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    thread: msgspec.Raw = msgspec.Raw()


class _Kind(msgspec.Struct):
    type: str = ""


class _Said(msgspec.Struct):
    role: str
    content: str | list[_Kind]


class _Thinking(msgspec.Struct):
    type: str = ""
    signature: str = ""
    data: str = ""


# Of the dialect: a date.
VERSION: Final = r"20\d\d-[01]\d-[0-3]\d"
_VERSION: Final = re.compile(VERSION.encode())
_ask: Final = msgspec.json.Decoder(Request)
_blocks: Final = msgspec.json.Decoder(list[_Block])
_decode_thinking: Final = msgspec.json.Decoder(_Thinking).decode
_decode_kinds: Final = msgspec.json.Decoder(list[_Said]).decode
_decode_elements: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_CORE: Final = frozenset(Request.__struct_fields__)
# Without one of these a body names no address: the second may spell any word.
_ADDRESSES: Final = (b'"url"', b"\\u00")
_LABEL_TEXT: Final = LABEL.decode()
_GAP: Final = b" \t\r\n,"


def check_version(fields: Mapping[bytes, bytes]) -> None:
    """The version of the dialect, by its date; without one the request is served as the first. Raises Refused."""
    version = fields.get(b"anthropic-version")
    if version is not None and _VERSION.fullmatch(version) is None:
        raise Refused(Condition.INVALID, "The anthropic-version header must be a date like 2023-06-01.", param="anthropic-version")


def peek(body: bytes, path: bytes = b"") -> Peek:
    """Check the documented core of a request and read what routing and billing need. Raises Refused, naming the field."""
    members = opened(body, _CORE, "model, max_tokens and messages")
    refuse_threads(members.get("thread"))
    ask = decode(_ask, body, known=get_args(Role))
    if any(word in body for word in _ADDRESSES):
        _check_one_reading(members["messages"])
    if ask.max_tokens is None and not path.endswith(COUNT):
        raise Refused(Condition.INVALID, "max_tokens is missing.", param="max_tokens")
    urls: list[str] = []
    for index, message in enumerate(ask.messages):
        if type(message.content) is list:
            _check_blocks(message.content, f"messages[{index}].content", urls)
    if len(urls) > MOST_IMAGES:
        raise invalid("messages", f"at most {MOST_IMAGES} images are taken in one request")
    return Peek(ask.model, bool(ask.stream), 1, ask.max_tokens, True, urls, members)


def _check_one_reading(messages: msgspec.Raw) -> None:
    """No key twice in messages, blocks and sources, where addresses are judged. What a tool is called with may have any keys."""
    try:
        for message in _decode_elements(messages):
            _check_readings(_unique(message).get("content"))
    except jsonbody.Malformed as error:
        raise invalid("messages", str(error).rstrip(".")) from None


def _check_readings(content: msgspec.Raw | None) -> None:
    if content is None or not bytes(content).startswith(b"["):
        return
    for block in _decode_elements(content):
        members = _unique(block)
        source = members.get("source")
        if source is not None and bytes(source).startswith(b"{"):
            _check_readings(_unique(source).get("content"))
        if bytes(members.get("type", b"")) == b'"tool_result"':
            _check_readings(members.get("content"))


def _unique(raw: msgspec.Raw) -> jsonbody.Members:
    members = jsonbody.members(bytes(raw))
    if len({key.casefold() for key in members}) != len(members):
        raise jsonbody.Malformed(f"A key is given twice in one object, which has {', '.join(key[:64] for key in list(members)[:8])}.")
    return members


def _check_blocks(blocks: list[_Block], at: str, urls: list[str]) -> None:
    for number, block in enumerate(blocks):
        source = block.source
        if isinstance(source, _Source):  # whatever the block calls itself
            if source.url is not None:
                urls.append(source.url)
            if type(source.content) is list:
                _check_blocks(source.content, f"{at}[{number}].source.content", urls)
        elif block.type in ("image", "document"):
            raise missing(f"{at}[{number}].source", "a block of this kind has a source")
        if block.type == "text" and block.text is None:
            raise missing(f"{at}[{number}].text", "a text block has text")
        if block.type == "tool_result" and bytes(block.content).startswith(b"["):
            inner = f"{at}[{number}].content"
            _check_blocks(decode(_blocks, block.content, inner), inner, urls)


def outbound(body: bytes, seen: Peek, model: str, cap: int | None, cap_field: str) -> bytes:
    """The body for a provider of the same dialect: the very bytes, but for the model's name there, an output cap when one had to be set,
    and thinking that another maker sealed. The cap has one name in this dialect."""
    changes: dict[str, bytes] = {}
    if model != seen.model:
        changes["model"] = msgspec.json.encode(model)
    if cap is not None:
        changes["max_tokens"] = b"%d" % cap
    if LABEL in body:
        kept = _without_foreign(_messages(body, seen.members))
        if kept is not None:
            changes["messages"] = kept
            if _is_budgeted(jsonbody.member(body, seen.members, "thinking")) and _goes_on_unthought(kept):
                # With a budget a turn must begin with its thought, and that was another maker's.
                changes["thinking"] = b'{"type":"disabled"}'
    return jsonbody.set_members(body, seen.members, changes) if changes else body


def _is_budgeted(thinking: bytes) -> bool:
    try:
        return _decode_thinking(thinking).type == "enabled"
    except BROKEN:
        return False


def _goes_on_unthought(messages: bytes) -> bool:
    """Whether the turn that the model is to go on with, after results of its tools, does not begin with a thought."""
    first = ""
    for message in reversed(_decode_kinds(messages)):
        kinds = [block.type for block in message.content] if isinstance(message.content, list) else ["text"]
        if message.role == "assistant":
            first = kinds[0] if kinds else ""
        elif message.role == "user" and "tool_result" not in kinds:
            break
    return first not in ("", "thinking", "redacted_thinking")


def _messages(body: bytes, members: jsonbody.Members | jsonbody.Places) -> bytes:
    if isinstance(members, jsonbody.Places):
        start, end = members.spans["messages"]
        return body[start:end]
    return bytes(members["messages"])


def _without_foreign(messages: bytes) -> bytes | None:
    """The messages without thinking blocks whose seal has a label; None when there is none. A message of nothing else goes with them."""
    changes: _Changes = []
    for start, end in _elements(messages):
        message = messages[start:end]
        if LABEL not in message:
            continue
        members = jsonbody.members(message)
        content = bytes(members["content"])
        if not content.startswith(b"["):
            continue
        blocks = _elements(content)
        foreign: _Changes = [(first, last, None) for first, last in blocks if _is_foreign(content[first:last])]
        if len(foreign) == len(blocks):
            changes.append((start, end, None))
        elif foreign:
            changes.append((start, end, jsonbody.set_members(message, members, {"content": _changed(content, foreign)})))
    return _changed(messages, changes) if changes else None


def _is_foreign(block: bytes) -> bool:
    if LABEL not in block:
        return False
    try:
        found = _decode_thinking(block)
    except BROKEN:
        return False
    value = {"thinking": found.signature, "redacted_thinking": found.data}.get(found.type, "")
    return value.startswith(_LABEL_TEXT)


def _elements(array: bytes) -> list[tuple[int, int]]:
    """Where the elements of a JSON array stand in it."""
    places: list[tuple[int, int]] = []
    end = 1
    for raw in _decode_elements(array):
        start = end
        while array[start] in _GAP:
            start += 1
        end = start + len(raw)
        places.append((start, end))
    return places


def _changed(array: bytes, changes: _Changes) -> bytes:
    """The array with elements replaced, or taken out (None) with one comma; every other byte stays."""
    out: list[bytes] = []
    done = 0
    for start, end, value in changes:
        out.append(array[done:start])
        if value is not None:
            out.append(value)
        else:
            comma = end
            while array[comma] in _GAP[:-1]:
                comma += 1
            if array[comma : comma + 1] == b",":
                end = comma + 1
            else:  # the last: the comma before it goes
                before = b"".join(out).rstrip()
                out = [before.removesuffix(b",")]
        done = end
    out.append(array[done:])
    return b"".join(out)


def meter(seen: Peek, *, strip: bool) -> MessagesMeter:
    """The meter of the stream that answers this request: usage is part of this dialect's events, so that nothing has to come out."""
    return MessagesMeter(strip=False)
