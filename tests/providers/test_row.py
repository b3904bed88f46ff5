"""Where a row says that a call goes."""

from __future__ import annotations

import pytest

from halley.providers.compatible import KINDS
from halley.providers.row import Dialect, bases, path


@pytest.mark.parametrize(
    ("kind", "base_url", "dialect", "url"),
    [
        ("openai", "", "responses", "https://api.openai.com/v1/responses"),
        ("anthropic", "", "messages", "https://api.anthropic.com/v1/messages"),
        ("gemini", "", "gemini", "https://generativelanguage.googleapis.com/v1beta/models/m%2Fx:generateContent"),
        ("deepseek", "", "messages", "https://api.deepseek.com/anthropic/v1/messages"),
        ("zhipu", "", "messages", "https://api.z.ai/api/anthropic/v1/messages"),
        ("perplexity", "", "chat", "https://api.perplexity.ai/chat/completions"),
        ("deepseek", "https://proxy.test/deepseek/v1/", "messages", "https://proxy.test/deepseek/anthropic/v1/messages"),
        ("azure", "https://r.openai.azure.com/openai/v1", "responses", "https://r.openai.azure.com/openai/v1/responses"),
        (
            "azure-deployments",
            "https://r.openai.azure.com/openai",
            "chat",
            "https://r.openai.azure.com/openai/deployments/m%2Fx/chat/completions?api-version=2024-10-21",
        ),
        (
            "vertex",
            "https://l-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/google",
            "messages",
            "https://l-aiplatform.googleapis.com/v1/projects/p/locations/l/publishers/anthropic/models/m%2Fx:rawPredict",
        ),
        (
            "bedrock",
            "https://bedrock-runtime.us-east-1.amazonaws.com",
            "messages",
            "https://bedrock-runtime.us-east-1.amazonaws.com/model/m%2Fx/invoke",
        ),
        (
            "bedrock-key",
            "https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1",
            "messages",
            "https://bedrock-runtime.us-east-1.amazonaws.com/model/m%2Fx/invoke",
        ),
    ],
)
def test_a_call_goes_where_the_row_says(kind: str, base_url: str, dialect: Dialect, url: str) -> None:
    assert bases(KINDS[kind], base_url)[dialect] + path(KINDS[kind], dialect, "m/x", stream=False) == url


def test_a_stream_may_have_a_path_of_its_own() -> None:
    assert path(KINDS["gemini"], "gemini", "g", stream=True) == "/models/g:streamGenerateContent?alt=sse"
    assert path(KINDS["bedrock"], "messages", "a:0", stream=True) == "/model/a%3A0/invoke-with-response-stream"
    assert path(KINDS["vertex"], "messages", "claude@1", stream=True) == "/models/claude@1:streamRawPredict"
    assert path(KINDS["azure-deployments"], "chat", "d", stream=True) == path(KINDS["azure-deployments"], "chat", "d", stream=False)


def test_a_base_url_of_another_form_names_one_place_only() -> None:
    assert bases(KINDS["deepseek"], "https://proxy.test/other") == {"chat": "https://proxy.test/other"}


@pytest.mark.parametrize("model", ["../../admin", "a?b=c", "a#b", "a/b", "a b", "a\r\nb", "{model}"])
def test_a_models_name_cannot_become_another_path(model: str) -> None:
    rendered = path(KINDS["bedrock"], "messages", model, stream=False)
    assert rendered.startswith("/model/") and rendered.endswith("/invoke")
    assert rendered.count("/") == 3 and not set(rendered) & set("?# \r\n{}")
