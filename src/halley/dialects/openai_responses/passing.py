"""A request that goes to a provider of this dialect as it came: what routing and billing need of it, and the few bytes that must change.

A reasoning item that a provider of another dialect made is cut out: nobody here could read what it has sealed, and OpenAI refuses what it
cannot read, or does not find under its id where nothing is sealed.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from halley.chat import seals
from halley.chat.model import Role
from halley.chat.peek import Peek, opened
from halley.chat.reading import decode
from halley.dialects.openai_responses import history
from halley.dialects.openai_responses.metering import ResponsesMeter
from halley.errors import Condition, Refused
from halley.wire import jsonbody
from halley.wire.jsonbody import BROKEN

CAP = "max_output_tokens"
MOST_IMAGES = 1500
INSTEAD = ("previous_response_id", "conversation", "prompt")  # what a request without input goes on from
_LABEL = seals.PREFIX.encode()
# An id that was given to a thought in translation (`write_stream`); OpenAI's own have small letters.
_MADE_HERE = re.compile(rb'"rs_[0-9A-HJKMNP-TV-Z]{26}_\d+"')


class _Part(msgspec.Struct):
    type: str = ""
    text: str | None = None
    image_url: str | None = None
    file_url: str | None = None


class _Item(msgspec.Struct):
    type: str = "message"
    role: Role | None = None
    content: msgspec.Raw = msgspec.Raw()
    output: msgspec.Raw = msgspec.Raw()
    call_id: str | None = None
    id: str | None = None


class Request(msgspec.Struct):
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    input: str | list[_Item] | None = None
    instructions: str | None = None
    stream: bool | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    max_output_tokens: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None
    previous_response_id: Annotated[str, msgspec.Meta(min_length=1, max_length=512)] | None = None
    store: bool | None = None


_ask = msgspec.json.Decoder(Request)
_parts = msgspec.json.Decoder(list[_Part])
_words = msgspec.json.Decoder(str | list[_Part])
_items = msgspec.json.Decoder(list[msgspec.Raw])
_CORE = frozenset(Request.__struct_fields__)
_JUDGED_INSIDE = {"input": b"_url"}
_RESULTS = ("function_call_output", "custom_tool_call_output")


def peek(body: bytes, _path: bytes = b"") -> Peek:
    """Check the documented core of a request and read what routing and billing need. Raises Refused, naming the field."""
    members = opened(body, _CORE, "model and input", _JUDGED_INSIDE)
    ask = decode(_ask, body)
    seen = Peek(ask.model, bool(ask.stream), 1, ask.max_output_tokens, True, [], members, ask.previous_response_id, ask.store is not False)
    if ask.input is None:
        if not any(bytes(members.get(key, b"null")) != b"null" for key in INSTEAD):
            raise Refused(Condition.INVALID, "input is missing.", param="input")
    elif not isinstance(ask.input, str):
        for index, item in enumerate(ask.input):
            _check(item, f"input[{index}]", seen.image_urls)
            if item.type == history.REFERENCE and item.id is not None and (answer := history.answer_of(item.id)) not in (None, *seen.named):
                seen.named.append(answer)
    if len(seen.image_urls) > MOST_IMAGES:
        raise Refused(Condition.INVALID, f"input: at most {MOST_IMAGES} images and files are taken in one request.", param="input")
    return seen


def _check(item: _Item, at: str, urls: list[str]) -> None:
    if item.type == "message":
        if item.role is None:
            raise Refused(Condition.INVALID, f"{at}.role is missing: a message says who speaks.", param=f"{at}.role")
        _look(item.content, f"{at}.content", urls)
    elif item.type in _RESULTS:
        if item.call_id is None:
            raise Refused(Condition.INVALID, f"{at}.call_id is missing: it names the call that is answered.", param=f"{at}.call_id")
        _look(item.output, f"{at}.output", urls)
    else:  # whatever it calls itself
        for held in (item.content, item.output):
            if bytes(held).startswith(b"["):
                urls += _urls(decode(_parts, held, at))


def _look(raw: msgspec.Raw, at: str, urls: list[str]) -> None:
    if not raw:
        raise Refused(Condition.INVALID, f"{at} is missing.", param=at)
    parts = decode(_words, raw, at)
    if isinstance(parts, str):
        return
    urls += _urls(parts)
    for number, part in enumerate(parts):
        if part.type in ("input_text", "output_text") and part.text is None:
            raise Refused(Condition.INVALID, f"{at}[{number}].text is missing: a text part has text.", param=f"{at}[{number}].text")


def _urls(parts: list[_Part]) -> list[str]:
    return [url for part in parts for url in (part.image_url, part.file_url) if url is not None]


def outbound(body: bytes, seen: Peek, model: str, cap: int | None, cap_field: str) -> bytes:
    """The body for a provider of the same dialect: the very bytes, but for the model's name there, an output cap when one had to be set,
    and state that another dialect sealed. The cap has one name in this dialect, whatever a provider calls it elsewhere."""
    del cap_field
    changes: dict[str, bytes] = {}
    if model != seen.model:
        changes["model"] = msgspec.json.encode(model)
    if cap is not None:
        changes[CAP] = b"%d" % cap
    if _LABEL in body or _MADE_HERE.search(body) is not None:
        kept = _without_foreign(_member(body, seen, "input"))
        if kept is not None:
            changes["input"] = kept
    return jsonbody.set_members(body, seen.members, changes) if changes else body


def _member(body: bytes, seen: Peek, key: str) -> bytes:
    if isinstance(seen.members, jsonbody.Places):
        start, end = seen.members.spans.get(key, (0, 0))
        return body[start:end]
    return bytes(seen.members.get(key, b""))


def _without_foreign(value: bytes) -> bytes | None:
    """The items without those that are foreign thoughts; None where there is none."""
    if not value.startswith(b"["):
        return None
    items = [bytes(raw) for raw in _items.decode(value)]
    kept = [item for item in items if not _foreign(item)]
    return b"[" + b",".join(kept) + b"]" if len(kept) < len(items) else None


class _Sealed(msgspec.Struct):
    type: str = ""
    id: str | None = None
    encrypted_content: str | None = None


_decode_sealed = msgspec.json.Decoder(_Sealed).decode


def _foreign(item: bytes) -> bool:
    if _LABEL not in item and _MADE_HERE.search(item) is None:
        return False
    try:
        found = _decode_sealed(item)
    except BROKEN:
        return False  # the provider says what is wrong with it
    if found.type != "reasoning":
        return False
    if found.encrypted_content:
        return found.encrypted_content.startswith(seals.PREFIX)
    return _MADE_HERE.fullmatch(msgspec.json.encode(found.id)) is not None


def meter(seen: Peek, *, strip: bool) -> ResponsesMeter:
    """The meter of the stream that answers this request. Usage stands in the last event, which nobody may take out."""
    del seen, strip
    return ResponsesMeter(strip=False)
