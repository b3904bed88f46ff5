"""The table of dialects: what a client may speak, and the doors of each.

`ERROR_PREFIXES` says in whose words a path answers when no exchange is served there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from halley.chat.doors import Doors, History, Swap
from halley.chat.hosted import Hosted
from halley.chat.meter import Meter
from halley.chat.peek import Peek
from halley.chat.published import Published
from halley.chat.usage import Whole
from halley.dialects import anthropic, gemini, openai_chat, openai_responses
from halley.errors import Refused
from halley.wire import sse


class MakeMeter(Protocol):
    """The meter of the stream that answers a request. `strip`: the client gets that very stream, so that a usage frame for which it did not
    ask has to come out."""

    def __call__(self, seen: Peek, *, strip: bool) -> Meter: ...


class Framing(Protocol):
    """Another way to write one stream than as events: whole frames in, what the client gets out. `kind` is its content-type."""

    kind: bytes

    def feed(self, frames: bytes) -> bytes: ...
    def end(self) -> bytes:
        """What closes it, once."""
        ...

    def fail(self, refusal: Refused, request_id: str) -> bytes:
        """The error, and what closes it."""
        ...


WriteError = Callable[[Refused, str], tuple[int, bytes, bytes]]


class Dialect(NamedTuple):
    """How one kind of request is spoken, as the relay uses it; each door is documented where it is defined.

    What has the same `exchange` means the same and is translated, by `doors` where there are streams, else by `swap`; without either it is
    not. What is not `billed` is free and takes no hold, and where no provider serves it the gateway answers by an `estimate` of the ask and
    the bytes of a token.
    """

    name: str
    reply_fields: frozenset[bytes]
    peek: Callable[[bytes, bytes], Peek]  # of a body and the path that it came to
    outbound: Callable[[bytes, Peek, str, int | None, str], bytes]
    meter: MakeMeter
    read_whole: Callable[[bytes], Whole | None]
    content_bytes: Callable[[bytes], int]
    is_error: Callable[[bytes], bool]
    write_error: WriteError
    write_error_event: Callable[[Refused, str], bytes]
    doors: Doors | None = None
    carried: tuple[bytes, ...] = ()  # fields of the client's head that its provider gets, where both speak this dialect
    preset: bytes = b""  # lines of every request's head, if nothing else has said them
    exchange: str = "chat"
    swap: Swap[Any, Any] | None = None
    billed: bool = True
    estimate: Callable[[Any, float], Any] | None = None
    check_fields: Callable[[dict[bytes, bytes]], None] | None = None  # of the client's head; raises Refused
    framing: Callable[[bytes], Framing | None] | None = None  # by the query; None: events
    hosted: Hosted = Hosted()  # how its requests name tools that the provider runs and bills by the call
    searched: str = ""  # a member that makes the provider search once, where its answers do not count searches
    tier_field: str = "service_tier"  # the member of a request that names a service tier
    heartbeat: bytes = b""  # what its clients overlook in a stream, between two events; empty where some of them fail on everything
    id_field: bytes = b""  # where its clients look for the request's id, beside `x-request-id`
    published: Published | None = None
    end_user: tuple[str, ...] = ("safety_identifier", "user")  # the members that name the end user, the first that is there
    history: History | None = None  # where its callers may go on from an earlier answer


OPENAI_CHAT = Dialect(
    "openai_chat",
    # What of an upstream's head may reach the client. Rate limits are the upstream's business with Halley and never leak.
    frozenset({b"openai-version", b"openai-processing-ms", b"retry-after", b"retry-after-ms", b"x-should-retry"}),
    openai_chat.peek,
    openai_chat.outbound,
    openai_chat.meter,
    openai_chat.read_whole,
    openai_chat.content_bytes,
    openai_chat.is_error,
    openai_chat.write_error,
    openai_chat.write_error_event,
    openai_chat.DOORS,
    published=openai_chat.CHAT,
    hosted=Hosted(
        # OpenAI's, xAI's, OpenRouter's and Alibaba's ways to say it.
        ("tools", "web_search_options", "search_parameters", "plugins", "enable_search", "max_tool_calls"),
        (
            (b'"web_search', ("web_search",)),
            (b'"search_parameters":', ("web_search", "source")),
            (b'"plugins":', ("web_search",)),
            (b'"enable_search":', ("web_search",)),
        ),
    ),
    searched="web_search_options",
    heartbeat=sse.COMMENT,
)

OPENAI_RESPONSES = Dialect(
    "openai_responses",
    OPENAI_CHAT.reply_fields,
    openai_responses.peek,
    openai_responses.outbound,
    openai_responses.meter,
    openai_responses.read_whole,
    openai_responses.content_bytes,
    openai_responses.is_error,
    openai_responses.write_error,
    openai_responses.write_error_event,
    openai_responses.DOORS,
    published=openai_responses.RESPONSES,
    hosted=Hosted(
        ("tools", "max_tool_calls"),
        (
            (b'"web_search', ("web_search",)),
            (b'"file_search"', ("file_search",)),
            (b'"code_interpreter"', ("code_interpreter",)),
            (b'"image_generation"', ("image_generation",)),
        ),
    ),
    history=openai_responses.HISTORY,
    heartbeat=sse.COMMENT,
)

ANTHROPIC = Dialect(
    "anthropic",
    frozenset({b"retry-after", b"retry-after-ms", b"x-should-retry"}),
    anthropic.peek,
    anthropic.outbound,
    anthropic.meter,
    anthropic.read_whole,
    anthropic.content_bytes,
    anthropic.is_error,
    anthropic.write_error,
    anthropic.write_error_event,
    anthropic.DOORS,
    (b"anthropic-version", b"anthropic-beta"),
    b"anthropic-version: 2023-06-01\r\n",
    check_fields=anthropic.check_version,
    hosted=Hosted(
        ("tools",),
        ((b'"web_search_20', ("web_search",)), (b'"web_fetch_20', ("web_fetch",)), (b'"code_execution_20', ("code_execution",))),
    ),
    heartbeat=anthropic.HEARTBEAT,
    id_field=b"request-id",
    end_user=("metadata.user_id",),
    published=anthropic.MESSAGES,
)

GEMINI = Dialect(
    "gemini",
    frozenset({b"retry-after"}),
    gemini.peek,
    gemini.outbound,
    gemini.meter,
    gemini.read_whole,
    gemini.content_bytes,
    gemini.is_error,
    gemini.write_error,
    gemini.write_error_event,
    gemini.DOORS,
    framing=gemini.framing,
    published=gemini.GENERATE,
    hosted=Hosted(
        ("tools",), ((b'"googleSearch', ("web_search", "grounded_answer")), (b'"google_search', ("web_search", "grounded_answer")))
    ),
    tier_field="serviceTier",
    end_user=(),
)

SPOKEN: dict[str, Dialect] = {"chat": OPENAI_CHAT, "responses": OPENAI_RESPONSES, "messages": ANTHROPIC, "gemini": GEMINI}
"""The dialects by the words of the provider table."""
DOORS: dict[str, Doors] = {doors.name: doors for doors in (openai_chat.DOORS, openai_responses.DOORS, anthropic.DOORS, gemini.DOORS)}

ERROR_PREFIXES: tuple[tuple[bytes, WriteError], ...] = (
    (b"/v1/messages", anthropic.write_error),
    (b"/v1beta", gemini.write_error),
)


def error_writer(path: bytes) -> WriteError:
    """In whose words a path that is no exchange answers."""
    for prefix, write in ERROR_PREFIXES:
        if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in (b"", b"/"):
            return write
    return openai_chat.write_error
