"""What answers of this dialect have that crosses into no other, and is no loss: the one table, by place, with the reason.

Streams are told by the places that the same things have in a whole answer; what is of an event itself stands under `event`.
Fields and events: OpenAI's published schema, read 2026-11.
"""

from __future__ import annotations

from typing import Final

_ECHO: Final = "what the request said, or what stands for what it did not say"
_ITEM: Final = "of the item as the provider keeps it: its id, who says it, and that it is done"
_DOCUMENT: Final = "a place in the caller's own document: that a citation of one cannot be said is told of the citation"
_ORDER: Final = "which it is, which the order says"

LEFT_OUT: Final[dict[str, str]] = {
    "*.type": "what kind of thing it is, by which it is read",
    "object": "what kind of thing it is",
    "output_text": "the text once more",
    "completed_at": "when it was done",
    "billing": "who pays the provider",
    **dict.fromkeys(
        (
            "background",
            "conversation",
            "frequency_penalty",
            "instructions",
            "max_output_tokens",
            "max_tool_calls",
            "metadata",
            "parallel_tool_calls",
            "presence_penalty",
            "previous_response_id",
            "prompt",
            "prompt_cache_key",
            "prompt_cache_retention",
            "reasoning",
            "safety_identifier",
            "store",
            "temperature",
            "text",
            "tool_choice",
            "tools",
            "top_logprobs",
            "top_p",
            "truncation",
            "user",
        ),
        _ECHO,
    ),
    "output[].id": _ITEM,
    "output[].role": _ITEM,
    "output[].status": _ITEM,
    "output[].content[].annotations[].file_id": _DOCUMENT,
    "output[].content[].annotations[].container_id": _DOCUMENT,
    "output[].content[].annotations[].index": _DOCUMENT,
    "usage.total_tokens": "a sum of what is told",
    "event.sequence_number": _ORDER,
    "event.item_id": _ORDER,
    "event.annotation_index": _ORDER,
    "event.logprobs": "said again when the text is done",
    "event.obfuscation": "padding that hides how long a piece is from who listens on the line",
}

_HOSTED: Final = "how far a tool is that the provider runs: its item says what it did, and is told"

PASSED_OVER: Final[dict[str, str]] = {
    "response.queued": "nothing has been said yet",
    "keepalive": "says that the provider is there, as the gateway does itself",
    "response.reasoning_summary_part.added": "its text comes with events of its own",
    "response.reasoning_summary_part.done": "its text has come",
    **{
        f"response.{tool}.{stage}": _HOSTED
        for tool, stages in {
            "web_search_call": ("in_progress", "searching", "completed"),
            "file_search_call": ("in_progress", "searching", "completed"),
            "code_interpreter_call": ("in_progress", "interpreting", "completed"),
            "code_interpreter_call_code": ("delta", "done"),
            "image_generation_call": ("in_progress", "generating", "partial_image", "completed"),
            "mcp_call": ("in_progress", "completed", "failed"),
            "mcp_call_arguments": ("delta", "done"),
            "mcp_list_tools": ("in_progress", "completed", "failed"),
        }.items()
        for stage in stages
    },
}
"""Events of a stream that say nothing that an item does not say when it is done."""
