"""Answers that are gone on from: what of one is kept, and how a request that names it becomes one that says everything.

Kept is what this request brought along and the whole answer, as one JSON object. What the caller says once (`instructions`) is not carried
over. Shapes of what is shown: OpenAI's published schema (Response, ResponseItemList, DeletedResponse), read 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

import msgspec

from halley.chat.doors import History, Reply
from halley.chat.reading import NULL
from halley.dialects.openai_responses import neighbours
from halley.errors import Condition, Refused
from halley.wire import jsonbody, sse
from halley.wire.jsonbody import BROKEN

PREVIOUS = "previous_response_id"
REFERENCE = "item_reference"
# Ids of items that were given in translation (`write_stream`): after the request's own.
_MADE_HERE = re.compile(r"[a-z]+_([0-9A-HJKMNP-TV-Z]{26})_\d+")
LONGEST_PAGE = 100
_PAGE = 20


class _Reply(msgspec.Struct):
    id: str = ""
    object: str = ""


class _Event(msgspec.Struct):
    type: str = ""
    response: msgspec.Raw = msgspec.Raw()


class _Record(msgspec.Struct):
    input: list[msgspec.Raw]
    response: msgspec.Raw


class _Output(msgspec.Struct):
    output: list[msgspec.Raw]


class _Item(msgspec.Struct):
    id: str | None = None
    type: str = "message"


_decode_reply = msgspec.json.Decoder(_Reply).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_record = msgspec.json.Decoder(_Record).decode
_decode_output = msgspec.json.Decoder(_Output).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_item = msgspec.json.Decoder(_Item).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_LAST = frozenset({"response.completed", "response.incomplete"})


def reply(body: bytes) -> Reply | None:
    """A whole answer and its id."""
    try:
        found = _decode_reply(body)
    except BROKEN:
        return None
    return Reply(found.id, body) if found.id and found.object == "response" else None


def last(frames: bytes) -> Reply | None:
    """The answer that the last event of a stream has in whole."""
    for frame in reversed(list(sse.frames(frames))):
        try:
            event = _decode_event(sse.payload(frame))
        except BROKEN:
            continue
        if event.type in _LAST:
            return reply(bytes(event.response))
    return None


def record(body: bytes, answer: bytes) -> bytes:
    """What is kept of a request, as its caller sent it, and of its answer."""
    return msgspec.json.encode(_Record(_items(jsonbody.members(body).get("input")), msgspec.Raw(answer)))


def _items(value: msgspec.Raw | None) -> list[msgspec.Raw]:
    if value is None or bytes(value) == NULL:
        return []
    if bytes(value).startswith(b'"'):
        return [msgspec.Raw(b'{"type":"message","role":"user","content":%b}' % bytes(value))]
    return _decode_items(value)


def expand(body: bytes, line: Sequence[bytes]) -> bytes:
    """The request with all that was said before it, the oldest record first."""
    members = jsonbody.members(body)
    items: list[msgspec.Raw] = []
    for each in line:
        found = _decode_record(each)
        items += found.input
        items += _decode_output(found.response).output
    items += _items(members.get("input"))
    return jsonbody.set_members(body, members, {"input": msgspec.json.encode(items), PREVIOUS: NULL})


def resolve(body: bytes, named: Mapping[str, bytes]) -> bytes:
    """The request with the parts that it only names, by the records of the answers that they are of. Raises Refused for one that is not
    there."""
    members = jsonbody.members(body)
    items = [_resolved(item, f"input[{place}].id", named) for place, item in enumerate(_items(members.get("input")))]
    return jsonbody.set_members(body, members, {"input": msgspec.json.encode(items)})


def answer_of(item: str) -> str | None:
    """The answer that an item of this id is part of, if it was made here."""
    found = _MADE_HERE.fullmatch(item)
    return None if found is None else f"resp_{found[1]}"


def _resolved(item: msgspec.Raw, at: str, named: Mapping[str, bytes]) -> msgspec.Raw:
    """An item that says no more than an id, as what has that id."""
    found = _decode_item(item)
    if found.type != REFERENCE or found.id is None or (answer := answer_of(found.id)) is None:
        return item
    kept = named.get(answer)
    for each in () if kept is None else _decode_output(_decode_record(kept).response).output:
        if _decode_item(each).id == found.id:
            return each
    raise Refused(Condition.INVALID, f"Item with id '{found.id[:128]}' not found.", param=at)


def missing(answer: str) -> Refused:
    """To one who goes on from an answer that is not there, or is another's: the two look alike."""
    message = f"Previous response with id '{answer[:128]}' not found."
    return Refused(Condition.INVALID, message, param=PREVIOUS, code="previous_response_not_found")


def elsewhere(answer: str, provider: str, model: str) -> Refused:
    """To one who goes on from an answer with a model that its keeper does not have."""
    message = (
        f'The response "{answer[:128]}" is kept by the provider "{provider}", which does not serve the model "{model}"; go on with a model '
        "of that provider, or send the conversation in input."
    )
    return Refused(Condition.INVALID, message, param=PREVIOUS)


def shown(kept: bytes) -> bytes:
    return bytes(_decode_record(kept).response)


def inputs(records: Sequence[bytes], query: bytes) -> bytes:
    """A page of all that the last of the answers was made from. Raises Refused. The newest first, unless `order` says otherwise."""
    asked = parse_qs(query.decode("latin-1"))
    limit, order, after = (asked.get(name, [""])[0] for name in ("limit", "order", "after"))
    if limit and not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= LONGEST_PAGE):
        raise Refused(Condition.INVALID, f"limit is a number from 1 to {LONGEST_PAGE}.", param="limit")
    if order not in ("", "asc", "desc"):
        raise Refused(Condition.INVALID, 'order is "asc" or "desc".', param="order")
    items: list[msgspec.Raw] = []
    for number, each in enumerate(records):
        found = _decode_record(each)
        name = _decode_reply(found.response).id.partition("_")[2]
        items += [_named(item, f"{name}_{place}") for place, item in enumerate(found.input)]
        if number + 1 < len(records):
            items += _decode_output(found.response).output
    if order != "asc":
        items.reverse()
    if after:
        places = [place for place, item in enumerate(items) if _decode_item(item).id == after]
        if not places:
            raise Refused(Condition.INVALID, f"There is no item '{after[:128]}' to go on after.", param="after")
        items = items[places[0] + 1 :]
    size = int(limit or _PAGE)
    return neighbours.input_items(items[:size], more=len(items) > size)


def _named(item: msgspec.Raw, name: str) -> msgspec.Raw:
    """Every listed item has an id; one that came without is given one, always the same."""
    found = _decode_item(item)
    if found.id:
        return item
    letters = {"message": "msg", "reasoning": "rs"}.get(found.type) or "".join(word[0] for word in found.type.split("_"))
    return msgspec.Raw(msgspec.json.encode({"id": f"{letters}_{name}", **_decode_members(item)}))


HISTORY = History(reply, last, record, expand, resolve, missing, elsewhere, shown, inputs, neighbours.deleted)
