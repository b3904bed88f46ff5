"""Rows of the clouds that serve models of others under paths, credentials or framings of their own; each operator has an own base URL.

Facts only: the paths are rendered by `providers.row`, the credentials by `providers.auth`, the bodies changed by `providers.tweaks`.
"""

from __future__ import annotations

from halley.providers.row import ProviderKind, Spoken

_INVOKE = Spoken(
    "",
    "/model/{model}/invoke",
    "/model/{model}/invoke-with-response-stream",
    tweaks=("model-in-path", "stream-in-path", "bedrock-version", "bedrock-betas"),
    framing="aws-eventstream",
)
_BEDROCK_DOCS = "https://docs.aws.amazon.com/bedrock/latest/userguide/apis.html"
_BEDROCK = "https://bedrock-runtime.REGION.amazonaws.com"
_AZURE_DOCS = "https://learn.microsoft.com/en-us/azure/foundry/openai/api-version-lifecycle"

CLOUDS: dict[str, ProviderKind] = {
    "azure": ProviderKind(
        "Azure OpenAI",
        "",
        _AZURE_DOCS,
        "AZURE_OPENAI_API_KEY",
        auth="api-key",
        cap_field="max_completion_tokens",
        cancel="stops_billing",
        speaks={"chat": Spoken("/openai/v1"), "responses": Spoken("/openai/v1")},
        takes_urls=True,
        pattern="https://RESOURCE.openai.azure.com/openai/v1",
    ),
    # The older API: the model's name is that of a deployment, and stands in the path. 2024-10-21 is its last version that is not a preview.
    "azure-deployments": ProviderKind(
        "Azure OpenAI, deployments with an API version",
        "",
        "https://learn.microsoft.com/en-us/azure/ai-foundry/openai/reference",
        "AZURE_API_KEY",
        auth="api-key",
        cap_field="max_completion_tokens",
        cancel="stops_billing",
        speaks={"chat": Spoken("/openai", "/deployments/{model}/chat/completions?api-version=2024-10-21")},
        takes_urls=True,
        pattern="https://RESOURCE.openai.azure.com/openai",
    ),
    "azure-foundry": ProviderKind(
        "Azure AI Foundry",
        "",
        "https://learn.microsoft.com/en-us/azure/ai-foundry/foundry-models/how-to/use-foundry-models-claude",
        "AZURE_AI_API_KEY",
        auth="api-key",
        cancel="stops_billing",
        speaks={
            "chat": Spoken("/openai/v1"),
            "responses": Spoken("/openai/v1"),
            "messages": Spoken("/anthropic/v1", auth="x-api-key"),
        },
        pattern="https://RESOURCE.services.ai.azure.com/openai/v1",
    ),
    # The secret is the JSON text of a service account's key. Claude there takes content inline.
    "vertex": ProviderKind(
        "Google Vertex AI",
        "",
        "https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference",
        "GOOGLE_APPLICATION_CREDENTIALS",
        auth="google-service-account",
        speaks={
            "gemini": Spoken("/publishers/google"),
            "messages": Spoken(
                "/publishers/anthropic",
                "/models/{model}:rawPredict",
                "/models/{model}:streamRawPredict",
                tweaks=("model-in-path", "vertex-version"),
            ),
            "chat": Spoken("/endpoints/openapi"),
        },
        pattern="https://LOCATION-aiplatform.googleapis.com/v1/projects/PROJECT/locations/LOCATION/publishers/google",
    ),
    # The secret is ACCESS_KEY_ID:SECRET_ACCESS_KEY, with :SESSION_TOKEN behind it for a temporary one. Claude there takes content inline.
    "bedrock": ProviderKind(
        "Amazon Bedrock",
        "",
        _BEDROCK_DOCS,
        "AWS_ACCESS_KEY_ID",
        auth="aws-sigv4",
        speaks={"messages": _INVOKE, "chat": Spoken("/openai/v1"), "responses": Spoken("/openai/v1")},
        pattern=_BEDROCK,
    ),
    "bedrock-key": ProviderKind(
        "Amazon Bedrock, with an API key",
        "",
        _BEDROCK_DOCS,
        "AWS_BEARER_TOKEN_BEDROCK",
        speaks={"chat": Spoken("/openai/v1"), "responses": Spoken("/openai/v1"), "messages": _INVOKE},
        pattern=f"{_BEDROCK}/openai/v1",
    ),
}
