"""The provider table: every kind of host that Halley can call, each one a row.

A row is documentation as much as code: where the facts were read, how the credential travels, which dialects are spoken where, and who
pays when a stream is cancelled (OpenRouter's published list of providers that stop billing on cancellation, read 2026-11; a host that is
not on it is taken to bill to the end). `takes_urls` is true only where the documentation shows that the host fetches pictures itself.
"""

from __future__ import annotations

from halley.providers.clouds import CLOUDS
from halley.providers.row import Dialect, ProviderKind, Spoken

__all__ = ["KINDS", "ProviderKind"]


def _at(
    *, chat: str | None = None, responses: str | None = None, messages: str | None = None, gemini: str | None = None
) -> dict[Dialect, Spoken]:
    given: tuple[tuple[Dialect, str | None], ...] = (("chat", chat), ("responses", responses), ("messages", messages), ("gemini", gemini))
    return {dialect: Spoken(base) for dialect, base in given if base is not None}


KINDS: dict[str, ProviderKind] = {
    "openai": ProviderKind(
        "OpenAI",
        "https://api.openai.com/v1",
        "https://platform.openai.com/docs/api-reference/chat",
        "OPENAI_API_KEY",
        cap_field="max_completion_tokens",
        cancel="stops_billing",
        speaks=_at(chat="/v1", responses="/v1"),
        takes_urls=True,
    ),
    "anthropic": ProviderKind(
        "Anthropic",
        "https://api.anthropic.com/v1",
        "https://docs.claude.com/en/api/messages",
        "ANTHROPIC_API_KEY",
        auth="x-api-key",
        cancel="stops_billing",
        speaks=_at(messages="/v1"),
        takes_urls=True,
    ),
    "gemini": ProviderKind(
        "Google AI Studio",
        "https://generativelanguage.googleapis.com/v1beta",
        "https://ai.google.dev/api/generate-content",
        "GEMINI_API_KEY",
        auth="x-goog-api-key",
        speaks=_at(gemini="/v1beta"),
    ),
    "cometapi": ProviderKind(
        "CometAPI",
        "https://api.cometapi.com/v1",
        "https://apidoc.cometapi.com/api/text/chat",
        "COMETAPI_KEY",
        speaks={**_at(chat="/v1", responses="/v1", messages="/v1"), "gemini": Spoken("/v1beta", auth="x-goog-api-key")},
        takes_urls=True,
    ),
    "deepseek": ProviderKind(
        "DeepSeek",
        "https://api.deepseek.com/v1",
        "https://api-docs.deepseek.com/guides/anthropic_api",
        "DEEPSEEK_API_KEY",
        cancel="stops_billing",
        speaks={**_at(chat="/v1"), "messages": Spoken("/anthropic/v1", auth="x-api-key")},
    ),
    "groq": ProviderKind(
        "Groq",
        "https://api.groq.com/openai/v1",
        "https://console.groq.com/docs/openai",
        "GROQ_API_KEY",
        speaks=_at(chat="/openai/v1", responses="/openai/v1"),
        takes_urls=True,
    ),
    # Of ids it says itself: "must be a-z, A-Z, 0-9, with a length of 9" (https://github.com/anomalyco/opencode/issues/1680, read 2026-11).
    "mistral": ProviderKind(
        "Mistral", "https://api.mistral.ai/v1", "https://docs.mistral.ai/api/", "MISTRAL_API_KEY", takes_urls=True, exact_ids=9
    ),
    "openrouter": ProviderKind(
        "OpenRouter",
        "https://openrouter.ai/api/v1",
        "https://openrouter.ai/docs/api-reference",
        "OPENROUTER_API_KEY",
        cancel="stops_billing",
        speaks=_at(chat="/api/v1", responses="/api/v1", messages="/api/v1"),
        takes_urls=True,
    ),
    "together": ProviderKind(
        "Together",
        "https://api.together.xyz/v1",
        "https://docs.together.ai/docs/openai-api-compatibility",
        "TOGETHER_API_KEY",
        cancel="stops_billing",
        takes_urls=True,
    ),
    "fireworks": ProviderKind(
        "Fireworks",
        "https://api.fireworks.ai/inference/v1",
        "https://docs.fireworks.ai/tools-sdks/openai-compatibility",
        "FIREWORKS_API_KEY",
        cancel="stops_billing",
        speaks=_at(chat="/inference/v1", responses="/inference/v1", messages="/inference/v1"),
        takes_urls=True,
    ),
    "xai": ProviderKind(
        "xAI",
        "https://api.x.ai/v1",
        "https://docs.x.ai/docs/api-reference",
        "XAI_API_KEY",
        cancel="stops_billing",
        speaks=_at(chat="/v1", responses="/v1"),
        takes_urls=True,
    ),
    "cohere": ProviderKind(
        "Cohere",
        "https://api.cohere.ai/compatibility/v1",
        "https://docs.cohere.com/docs/compatibility-api",
        "COHERE_API_KEY",
        cancel="stops_billing",
        speaks=_at(chat="/compatibility/v1"),
    ),
    "perplexity": ProviderKind(
        "Perplexity",
        "https://api.perplexity.ai",
        "https://docs.perplexity.ai/guides/chat-completions-guide",
        "PERPLEXITY_API_KEY",
        speaks=_at(chat=""),
        takes_urls=True,
    ),
    "moonshot": ProviderKind(
        "Moonshot (Kimi)",
        "https://api.moonshot.ai/v1",
        "https://platform.kimi.ai/docs/guide/use-kimi-vision-model",
        "MOONSHOT_API_KEY",
        speaks=_at(chat="/v1", messages="/anthropic/v1"),
    ),
    "dashscope": ProviderKind(
        "Qwen (DashScope, international)",
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "https://www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope",
        "DASHSCOPE_API_KEY",
        speaks=_at(chat="/compatible-mode/v1", responses="/compatible-mode/v1", messages="/apps/anthropic/v1"),
        takes_urls=True,
    ),
    "zhipu": ProviderKind(
        "Zhipu (Z.ai)",
        "https://api.z.ai/api/paas/v4",
        "https://docs.z.ai/api-reference/introduction",
        "ZAI_API_KEY",
        speaks=_at(chat="/api/paas/v4", messages="/api/anthropic/v1"),
        takes_urls=True,
    ),
    "minimax": ProviderKind(
        "MiniMax",
        "https://api.minimax.io/v1",
        "https://platform.minimax.io/docs/api-reference/text-anthropic-api",
        "MINIMAX_API_KEY",
        speaks=_at(chat="/v1", messages="/anthropic/v1"),
    ),
    "sambanova": ProviderKind("SambaNova", "https://api.sambanova.ai/v1", "https://docs.sambanova.ai/", "SAMBANOVA_API_KEY"),
    "cerebras": ProviderKind(
        "Cerebras",
        "https://api.cerebras.ai/v1",
        "https://inference-docs.cerebras.ai/resources/openai",
        "CEREBRAS_API_KEY",
        cap_field="max_completion_tokens",
    ),
    "nvidia": ProviderKind("NVIDIA NIM", "https://integrate.api.nvidia.com/v1", "https://docs.api.nvidia.com/nim/", "NVIDIA_API_KEY"),
    "deepinfra": ProviderKind(
        "DeepInfra",
        "https://api.deepinfra.com/v1/openai",
        "https://deepinfra.com/docs/openai_api",
        "DEEPINFRA_API_KEY",
        cancel="stops_billing",
        speaks=_at(chat="/v1/openai"),
        takes_urls=True,
    ),
    "hyperbolic": ProviderKind(
        "Hyperbolic", "https://api.hyperbolic.xyz/v1", "https://docs.hyperbolic.xyz/docs", "HYPERBOLIC_API_KEY", cancel="stops_billing"
    ),
    "novita": ProviderKind(
        "Novita",
        "https://api.novita.ai/openai/v1",
        "https://novita.ai/docs/guides/llm-anthropic-compatibility",
        "NOVITA_API_KEY",
        cancel="stops_billing",
        speaks=_at(chat="/openai/v1", messages="/anthropic/v1"),
    ),
    "siliconflow": ProviderKind(
        "SiliconFlow",
        "https://api.siliconflow.com/v1",
        "https://docs.siliconflow.com/en/api-reference/chat-completions/chat-completions",
        "SILICONFLOW_API_KEY",
        speaks=_at(chat="/v1", messages="/v1"),
        takes_urls=True,
    ),
    "nebius": ProviderKind("Nebius", "https://api.tokenfactory.nebius.com/v1", "https://docs.tokenfactory.nebius.com/", "NEBIUS_API_KEY"),
    "huggingface": ProviderKind(
        "Hugging Face router",
        "https://router.huggingface.co/v1",
        "https://huggingface.co/docs/inference-providers",
        "HF_TOKEN",
        speaks=_at(chat="/v1", responses="/v1"),
        takes_urls=True,
    ),
    "github": ProviderKind(
        "GitHub Models",
        "https://models.github.ai/inference",
        "https://docs.github.com/en/rest/models/inference",
        "GITHUB_TOKEN",
        speaks=_at(chat="/inference"),
    ),
    "cloudflare": ProviderKind(
        "Cloudflare Workers AI",
        "",
        "https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility",
        "CLOUDFLARE_API_TOKEN",
        cancel="stops_billing",
        speaks=_at(chat="/ai/v1", responses="/ai/v1"),
        pattern="https://api.cloudflare.com/client/v4/accounts/ACCOUNT/ai/v1",
    ),
    "volcengine": ProviderKind(
        "Volcengine Ark",
        "https://ark.cn-beijing.volces.com/api/v3",
        "https://www.volcengine.com/docs/82379/1330626",
        "ARK_API_KEY",
        speaks=_at(chat="/api/v3", responses="/api/v3"),
        takes_urls=True,
    ),
    "baseten": ProviderKind(
        "Baseten",
        "https://inference.baseten.co/v1",
        "https://docs.baseten.co/inference/model-apis/vision",
        "BASETEN_API_KEY",
        takes_urls=True,
    ),
    "vercel": ProviderKind(
        "Vercel AI Gateway",
        "https://ai-gateway.vercel.sh/v1",
        "https://vercel.com/docs/ai-gateway/openai-compat",
        "AI_GATEWAY_API_KEY",
        speaks=_at(chat="/v1", messages="/v1"),
    ),
    **CLOUDS,
    "ollama": ProviderKind(
        "Ollama",
        "http://127.0.0.1:11434/v1",
        "https://docs.ollama.com/api/openai-compatibility",
        cancel="stops_billing",
        needs_key=False,
        free=True,
        speaks=_at(chat="/v1", responses="/v1", messages="/v1"),
    ),
    "lmstudio": ProviderKind(
        "LM Studio",
        "http://127.0.0.1:1234/v1",
        "https://lmstudio.ai/docs/developer/openai-compat",
        cancel="stops_billing",
        needs_key=False,
        free=True,
        speaks=_at(chat="/v1", responses="/v1", messages="/v1"),
    ),
    "llamacpp": ProviderKind(
        "llama.cpp",
        "http://127.0.0.1:8080/v1",
        "https://github.com/ggml-org/llama.cpp/tree/master/tools/server",
        cancel="stops_billing",
        needs_key=False,
        free=True,
        speaks=_at(chat="/v1", responses="/v1", messages="/v1"),
    ),
    "vllm": ProviderKind(
        "vLLM",
        "http://127.0.0.1:8000/v1",
        "https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
        cancel="stops_billing",
        needs_key=False,
        free=True,
        speaks=_at(chat="/v1", responses="/v1", messages="/v1"),
        takes_urls=True,
    ),
    "sglang": ProviderKind(
        "SGLang",
        "http://127.0.0.1:30000/v1",
        "https://docs.sglang.ai/basic_usage/openai_api.html",
        cancel="stops_billing",
        needs_key=False,
        free=True,
        takes_urls=True,
    ),
    "openai-compatible": ProviderKind(
        "OpenAI-compatible host",
        "",
        "https://platform.openai.com/docs/api-reference/chat",
        cancel="stops_billing",
        needs_key=False,
        pattern="https://HOST/v1",
    ),
    # Also OpenAI itself, for the models that it serves nowhere else.
    "openai-responses": ProviderKind(
        "Host of the Responses API alone",
        "",
        "https://www.openresponses.org",
        cancel="stops_billing",
        needs_key=False,
        speaks=_at(responses="/v1"),
        pattern="https://HOST/v1",
    ),
    "local": ProviderKind("Halley's embedded upstream", "", "docs/simulator.md", cancel="stops_billing", needs_key=False, free=True),
}
