"""LangChain's standard tests of a chat model, for each of its integrations on models of providers of every dialect.

Collected by the pytest of the environment that holds `langchain-tests`; HALLEY_PLAN has the gateway's URL, a key, the models by upstream
and role, and the reasons of tests that cannot pass. What a class says of itself is what its integration can do with a
provider of that dialect.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from typing import Any, NamedTuple

import httpx
import langchain_tests.integration_tests.chat_models as standard
import pytest
from langchain_anthropic import ChatAnthropic
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

PLAN: dict[str, Any] = json.loads(os.environ["HALLEY_PLAN"])
URL, KEY, MODELS = PLAN["url"], PLAN["key"], PLAN["models"]


class Integration(NamedTuple):
    """A class of LangChain, and how it is told where Halley is."""

    kind: type
    place: dict[str, Any]


INTEGRATIONS = {
    "chat": Integration(ChatOpenAI, {"base_url": f"{URL}/v1", "api_key": KEY, "stream_usage": True}),
    "responses": Integration(ChatOpenAI, {"base_url": f"{URL}/v1", "api_key": KEY, "use_responses_api": True}),
    "messages": Integration(ChatAnthropic, {"base_url": URL, "api_key": KEY}),
    "gemini": Integration(ChatGoogleGenerativeAI, {"base_url": URL, "google_api_key": KEY}),
}


def picture() -> bytes:
    """A PNG of one point."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\0\0\0")) + chunk(b"IEND", b"")


_WAVE = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8) + b"data" + struct.pack("<I", 2) + b"\x80\x80"
SOUND = b"RIFF" + struct.pack("<I", len(_WAVE)) + _WAVE
PAPER = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"


@pytest.fixture(autouse=True)
def media_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests fetch their pictures, papers and sounds from the web, which nobody may need for this."""

    def get(url: str, **_: Any) -> httpx.Response:
        data = PAPER if url.endswith(".pdf") else SOUND if url.endswith((".wav", ".mp3", ".ogg")) else picture()
        return httpx.Response(200, content=data)

    monkeypatch.setattr(standard.httpx, "get", get)


class _Standard(ChatModelIntegrationTests):
    """What all integrations have in common. `dialect` is what it speaks, `upstream` what the provider of its model does."""

    dialect: str
    upstream: str

    @property
    def chat_model_class(self) -> type:
        return INTEGRATIONS[self.dialect].kind

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {**INTEGRATIONS[self.dialect].place, "model": MODELS[self.upstream]["main"], "max_retries": 0}

    @property
    def supports_model_override(self) -> bool:
        return self.dialect != "gemini"

    @property
    def model_override_value(self) -> str:
        return MODELS[self.upstream]["other"]

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        """Not where the integration fetches it itself, nor where a provider takes the data alone."""
        return self.dialect != "gemini" and (self.upstream in ("responses", "messages") or self.upstream == self.dialect)

    @property
    def supports_pdf_inputs(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return self.dialect in ("chat", "responses")

    @property
    def supports_anthropic_inputs(self) -> bool:
        return self.dialect == "messages"

    @property
    def supports_image_tool_message(self) -> bool:
        return self.dialect in ("responses", "messages")

    @property
    def supports_pdf_tool_message(self) -> bool:
        return self.dialect in ("responses", "messages")

    @property
    def supports_audio_inputs(self) -> bool:
        return {self.dialect, self.upstream} <= {"chat", "gemini"}


def expected_to_fail(test: str, reason: str) -> Any:
    """One of the standard tests, which has to fail for this reason, and says so when it no longer does."""

    @pytest.mark.xfail(reason=reason, strict=True)
    def run(self: Any, model: Any) -> None:
        getattr(ChatModelIntegrationTests, test)(self, model)

    return run


def standard_tests(dialect: str, upstream: str) -> type:
    pair = f"{dialect}_on_{upstream}"
    own = {test: expected_to_fail(test, reason) for which, test, reason in PLAN["reasons"] if which in ("", pair)}
    return type(f"Test_{pair}", (_Standard,), {"dialect": dialect, "upstream": upstream, **own})


for _dialect in INTEGRATIONS:
    for _upstream in MODELS:
        globals()[f"Test_{_dialect}_on_{_upstream}"] = standard_tests(_dialect, _upstream)
