"""What answers of this dialect have that crosses into no other, and is no loss: the one table, by place, with the reason.

Streams are told by the places that the same things have in a whole answer; what is of an event itself stands under the event's name.
Fields as the SDK's types of 2026-10 have them.
"""

from __future__ import annotations

from typing import Final

_PLACE: Final = "a place in the caller's own document: that a citation of one cannot be said is told of the citation"
_SEARCHED: Final = "for the provider of the search alone"
_BLOCK: Final = "which block it is of, which the order says"

LEFT_OUT: Final[dict[str, str]] = {
    "*.type": "what kind of thing it is, by which it is read",
    "role": "an answer is always the assistant's",
    "usage.inference_geo": "where the provider counted: it means nothing elsewhere",
    "content[].caller": "the model itself: calls by the provider's own code have blocks of their own, which are told",
    "content[].citations[].document_index": _PLACE,
    "content[].citations[].file_id": _PLACE,
    "content[].citations[].start_char_index": _PLACE,
    "content[].citations[].end_char_index": _PLACE,
    "content[].citations[].start_page_number": _PLACE,
    "content[].citations[].end_page_number": _PLACE,
    "content[].citations[].start_block_index": _PLACE,
    "content[].citations[].end_block_index": _PLACE,
    "content[].citations[].search_result_index": _SEARCHED,
    "content[].citations[].encrypted_index": _SEARCHED,
    "content_block_stop.index": _BLOCK,
    "message_stop.amazon-bedrock-invocationMetrics": "what Amazon measured of the request; the usage is told",
    "error.request_id": "the provider's own id of the request; the gateway gives its own",
}

PASSED_OVER: Final[dict[str, str]] = {
    "ping": "says that the provider is there, as the gateway does itself",
}
"""Events of a stream that say nothing of the answer."""
