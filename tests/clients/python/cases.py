"""Drives one installed Python SDK against the server its environment names, and prints one JSON line of facts per case.

Run by the interpreter that holds the SDK: `python cases.py openai|cometapi` with the plan (models and keys) as JSON on standard input.
It holds no expectation: what a fact must be is said once, in `test_clients.py`, for Python and Node alike. The client is built
from its environment alone, as a user who changes two variables would have it.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import pydantic

SDK = sys.argv[1]
PLAN = json.load(sys.stdin)
KEYS, MODELS = PLAN["keys"], PLAN["models"]
KEY_VARIABLE, URL_VARIABLE = {"openai": ("OPENAI_API_KEY", "OPENAI_BASE_URL"), "cometapi": ("COMETAPI_KEY", "COMETAPI_BASE_URL")}[SDK]
BASE_URL = os.environ[URL_VARIABLE]

openai = importlib.import_module("openai")
package = importlib.import_module(SDK)
Client, AsyncClient = (openai.OpenAI, openai.AsyncOpenAI) if SDK == "openai" else (package.CometAPI, package.AsyncCometAPI)

HELLO = [{"role": "user", "content": "Say hello to the harbour."}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

CASES: dict[str, Callable[[], dict[str, Any]]] = {}


class Place(pydantic.BaseModel):
    name: str
    people: int


def case(function: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    CASES[function.__name__] = function
    return function


def connect(key: str = "main", *, kind: Any = None, **options: Any) -> Any:
    """A client as its environment makes it. No retries unless asked for, so that the first answer is the one seen."""
    os.environ[KEY_VARIABLE] = KEYS[key]
    options.setdefault("max_retries", 0)
    return (kind or Client)(**options)


def answer(completion: Any) -> dict[str, Any]:
    choice = completion.choices[0]
    return {
        "object": completion.object,
        "id": completion.id,
        "model": completion.model,
        "role": choice.message.role,
        "text": choice.message.content,
        "finish": choice.finish_reason,
        "prompt_tokens": completion.usage.prompt_tokens,
        "completion_tokens": completion.usage.completion_tokens,
        "total_tokens": completion.usage.total_tokens,
        "request_id": completion._request_id,
    }


def streamed(chunks: list[Any]) -> dict[str, Any]:
    choices = [choice for chunk in chunks for choice in chunk.choices]
    usages = [chunk.usage for chunk in chunks if chunk.usage is not None]
    return {
        "object": chunks[0].object,
        "ids": len({chunk.id for chunk in chunks}),
        "roles": [choice.delta.role for choice in choices if choice.delta.role],
        "text": "".join(choice.delta.content or "" for choice in choices),
        "pieces": sum(1 for choice in choices if choice.delta.content),
        "finish": [choice.finish_reason for choice in choices if choice.finish_reason],
        "empty_chunks": sum(1 for chunk in chunks if not chunk.choices),
        "usages": [[usage.prompt_tokens, usage.completion_tokens, usage.total_tokens] for usage in usages],
    }


def chat(client: Any = None, **body: Any) -> Any:
    return (client or connect()).chat.completions.create(**{"model": MODELS["chat"], "messages": HELLO, **body})


@case
def model_list() -> dict[str, Any]:
    page = connect().models.list()
    return {"ids": [model.id for model in page], "objects": sorted({model.object for model in page})}


@case
def model_list_of_a_restricted_key() -> dict[str, Any]:
    return {"ids": [model.id for model in connect("restricted").models.list()]}


@case
def model_retrieve() -> dict[str, Any]:
    model = connect().models.retrieve(MODELS["chat"])
    return {"id": model.id, "object": model.object}


@case
def plain() -> dict[str, Any]:
    return answer(chat())


@case
def plain_async() -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        async with connect(kind=AsyncClient) as client:
            return answer(await chat(client))

    return asyncio.run(run())


@case
def stream() -> dict[str, Any]:
    return streamed(list(chat(stream=True)))


@case
def stream_async() -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        async with connect(kind=AsyncClient) as client:
            return streamed([chunk async for chunk in await chat(client, stream=True)])

    return asyncio.run(run())


@case
def stream_with_usage() -> dict[str, Any]:
    return streamed(list(chat(stream=True, stream_options={"include_usage": True})))


@case
def stream_with_usage_declined() -> dict[str, Any]:
    return streamed(list(chat(stream=True, stream_options={"include_usage": False})))


@case
def stream_helper() -> dict[str, Any]:
    with connect().chat.completions.stream(model=MODELS["chat"], messages=HELLO) as events:
        kinds = [event.type for event in events]
        final = events.get_final_completion()
    return {"text": final.choices[0].message.content, "finish": final.choices[0].finish_reason, "deltas": kinds.count("content.delta")}


@case
def stream_left_early() -> dict[str, Any]:
    client = connect()
    with chat(client, stream=True, model=MODELS["slow"]) as events:
        seen = [next(iter(events)) for _ in range(2)]
    return {"chunks": len(seen), "text_after": chat(client).choices[0].message.content}


@case
def many_at_once() -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        async with connect(kind=AsyncClient) as client:
            answers = await asyncio.gather(*(chat(client) for _ in range(20)))
        texts = sorted({one.choices[0].message.content for one in answers})
        return {"answers": len(answers), "texts": texts, "request_ids": len({one._request_id for one in answers})}

    return asyncio.run(run())


@case
def more_at_once_than_allowed() -> dict[str, Any]:
    async def run() -> dict[str, Any]:
        async with connect("one_at_a_time", kind=AsyncClient) as client:
            calls = (chat(client, model=MODELS["slow"], max_tokens=10) for _ in range(4))
            ends = await asyncio.gather(*calls, return_exceptions=True)
            after = await chat(client)
        refused = [end for end in ends if isinstance(end, BaseException)]
        return {
            "answered": len(ends) - len(refused),
            "refused": sorted({type(end).__name__ for end in refused}),
            "text_after": after.choices[0].message.content,
        }

    return asyncio.run(run())


@case
def renamed_model() -> dict[str, Any]:
    return {
        "text": answer(chat(model=MODELS["renamed"]))["text"],
        "stream": streamed(list(chat(model=MODELS["renamed"], stream=True)))["text"],
    }


@case
def tools() -> dict[str, Any]:
    client = connect()
    asked = [{"role": "user", "content": "How is the weather in Kiel for 3 days?"}]
    first = chat(client, messages=asked, tools=[WEATHER]).choices[0]
    call = first.message.tool_calls[0]
    result = {"role": "tool", "tool_call_id": call.id, "content": '{"weather":"rain"}'}
    second = chat(client, messages=[*asked, first.message, result])
    return {
        "finish": first.finish_reason,
        "content": first.message.content,
        "type": call.type,
        "name": call.function.name,
        "arguments": json.loads(call.function.arguments),
        "second_finish": second.choices[0].finish_reason,
        "second_text": second.choices[0].message.content,
    }


@case
def tools_streamed() -> dict[str, Any]:
    chunks = list(chat(tools=[WEATHER], stream=True))
    fragments = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or []]
    return {
        "fragments": len(fragments),
        "ids": [call.id for call in fragments if call.id],
        "indexes": sorted({call.index for call in fragments}),
        "name": "".join(call.function.name or "" for call in fragments),
        "arguments": json.loads("".join(call.function.arguments or "" for call in fragments)),
        "finish": streamed(chunks)["finish"],
    }


def image(url: str) -> dict[str, Any]:
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": url, "detail": "low"}}]
    return answer(chat(messages=[{"role": "user", "content": parts}]))


@case
def image_as_data_url() -> dict[str, Any]:
    return image(PIXEL)


@case
def image_as_https_url() -> dict[str, Any]:
    return image("https://images.example/harbour.jpg")


@case
def json_schema() -> dict[str, Any]:
    schema = {**Place.model_json_schema(), "additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "place", "schema": schema, "strict": True}}
    return {"value": json.loads(chat(response_format=form).choices[0].message.content)}


@case
def json_schema_parsed() -> dict[str, Any]:
    parsed = connect().chat.completions.parse(model=MODELS["chat"], messages=HELLO, response_format=Place).choices[0].message.parsed
    return {"parsed": isinstance(parsed, Place), "value": parsed.model_dump()}


@case
def cap_by_max_tokens() -> dict[str, Any]:
    return answer(chat(model=MODELS["long"], max_tokens=3))


@case
def cap_by_max_completion_tokens() -> dict[str, Any]:
    return answer(chat(model=MODELS["long"], max_completion_tokens=3))


@case
def two_choices() -> dict[str, Any]:
    completion = chat(n=2)
    chunks = list(chat(n=2, stream=True))
    return {
        "indexes": [choice.index for choice in completion.choices],
        "finishes": [choice.finish_reason for choice in completion.choices],
        "streamed_indexes": sorted({choice.index for chunk in chunks for choice in chunk.choices}),
    }


@case
def unknown_fields_pass() -> dict[str, Any]:
    extra = {"provider_hint": {"tier": "gold", "order": ["a", "b"]}, "top_k": 7, "reasoning_effort": "low"}
    return answer(chat(extra_body=extra, extra_headers={"x-harbour": "north"}, extra_query={"trace": "1"}, user="end-user-7", seed=7))


@case
def history_of_every_role() -> dict[str, Any]:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    history = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
        {"role": "user", "content": [{"type": "text", "text": "Grüße, 世界 🌍"}], "name": "ann"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "rain"}]},
        {"role": "assistant", "content": "It rains."},
        {"role": "user", "content": "Thanks."},
    ]
    return answer(chat(messages=history))


def every_shape(facts: Callable[[Any], dict[str, Any]], **body: Any) -> dict[str, Any]:
    """Each by a client of its own: after a connection that was closed without notice, the next request may find that out too late."""
    return {model: facts(chat(connect(), model=model, **body)) for model in PLAN["shapes"]}


@case
def plain_of_every_shape() -> dict[str, Any]:
    return every_shape(lambda completion: {"text": completion.choices[0].message.content, "reported": completion.usage is not None})


@case
def stream_of_every_shape() -> dict[str, Any]:
    return every_shape(lambda chunks: streamed(list(chunks)), stream=True)


@case
def stream_of_every_shape_with_usage() -> dict[str, Any]:
    return every_shape(lambda chunks: streamed(list(chunks)), stream=True, stream_options={"include_usage": True})


@case
def text_that_looks_like_the_protocol() -> dict[str, Any]:
    return every_shape(lambda chunks: streamed(list(chunks)), stream=True, messages=[{"role": "user", "content": PLAN["tricky"]}])


@case
def raw_headers() -> dict[str, Any]:
    reply = connect().chat.completions.with_raw_response.create(model=MODELS["chat"], messages=HELLO)
    return {"status": reply.status_code, "fields": {name.lower(): value for name, value in reply.headers.items()}}


@case
def retried_by_the_sdk() -> dict[str, Any]:
    return answer(chat(connect(max_retries=2), model=MODELS["flaky"]))


def failure(call: Callable[[], Any]) -> dict[str, Any]:
    """What the SDK makes of a refusal: its own exception class and every field a program would look at."""
    try:
        done = call()
    except openai.APIError as error:
        response = getattr(error, "response", None)
        return {
            "class": type(error).__name__,
            "status": getattr(error, "status_code", None),
            "type": error.type,
            "code": error.code,
            "param": error.param,
            "message": error.body.get("message") if isinstance(error.body, dict) else str(error),
            "request_id": getattr(error, "request_id", None),
            "retry_after": response.headers.get("retry-after") if response is not None else None,
        }
    return {"class": None, "answered": repr(done)[:200]}


def counted(calls: list[str], **options: Any) -> Any:
    """A client that tries again of itself, and a list of what it sent."""
    watched = openai.DefaultHttpxClient(event_hooks={"request": [lambda request: calls.append(request.method)]})
    return connect(max_retries=2, http_client=watched, **options)


@case
def asked_twice() -> dict[str, Any]:
    once = {"Idempotency-Key": f"once-{os.urandom(12).hex()}"}
    calls: list[str] = []
    client = counted(calls)
    first, second = (
        client.chat.completions.with_raw_response.create(model=MODELS["chat"], messages=HELLO, extra_headers=once) for _ in range(2)
    )
    sent = len(calls)
    other = failure(lambda: chat(client, messages=[{"role": "user", "content": "Something else."}], extra_headers=once))
    return {
        "same": first.content == second.content,
        "text": second.parse().choices[0].message.content,
        "replayed": [each.headers.get("idempotent-replayed") for each in (first, second)],
        "original": second.headers.get("original-request") == first.headers["x-request-id"],
        "other": {name: other[name] for name in ("class", "status", "code")},
        "sent": [sent, len(calls)],
    }


@case
def stream_asked_twice() -> dict[str, Any]:
    once = {"Idempotency-Key": f"once-{os.urandom(12).hex()}"}
    calls: list[str] = []
    client = counted(calls)
    first = streamed(list(chat(client, stream=True, extra_headers=once)))
    again = failure(lambda: list(chat(client, stream=True, extra_headers=once)))
    return {"text": first["text"], "again": {name: again[name] for name in ("class", "status", "code")}, "sent": len(calls)}


@case
def account() -> dict[str, Any]:
    root = BASE_URL.removesuffix("/v1")
    admin = connect("admin")
    made = admin.post(
        f"{root}/api/keys", body={"name": f"made-{os.urandom(6).hex()}", "budget": {"usd": "0.5", "reset": "day"}}, cast_to=object
    )
    os.environ[KEY_VARIABLE] = made["key"]
    client = Client(max_retries=0)
    answered = answer(chat(client))

    def ask(path: str) -> Any:
        return client.get(path if path.startswith("/dashboard") else root + path, cast_to=object)

    def booked() -> bool:
        return ask("/api/usage")["total"]["requests"] == 1

    limit = time.monotonic() + 30
    while not booked() and time.monotonic() < limit:
        time.sleep(0.05)
    seen = {
        "request_id": answered["request_id"],
        "id": made["id"],
        "budget": made["budget"],
        "subscription": ask("/dashboard/billing/subscription"),
        "usage": ask("/dashboard/billing/usage"),
        "token": ask("/api/usage/token"),
        "quota": ask("/user/quota"),
        "balance": ask("/api/balance"),
        "keys": ask("/api/keys"),
        "logs": ask("/api/logs"),
        "log": ask(f"/api/logs/{answered['request_id']}"),
        "made_by_itself": failure(lambda: client.post(f"{root}/api/keys", body={"name": "another"}, cast_to=object)),
        "revoked": admin.delete(f"{root}/api/keys/{made['id']}", cast_to=object)["status"],
    }
    return seen | {"after": failure(lambda: chat(client))}


def refusal(name: str, call: Callable[[], Any]) -> None:
    CASES[name] = lambda: failure(call)


def third_of_three() -> Any:
    client = connect("limited")
    return [chat(client) for _ in range(3)]


refusal("refused_body_400", lambda: chat(messages="hello"))
refusal("refused_field_400", lambda: chat(temperature="hot"))
refusal("refused_key_401", lambda: chat(connect("wrong")))
refusal("refused_key_401_in_a_stream", lambda: list(chat(connect("wrong"), stream=True)))
refusal("refused_key_401_for_models", lambda: list(connect("wrong").models.list()))
refusal("expired_key_401", lambda: chat(connect("expired")))
refusal("expired_key_401_for_models", lambda: list(connect("expired").models.list()))
refusal("revoked_key_401", lambda: chat(connect("revoked")))
refusal("refused_credit_402", lambda: chat(connect("penniless")))
refusal("refused_model_403", lambda: chat(connect("restricted"), model=MODELS["long"]))
refusal("unknown_model_404", lambda: chat(model=MODELS["unknown"]))
refusal("unknown_model_404_retrieved", lambda: connect().models.retrieve(MODELS["unknown"]))
refusal("unknown_route_404", lambda: connect().files.list())
refusal("base_url_without_v1_404", lambda: chat(connect(base_url=BASE_URL.removesuffix("/v1"))))
refusal("base_url_with_v1_twice_404", lambda: chat(connect(base_url=BASE_URL + "/v1")))
refusal("body_too_large_413", lambda: chat(messages=[{"role": "user", "content": "x" * PLAN["too_large"]}]))
refusal("rate_limit_429", third_of_three)
refusal("upstream_400", lambda: chat(model=MODELS["upstream_400"]))
refusal("upstream_429", lambda: chat(model=MODELS["upstream_429"]))
refusal("upstream_500", lambda: chat(model=MODELS["upstream_500"]))
refusal("upstream_502", lambda: chat(model=MODELS["upstream_502"]))
refusal("upstream_503", lambda: chat(model=MODELS["upstream_503"]))
refusal("upstream_500_for_a_stream", lambda: list(chat(model=MODELS["upstream_500_stream"], stream=True)))
refusal("upstream_html", lambda: chat(model=MODELS["upstream_html"]))
refusal("upstream_bad_json", lambda: chat(model=MODELS["upstream_bad_json"]))
refusal("upstream_cut_stream", lambda: list(chat(model=MODELS["upstream_cut"], stream=True)))
refusal(
    "upstream_cut_stream_with_usage",
    lambda: list(chat(model=MODELS["upstream_cut"], stream=True, stream_options={"include_usage": True})),
)
refusal("upstream_error_frame", lambda: list(chat(model=MODELS["upstream_error_frame"], stream=True)))
refusal("client_timeout", lambda: chat(connect(timeout=0.4), model=MODELS["stalled"]))


def main() -> None:
    versions = {"sdk": package.__version__, "openai": openai.__version__, "runtime": sys.version.split()[0]}
    print(json.dumps({"case": "versions", "seen": versions}))
    only = PLAN["only"] or CASES
    for name, run in CASES.items():
        if name not in only:
            continue
        try:
            line = {"case": name, "seen": run()}
        except Exception as error:  # Every case must leave a line, whatever its SDK raised; the test shows it.
            line = {"case": name, "failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(line, default=repr), flush=True)


if __name__ == "__main__":
    main()
