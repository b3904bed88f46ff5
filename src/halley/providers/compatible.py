"""The provider table: hosts that speak the OpenAI chat dialect under a base URL, each one a row.

A row is documentation as much as code: where the facts were read, how the credential travels, what the host calls the output cap, and
who pays when a stream is cancelled (OpenRouter's published list of providers that stop billing on cancellation, read 2026-11).
"""

from __future__ import annotations

from typing import Literal

import msgspec


class ProviderKind(msgspec.Struct, frozen=True):
    """One kind of host. `env` is the variable that usually holds its key; `free` is the operator's own machine."""

    title: str
    base_url: str
    docs: str
    env: str = ""
    auth: str = "bearer"
    cap_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    cancel: Literal["stops_billing", "bills_to_end"] = "bills_to_end"
    needs_key: bool = True
    free: bool = False
    evidence: Literal["recorded", "from docs"] = "from docs"


KINDS: dict[str, ProviderKind] = {
    "openai": ProviderKind(
        "OpenAI",
        "https://api.openai.com/v1",
        "https://platform.openai.com/docs/api-reference/chat",
        "OPENAI_API_KEY",
        cap_field="max_completion_tokens",
        cancel="stops_billing",
    ),
    "cometapi": ProviderKind("CometAPI", "https://api.cometapi.com/v1", "https://apidoc.cometapi.com/api/text/chat", "COMETAPI_KEY"),
    "deepseek": ProviderKind(
        "DeepSeek", "https://api.deepseek.com/v1", "https://api-docs.deepseek.com/", "DEEPSEEK_API_KEY", cancel="stops_billing"
    ),
    "groq": ProviderKind("Groq", "https://api.groq.com/openai/v1", "https://console.groq.com/docs/openai", "GROQ_API_KEY"),
    "mistral": ProviderKind("Mistral", "https://api.mistral.ai/v1", "https://docs.mistral.ai/api/", "MISTRAL_API_KEY"),
    "openrouter": ProviderKind(
        "OpenRouter",
        "https://openrouter.ai/api/v1",
        "https://openrouter.ai/docs/api-reference",
        "OPENROUTER_API_KEY",
        cancel="stops_billing",
    ),
    "together": ProviderKind(
        "Together",
        "https://api.together.xyz/v1",
        "https://docs.together.ai/docs/openai-api-compatibility",
        "TOGETHER_API_KEY",
        cancel="stops_billing",
    ),
    "fireworks": ProviderKind(
        "Fireworks", "https://api.fireworks.ai/inference/v1", "https://docs.fireworks.ai/", "FIREWORKS_API_KEY", cancel="stops_billing"
    ),
    "xai": ProviderKind("xAI", "https://api.x.ai/v1", "https://docs.x.ai/", "XAI_API_KEY", cancel="stops_billing"),
    "ollama": ProviderKind(
        "Ollama", "http://127.0.0.1:11434/v1", "https://docs.ollama.com/openai", cancel="stops_billing", needs_key=False, free=True
    ),
    "lmstudio": ProviderKind(
        "LM Studio", "http://127.0.0.1:1234/v1", "https://lmstudio.ai/docs/api", cancel="stops_billing", needs_key=False, free=True
    ),
    "llamacpp": ProviderKind(
        "llama.cpp",
        "http://127.0.0.1:8080/v1",
        "https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
        cancel="stops_billing",
        needs_key=False,
        free=True,
    ),
    "vllm": ProviderKind(
        "vLLM",
        "http://127.0.0.1:8000/v1",
        "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
        cancel="stops_billing",
        needs_key=False,
        free=True,
    ),
    "openai-compatible": ProviderKind(
        "OpenAI-compatible host", "", "https://platform.openai.com/docs/api-reference/chat", cancel="stops_billing", needs_key=False
    ),
    "local": ProviderKind("Halley's embedded upstream", "", "docs/simulator.md", cancel="stops_billing", needs_key=False, free=True),
}
