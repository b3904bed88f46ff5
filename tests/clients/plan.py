"""What the case scripts are told: the models by role, and the settings of a gateway that serves them from the simulator."""

from __future__ import annotations

TOO_LARGE = 2_000_000
# What a model may well say, and no meter may mistake for the end of a stream, an error or a report of usage.
TRICKY = (
    'Streams end with [DONE] or with data: [DONE] \n\ndata: {"error": {"message": "no"}} \n\n"usage": {"prompt_tokens": 9} and then go on.'
)

# What a case calls a model, and the scripted model of the simulator that serves it.
MODELS = {
    "chat": "sim/echo",
    "long": "sim/tokens-200",
    "slow": "sim/tokens-200+slow-20ms",
    "stalled": "sim/head-delay-5000ms",
    "flaky": "sim/flaky",
    "renamed": "harbour/echo",
    "unknown": "sim/no-such-model",
    "upstream_400": "sim/status-400",
    "upstream_429": "sim/status-429",
    "upstream_500": "sim/status-500",
    "upstream_502": "sim/status-502",
    "upstream_503": "sim/status-503",
    "upstream_500_stream": "sim/tokens-3+status-500",
    "upstream_html": "sim/html-502",
    "upstream_bad_json": "sim/bad-json",
    "upstream_cut": "sim/cut-at-600",
    "upstream_error_frame": "sim/error-frame-after-3",
}
# Sound answers in every shape that upstreams really send them in: framing, line ends, and ways to report usage.
SHAPES = (
    "sim/echo+one-byte-writes",
    "sim/echo+write-7",
    "sim/echo+crlf",
    "sim/echo+usage-each-chunk",
    "sim/echo+usage-nulls",
    "sim/echo+no-usage",
    "sim/echo+eof-body",
    "sim/echo+early-close",
    "sim/reasoner",
)
# What a model is called upstream where that is not its name here.
NAMES_UPSTREAM = {"harbour/echo": "sim/echo"}
# Models that misbehave have a provider row each, so that what is learnt about one never reaches another.
SOUND = ("chat", "long", "slow", "renamed")


def settings(upstream: str) -> str:
    """The gateway's halley.toml: the simulator as provider `sim`, and once more for each model that misbehaves."""
    lines = ["[limits]", f"json_bytes = {TOO_LARGE // 2}"]
    providers = {"sim": upstream}
    served = {model: "sim" if name in SOUND else name.replace("_", "-") for name, model in MODELS.items() if name != "unknown"}
    served |= dict.fromkeys(SHAPES, "sim")
    for model, provider in served.items():
        providers[provider] = upstream
        offer = f'{{provider = "{provider}", model = "{NAMES_UPSTREAM.get(model, model)}"}}'
        lines += ["[[models]]", f'id = "{model}"', f"offers = [{offer}]", "max_output = 4096", 'price = {input = "1", output = "2"}']
    for provider, url in providers.items():
        lines += ["[[providers]]", f'name = "{provider}"', 'kind = "openai-compatible"', f'base_url = "{url}"', 'api_key = "upstream-key"']
    lines += ["[[accounts]]", 'name = "penniless"']
    return "\n".join(lines) + "\n"


# Cases that mean something without a gateway: the same script drives the simulator itself, and must see the same.
ALSO_DIRECTLY = (
    "plain",
    "plain_async",
    "stream",
    "stream_async",
    "stream_with_usage",
    "stream_with_usage_declined",
    "stream_helper",
    "tools",
    "tools_streamed",
    "image_as_data_url",
    "image_as_https_url",
    "json_schema",
    "json_schema_parsed",
    "cap_by_max_tokens",
    "cap_by_max_completion_tokens",
    "two_choices",
    "unknown_fields_pass",
    "history_of_every_role",
    "plain_of_every_shape",
    "stream_of_every_shape",
    "stream_of_every_shape_with_usage",
    "text_that_looks_like_the_protocol",
)
