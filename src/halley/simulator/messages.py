"""Anthropic Messages, the answer: a message, the events of a stream, errors.

Pure. Source: Anthropic API reference, Messages and streaming (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from halley.simulator.heard import Heard
from halley.simulator.plan import Call, Choice, Citation, End, Frame, Part, Reply, Text, Thought, Usage, reported
from halley.simulator.schema import Json
from halley.simulator.script import Script
from halley.simulator.seals import ANTHROPIC_REDACTED, ANTHROPIC_THINKING, seal, wrap

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_REASONS: dict[End, str] = {
    "stop": "end_turn",
    "stop-sequence": "stop_sequence",
    "tool": "tool_use",
    "length": "max_tokens",
    "refusal": "refusal",
    "filter": "refusal",
    "blocked": "refusal",
}


def document(reply: Reply, heard: Heard, script: Script) -> Json:
    """The body of an answer that is not streamed."""
    choice = reply.choices[0] if reply.choices else Choice((), "stop")
    body = _message(reply)
    body["content"] = [_block(reply, heard, part) for part in choice.parts if _sayable(part)]
    if script.finish:
        body |= _ending(choice)
    if script.usage != "none":
        body["usage"] = _usage(reported(reply.usage, script))
    return body


def frames(reply: Reply, heard: Heard, script: Script) -> Iterator[Frame]:
    """The events of a stream: one block after the other."""
    choice = reply.choices[0] if reply.choices else Choice((), "stop")
    before = Usage(0, 0) if script.usage == "late" else reply.usage
    message: dict[str, Json] = {**_message(reply), "content": [], "stop_reason": None, "stop_sequence": None}
    if script.usage != "none":
        # Anthropic has said a token or two when it opens the stream; the count at its end replaces this one.
        message["usage"] = _usage(before) | {"output_tokens": 1}
    yield _event("message_start", {"message": message})
    for index, part in enumerate(choice.parts):
        yield _event("content_block_start", {"index": index, "content_block": _opened(reply, part)}, isinstance(part, Call))
        for delta, tokens in _deltas(heard, part):
            yield _event("content_block_delta", {"index": index, "delta": delta}, tokens)
        yield _event("content_block_stop", {"index": index})
    if script.finish:
        closing: dict[str, Json] = {"delta": _ending(choice)}
        counted = _usage(reported(reply.usage, script))
        if script.usage == "early":
            closing["usage"] = {"output_tokens": counted["output_tokens"]}
        elif script.usage != "none":
            closing["usage"] = counted
        yield _event("message_delta", closing)
        yield _event("message_stop", {})


def failure(status: int, message: str, code: str | None = None, param: str | None = None) -> bytes:
    """The body of an error, in Anthropic's shape: the field stands in the message. `code` goes into the details."""
    kind = _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    error: dict[str, Json] = {"type": kind, "message": f"{param}: {message}" if param else message}
    if code is not None:
        error["details"] = {"error_code": code}
    return msgspec.json.encode({"type": "error", "error": error, "request_id": "req_of_the_simulator"})


def failed(_sent: int) -> Frame:
    """The error that a stream breaks off with."""
    return _event("error", {"error": {"type": "overloaded_error", "message": "The model failed while it was answering."}})


def _event(kind: str, fields: dict[str, Json], tokens: int = 0) -> Frame:
    return Frame(msgspec.json.encode({"type": kind} | fields), int(tokens), kind)


def _message(reply: Reply) -> dict[str, Json]:
    return {"id": f"msg_{reply.id}", "type": "message", "role": "assistant", "model": reply.model}


def _ending(choice: Choice) -> dict[str, Json]:
    ending: dict[str, Json] = {"stop_reason": _REASONS[choice.end], "stop_sequence": choice.stop}
    if ending["stop_reason"] == "refusal":
        ending["stop_details"] = {"type": "refusal", "category": None, "explanation": None}
    return ending


def _usage(usage: Usage) -> dict[str, Json]:
    counts: dict[str, Json] = {
        "input_tokens": usage.fresh,
        "cache_creation_input_tokens": usage.write_5m + usage.write_1h,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.write_5m, "ephemeral_1h_input_tokens": usage.write_1h},
        "output_tokens": usage.completion,
        "service_tier": "standard",
    }
    if usage.reasoning:
        counts["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return counts


def _sayable(part: Part) -> bool:
    # A whole message holds the input as an object, so arguments that a cap cut short cannot stand in it.
    return not isinstance(part, Call) or part.whole


def _block(reply: Reply, heard: Heard, part: Part) -> Json:
    text = "".join(part.pieces)
    match part:
        case Thought(hidden=True):
            return {"type": "redacted_thinking", "data": wrap(ANTHROPIC_REDACTED, reply.id)}
        case Thought():
            shown = text if heard.wishes.shows_thoughts else ""
            return {"type": "thinking", "thinking": shown, "signature": seal(ANTHROPIC_THINKING, shown)}
        case Text():
            block: dict[str, Json] = {"type": "text", "text": text}
            if part.citations:
                block["citations"] = [_citation(heard, citation) for citation in part.citations]
            return block
        case Call():
            return {"type": "tool_use", "id": f"toolu_{part.id[5:]}", "name": part.name, "input": msgspec.json.decode(text or "{}")}


def _opened(reply: Reply, part: Part) -> Json:
    match part:
        case Thought(hidden=True):
            return {"type": "redacted_thinking", "data": wrap(ANTHROPIC_REDACTED, reply.id)}
        case Thought():
            return {"type": "thinking", "thinking": "", "signature": ""}
        case Text():
            return {"type": "text", "text": ""}
        case Call():
            return {"type": "tool_use", "id": f"toolu_{part.id[5:]}", "name": part.name, "input": {}}


def _deltas(heard: Heard, part: Part) -> Iterator[tuple[Json, int]]:
    match part:
        case Thought(hidden=True):
            return
        case Thought():
            shown = heard.wishes.shows_thoughts
            if shown:
                for piece in part.pieces:
                    yield {"type": "thinking_delta", "thinking": piece}, 1
            signature = seal(ANTHROPIC_THINKING, "".join(part.pieces) if shown else "")
            yield {"type": "signature_delta", "signature": signature}, 0 if shown else len(part.pieces)
        case Text():
            for piece in part.pieces:
                yield {"type": "text_delta", "text": piece}, 1
            for citation in part.citations:
                yield {"type": "citations_delta", "citation": _citation(heard, citation)}, 0
        case Call():
            # Anthropic opens the input with an empty fragment.
            yield {"type": "input_json_delta", "partial_json": ""}, 0
            for piece in part.pieces:
                yield {"type": "input_json_delta", "partial_json": piece}, 1


def _citation(heard: Heard, citation: Citation) -> Json:
    if heard.wishes.cites_documents:
        place: dict[str, Json] = {"document_index": 0, "document_title": citation.title, "file_id": None}
        return {
            "type": "char_location",
            "cited_text": citation.cited,
            "start_char_index": citation.start,
            "end_char_index": citation.start + len(citation.cited),
            **place,
        }
    return {
        "type": "web_search_result_location",
        "url": citation.url,
        "title": citation.title,
        "encrypted_index": wrap("anthropic citation", citation.url),
        "cited_text": citation.cited,
    }
