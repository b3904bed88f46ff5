"""Embeddings: texts in, one vector for each."""

from __future__ import annotations

from halley.chat.peek import rename
from halley.dialects import GEMINI, OPENAI_CHAT
from halley.dialects.gemini import embedding_pass as google
from halley.dialects.gemini import published as google_published
from halley.dialects.openai_chat import embeddings as openai
from halley.dialects.openai_chat import published as openai_published
from halley.exchanges.record import GOOGLE_CARRIERS, GOOGLE_PREFIXES, Exchange, Route, Surface, no_output

NAME = "embeddings"


OPENAI = OPENAI_CHAT._replace(
    name="openai_embeddings",
    exchange=NAME,
    peek=openai.peek,
    outbound=rename,
    read_whole=openai.read_whole,
    content_bytes=no_output,
    doors=None,
    swap=openai.SWAP,
    published=openai_published.EMBEDDINGS,
)
_GOOGLE = GEMINI._replace(exchange=NAME, read_whole=google.read_whole, content_bytes=no_output, doors=None)
GEMINI_ONE = _GOOGLE._replace(
    name="gemini_embedding",
    peek=google.peek_one,
    outbound=google.outbound_one,
    swap=google.ONE,
    published=google_published.EMBED,
)
GEMINI_BATCH = _GOOGLE._replace(
    name="gemini_embeddings",
    peek=google.peek_batch,
    outbound=google.outbound_batch,
    swap=google.BATCH,
    published=google_published.EMBED_BATCH,
)

EMBEDDINGS = Exchange(
    NAME,
    (
        Route(b"POST", b"/v1/embeddings", OPENAI),
        *(
            Route(b"POST", prefix, dialect, carriers=GOOGLE_CARRIERS, operation=operation)
            for prefix in GOOGLE_PREFIXES
            for operation, dialect in ((b":embedContent", GEMINI_ONE), (b":batchEmbedContents", GEMINI_BATCH))
        ),
    ),
    (
        Surface("chat", OPENAI, "/embeddings"),
        Surface("gemini", GEMINI_BATCH, "/models/{model}:batchEmbedContents"),
        Surface("gemini", GEMINI_ONE, "/models/{model}:embedContent"),
    ),
)
