"""What stands beside chat: embeddings, counting, moderation, rerank, completions and lists of models, over real sockets and audited."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from halley.policy.catalogue import packaged
from tests.harness.audit import audit
from tests.harness.gateway import Gateway
from tests.harness.http import Reply
from tests.harness.process import until
from tests.harness.simulator import Simulator

PROVIDERS = {
    "chat": ("openai-compatible", "/v1"),
    "messages": ("anthropic", "/v1"),
    "gemini": ("gemini", "/v1beta"),
    "all": ("cometapi", "/v1"),
}
SCRIPTS = ("tokens-5", "echo", "status-429", "length")
TEXTS = ["a first text", "and a second one"]
# Which header each dialect's clients bring their key in.
KEYS = {"messages": "x-api-key", "gemini": "x-goog-api-key"}


class House(NamedTuple):
    gateway: Gateway
    simulator: Simulator
    key: str

    def ask(self, path: str, body: Any = None, *, carrier: str = "", method: str = "POST", **fields: str) -> tuple[Reply, bytes]:
        with self.gateway.client() as client:
            if carrier:
                reply = client.ask(method, path, body, fields={carrier: self.key, **fields})
            else:
                reply = client.ask(method, path, body, key=self.key, fields=fields)
            return reply, reply.body()

    def asked(self) -> int:
        return self.simulator.state()["requests"]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    place = tmp_path_factory.mktemp("neighbours")
    with Simulator(place) as simulator:
        providers = [
            f'[[providers]]\nname = "{name}"\nkind = "{kind}"\nbase_url = "{simulator.url}{base}"\napi_key = "sk-any"\n'
            for name, (kind, base) in PROVIDERS.items()
        ]
        models = [
            f'[[models]]\nid = "{name}/{script}"\nmax_output = 4000\ncontext = 100000\n'
            f'offers = [{{ provider = "{name}", model = "sim/{script}" }}]\nprice = {{ input = "0.1505", output = "0.6015" }}\n'
            for name in PROVIDERS
            for script in SCRIPTS
        ]
        poor = '[[accounts]]\nname = "poor"\ncredit = "prepaid"\n'
        with Gateway(place, "\n".join([*providers, *models, poor])) as gateway:
            gateway.cli("credit", "default", "1000")
            yield House(gateway, simulator, gateway.key())


# ---- embeddings -------------------------------------------------------------------------------------------------------------------------


def openai_vectors(raw: bytes) -> list[list[float]]:
    body = json.loads(raw)
    assert body["object"] == "list"
    assert [each["index"] for each in body["data"]] == list(range(len(body["data"])))
    found: list[list[float]] = []
    for each in body["data"]:
        vector = each["embedding"]
        if isinstance(vector, str):
            packed = base64.b64decode(vector)
            vector = list(struct.unpack(f"<{len(packed) // 4}f", packed))
        found.append(vector)
    return found


@pytest.mark.parametrize("provider", ["chat", "gemini", "all"])
def test_openai_embeddings_in_both_encodings_from_any_provider_that_has_them(house: House, provider: str) -> None:
    body: dict[str, Any] = {"model": f"{provider}/tokens-5", "input": TEXTS, "dimensions": 8}
    reply, raw = house.ask("/v1/embeddings", body)
    assert reply.status == 200, raw
    plain = openai_vectors(raw)
    assert [len(vector) for vector in plain] == [8, 8] and plain[0] != plain[1]
    assert json.loads(raw)["model"] in (body["model"], "sim/tokens-5")
    reply, raw = house.ask("/v1/embeddings", body | {"encoding_format": "base64"})
    assert reply.status == 200, raw
    assert [[round(x, 5) for x in vector] for vector in openai_vectors(raw)] == [[round(x, 5) for x in vector] for vector in plain]
    reply, raw = house.ask("/v1/embeddings", body | {"user": "somebody", "x_odd": 1})
    assert (reply.status, reply.fields.get("x-halley-lost")) == (200, "x_odd, user" if provider == "gemini" else None)
    reply, raw = house.ask("/v1/embeddings", body | {"input": [[1, 2, 3], [4]]})
    assert reply.status == (400 if provider == "gemini" else 200), raw


@pytest.mark.parametrize("prefix", ["/v1beta", "/v1"])
@pytest.mark.parametrize("provider", ["chat", "gemini", "all"])
def test_google_embeddings_one_and_many_from_any_provider_that_has_them(house: House, provider: str, prefix: str) -> None:
    model = f"{provider}/tokens-5"
    one = {"content": {"parts": [{"text": TEXTS[0]}]}, "outputDimensionality": 8}
    reply, raw = house.ask(f"{prefix}/models/{model}:embedContent", one, carrier="x-goog-api-key")
    assert reply.status == 200, raw
    vector = json.loads(raw)["embedding"]["values"]
    assert len(vector) == 8
    many = {
        "requests": [{"model": f"models/{model}", "content": {"parts": [{"text": text}]}, "output_dimensionality": 8} for text in TEXTS]
    }
    reply, raw = house.ask(f"{prefix}/models/{model}:batchEmbedContents", many, carrier="x-goog-api-key")
    assert reply.status == 200, raw
    assert [len(each["values"]) for each in json.loads(raw)["embeddings"]] == [8, 8]
    assert json.loads(raw)["embeddings"][0]["values"] == pytest.approx(vector, abs=1e-5)


def test_a_model_whose_providers_have_no_embeddings_is_refused_before_anything_is_asked(house: House) -> None:
    before = house.asked()
    reply, raw = house.ask("/v1/embeddings", {"model": "messages/tokens-5", "input": "a"})
    assert (reply.status, json.loads(raw)["error"]["param"]) == (400, "model")
    body = {"content": {"parts": [{"text": "a"}]}}
    reply, raw = house.ask("/v1beta/models/messages/tokens-5:embedContent", body, carrier="x-goog-api-key")
    assert (reply.status, json.loads(raw)["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert house.asked() == before


def test_an_upstreams_error_is_said_in_the_clients_words(house: House) -> None:
    reply, raw = house.ask("/v1/embeddings", {"model": "gemini/status-429", "input": "a"})
    assert (reply.status, json.loads(raw)["error"]["type"]) == (429, "rate_limit_error")
    body = {"content": {"parts": [{"text": "a"}]}}
    reply, raw = house.ask("/v1beta/models/chat/status-429:embedContent", body, carrier="x-goog-api-key")
    assert (reply.status, json.loads(raw)["error"]["status"]) == (429, "RESOURCE_EXHAUSTED")


# ---- counting ---------------------------------------------------------------------------------------------------------------------------


def counting(client: str, model: str, text: str) -> tuple[str, dict[str, Any]]:
    tool = {"type": "object", "properties": {"city": {"type": "string"}}}
    match client:
        case "messages":
            turns = [{"role": "user", "content": text}]
            tools = [{"name": "weather", "input_schema": tool}]
            return "/v1/messages/count_tokens", {"model": model, "messages": turns, "tools": tools}
        case "responses":
            tools = [{"type": "function", "name": "weather", "parameters": tool}]
            return "/v1/responses/input_tokens", {"model": model, "input": text, "tools": tools}
        case _:
            return f"/v1beta/models/{model}:countTokens", {"contents": [{"parts": [{"text": text}]}]}


def counted(client: str, raw: bytes) -> int:
    body = json.loads(raw)
    return body["totalTokens"] if client == "gemini" else body["input_tokens"]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("client", ["messages", "responses", "gemini"])
def test_tokens_are_counted_by_the_provider_or_estimated(house: House, client: str, provider: str) -> None:
    asked = house.asked()
    counts: list[int] = []
    for text in ("few words", "many words " * 300):
        reply, raw = house.ask(*counting(client, f"{provider}/tokens-5", text), carrier=KEYS.get(client, ""))
        assert reply.status == 200, raw
        assert reply.fields.get("x-halley-estimated") == ("1" if provider == "chat" else None)
        assert reply.fields.get("request-id") == (reply.fields["x-request-id"] if client == "messages" else None)
        counts.append(counted(client, raw))
    assert 0 < counts[0] < counts[1]
    assert house.asked() - asked == (0 if provider == "chat" else 2)


def test_what_is_large_is_not_translated_to_be_counted(house: House) -> None:
    text = "word " * 150_000
    for client, provider, estimated in (("gemini", "messages", "1"), ("messages", "messages", None)):
        asked = house.asked()
        reply, raw = house.ask(*counting(client, f"{provider}/tokens-5", text), carrier=KEYS.get(client, ""))
        assert (reply.status, reply.fields.get("x-halley-estimated")) == (200, estimated), raw
        assert counted(client, raw) > 10_000
        assert house.asked() - asked == (0 if estimated else 1)


PICTURE = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}


def test_a_count_that_its_provider_refuses_is_estimated(house: House) -> None:
    """Gemini CLI counts what a tool returned without its call, which is no conversation elsewhere."""
    parts = [{"functionResponse": {"name": "look", "response": {"output": "seen"}, "parts": [PICTURE]}}]
    path, body = "/v1beta/models/messages/tokens-5:countTokens", {"contents": [{"role": "user", "parts": parts}]}
    asked = house.asked()
    reply, raw = house.ask(path, body, carrier="x-goog-api-key")
    assert (reply.status, reply.fields.get("x-halley-estimated")) == (200, "1"), raw
    assert counted("gemini", raw) > 0
    assert house.asked() == asked + 1
    # Whoever speaks the provider's dialect reads its own words.
    turn = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "seen"}]}
    reply, raw = house.ask("/v1/messages/count_tokens", {"model": "messages/tokens-5", "messages": [turn]}, carrier="x-api-key")
    assert (reply.status, reply.fields.get("x-halley-estimated")) == (400, None), raw


def test_counting_needs_no_credit(house: House) -> None:
    key = house.gateway.cli_json("keys", "create", "--name", "poor", "--account", "poor")["key"]
    for provider, status in (("chat", 200), ("messages", 200)):
        with house.gateway.client() as client:
            path, body = counting("messages", f"{provider}/tokens-5", "some words")
            assert client.ask("POST", path, body, fields={"x-api-key": key}).status == status


@pytest.mark.parametrize("provider", ["chat", "messages"])
def test_what_is_no_request_is_not_counted(house: House, provider: str) -> None:
    model = f"{provider}/tokens-5"
    before = house.asked()
    for body in ({"model": model}, {"model": model, "messages": []}, {"model": model, "messages": [{"role": "robot", "content": "a"}]}):
        reply, raw = house.ask("/v1/messages/count_tokens", body, carrier="x-api-key")
        assert (reply.status, json.loads(raw)["error"]["type"]) == (400, "invalid_request_error"), raw
    reply, raw = house.ask(f"/v1beta/models/{model}:countTokens", {"contents": "no"}, carrier="x-goog-api-key")
    assert (reply.status, json.loads(raw)["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert house.asked() == before


INSIDE = {"fileData": {"fileUri": "http://169.254.169.254/latest", "mimeType": "image/png"}}


@pytest.mark.parametrize(
    "body",
    [
        {"contents": [{"parts": [INSIDE]}]},
        {"generateContentRequest": {"contents": [{"parts": [INSIDE]}]}},
        {"generate_content_request": {"contents": {"parts": INSIDE}}},
        {"contents": [{"parts": [INSIDE]}], "generateContentRequest": {"contents": [{"parts": [{"text": "a"}]}]}},
    ],
)
def test_an_address_inside_is_not_handed_on_by_counting(house: House, body: dict[str, Any]) -> None:
    before = house.asked()
    reply, raw = house.ask("/v1beta/models/gemini/tokens-5:countTokens", body, carrier="x-goog-api-key")
    assert (reply.status, json.loads(raw)["error"]["status"]) == (400, "INVALID_ARGUMENT"), raw
    assert house.asked() == before


# ---- moderation, rerank, completions -----------------------------------------------------------------------------------------------------


def test_moderation_judges_each_text(house: House) -> None:
    reply, raw = house.ask("/v1/moderations", {"model": "chat/tokens-5", "input": ["a text", "another"]})
    assert reply.status == 200, raw
    assert [each["flagged"] for each in json.loads(raw)["results"]] == [False, False]
    ended: dict[str, Any] = {}

    def has_ended() -> bool:
        told = house.gateway.cli("logs", "--json", reply.fields["x-request-id"], check=False).stdout
        ended.update(json.loads(told or "{}"))  # nothing before it is folded
        return ended.get("ending") is not None

    until(has_ended, lambda: f"not ended: {ended}")
    assert (ended["ending"], ended["estimated"]) == ("unreported", True) and ended["charge"] > 0
    reply, raw = house.ask("/v1/moderations", {"input": "a text"})
    assert (reply.status, json.loads(raw)["error"]["code"]) == (404, "model_not_found")
    assert b"omni-moderation-latest" in raw


def test_rerank_orders_documents(house: House) -> None:
    body = {"model": "all/tokens-5", "query": "second", "documents": TEXTS, "top_n": 1}
    reply, raw = house.ask("/v1/rerank", body)
    assert reply.status == 200, raw
    assert len(json.loads(raw)["results"]) == 1
    for wrong, param in ((body | {"documents": []}, "documents"), ({"model": "all/tokens-5"}, "query"), (body | {"top_n": 0}, "top_n")):
        reply, raw = house.ask("/v1/rerank", wrong)
        assert (reply.status, json.loads(raw)["error"]["param"]) == (400, param)


def test_completions_whole_and_streamed(house: House) -> None:
    body = {"model": "chat/tokens-5", "prompt": "Once", "max_tokens": 20}
    reply, raw = house.ask("/v1/completions", body)
    assert reply.status == 200, raw
    text = json.loads(raw)["choices"][0]["text"]
    assert len(text.split()) == 5
    reply, raw = house.ask("/v1/completions", body | {"stream": True})
    assert reply.status == 200
    frames = raw.split(b"\n\n")
    assert frames[-2] == b"data: [DONE]" and b'"usage":{' not in raw
    assert "".join(json.loads(frame[6:])["choices"][0]["text"] for frame in frames[:-2]) == text
    reply, raw = house.ask("/v1/completions", body | {"model": "gemini/tokens-5"})
    assert (reply.status, json.loads(raw)["error"]["param"]) == (400, "model")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"model": "MODEL", "input": []}),
        ("/v1/embeddings", {"model": "MODEL", "input": ["a", 1]}),
        ("/v1/embeddings", {"model": "MODEL", "input": "a", "dimensions": 0}),
        ("/v1/embeddings", {"model": "MODEL", "input": "a", "encoding_format": "hex"}),
        ("/v1/embeddings", {"input": "a"}),
        ("/v1/embeddings", {"Model": "MODEL", "model": "MODEL", "input": "a"}),
        ("/v1/moderations", {"model": "MODEL"}),
        ("/v1/moderations", {"model": "MODEL", "input": [{"image_url": {"url": "http://169.254.169.254/"}}]}),
        ("/v1/rerank", {"model": "MODEL", "query": "a"}),
        ("/v1/completions", {"model": "MODEL"}),
        ("/v1/completions", {"model": "MODEL", "prompt": "a", "n": 1000}),
        ("/v1/completions", {"model": "MODEL", "prompt": "a", "max_tokens": -1}),
    ],
)
def test_a_bad_body_is_refused_by_the_name_of_its_field_and_nothing_is_asked(house: House, path: str, body: dict[str, Any]) -> None:
    before = house.asked()
    raw = json.dumps(body).replace("MODEL", "chat/tokens-5").encode()
    reply, said = house.ask(path, raw)
    error = json.loads(said)["error"]
    assert (reply.status, error["type"], error["code"]) == (400, "invalid_request_error", "invalid_value"), said
    assert reply.fields["x-request-id"].startswith("req_")
    assert house.asked() == before


# ---- lists of models --------------------------------------------------------------------------------------------------------------------


def test_the_list_of_models_has_the_shape_that_its_client_reads(house: House) -> None:
    # Providers of kinds that the packaged catalogue knows bring its models; those of media have no route yet.
    text = [model for model in packaged().models if model.model_type not in ("audio", "image", "ocr")]
    brought = [model.id for model in text if model.kind in dict(PROVIDERS.values())]
    assert brought
    names = sorted(["local/docs-assistant", *brought, *(f"{name}/{script}" for name in PROVIDERS for script in SCRIPTS)])
    reply, raw = house.ask("/v1/models", method="GET")
    assert (reply.status, [each["id"] for each in json.loads(raw)["data"]]) == (200, names)
    reply, raw = house.ask("/v1/models?limit=3", method="GET", carrier="x-api-key", **{"anthropic-version": "2023-06-01"})
    page = json.loads(raw)
    assert (page["first_id"], page["last_id"], page["has_more"]) == (names[0], names[2], True)
    assert {each["type"] for each in page["data"]} == {"model"} and page["data"][0]["max_input_tokens"] == 100000
    assert reply.fields["request-id"] == reply.fields["x-request-id"]
    found: list[str] = []
    token = ""
    while True:
        reply, raw = house.ask(f"/v1beta/models?pageSize=7&pageToken={token}", method="GET", carrier="x-goog-api-key")
        page = json.loads(raw)
        found += [each["name"].removeprefix("models/") for each in page["models"]]
        token = page.get("nextPageToken", "")
        if not token:
            break
    assert found == names
    reply, raw = house.ask("/v1/models?pageSize=1000", method="GET", carrier="x-goog-api-key")
    first, *rest = json.loads(raw)["models"]
    last = next(each for each in rest if each["name"] == "models/messages/tokens-5")
    assert first["name"] == f"models/{names[0]}" and "embedContent" in first["supportedGenerationMethods"]
    assert "embedContent" not in last["supportedGenerationMethods"]


@pytest.mark.parametrize(
    ("path", "fields", "key"),
    [
        ("/v1/models/{}", {}, "id"),
        ("/v1/models/{}", {"anthropic-version": "2023-06-01"}, "id"),
        ("/v1beta/models/{}", {}, "name"),
    ],
)
def test_one_model_and_none(house: House, path: str, fields: dict[str, str], key: str) -> None:
    reply, raw = house.ask(path.format("chat/echo"), method="GET", **fields)
    assert (reply.status, json.loads(raw)[key].removeprefix("models/")) == (200, "chat/echo")
    reply, raw = house.ask(path.format("chat/echoes"), method="GET", **fields)
    assert reply.status == 404 and b"chat/echo" in raw
    assert ("type" in json.loads(raw)) == bool(fields)
    reply, raw = house.ask(path.format(""), method="GET", **fields)
    assert reply.status == 404


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "after_id=nobody"])
def test_a_page_that_is_none_is_refused(house: House, query: str) -> None:
    reply, raw = house.ask(f"/v1/models?{query}", method="GET", **{"anthropic-version": "2023-06-01"})
    assert (reply.status, json.loads(raw)["error"]["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("version", ["", "S2", "2023-06"])
def test_a_list_in_a_version_that_is_none_is_refused(house: House, version: str) -> None:
    reply, raw = house.ask("/v1/models", method="GET", **{"anthropic-version": version})
    assert (reply.status, json.loads(raw)["error"]["type"]) == (400, "invalid_request_error")


TURN = {"role": "user", "content": "How much is this?"}
PARTS = {"role": "user", "parts": [{"text": "How much is this?"}]}
SPOKEN: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/chat/completions", {"model": "chat/tokens-5", "messages": [TURN]}, ""),
    ("/v1/chat/completions", {"model": "chat/tokens-5", "messages": [TURN], "max_tokens": 70, "n": 2}, ""),
    ("/v1/chat/completions", {"model": "messages/tokens-5", "messages": [TURN], "max_completion_tokens": 70, "stream": True}, ""),
    ("/v1/responses", {"model": "chat/tokens-5", "input": "How much?", "max_output_tokens": 64, "store": False}, ""),
    ("/v1/responses/compact", {"model": "all/tokens-5", "input": "How much?"}, ""),
    ("/v1/messages", {"model": "messages/tokens-5", "messages": [TURN], "max_tokens": 50}, "x-api-key"),
    ("/v1/messages/count_tokens", {"model": "messages/tokens-5", "messages": [TURN]}, "x-api-key"),
    (
        "/v1beta/models/gemini/tokens-5:generateContent",
        {"contents": [PARTS], "generationConfig": {"maxOutputTokens": 40}},
        "x-goog-api-key",
    ),
    ("/v1beta/models/chat/tokens-5:streamGenerateContent", {"contents": [PARTS]}, "x-goog-api-key"),
    ("/v1beta/models/gemini/tokens-5:countTokens", {"contents": [PARTS]}, "x-goog-api-key"),
    ("/v1beta/models/gemini/tokens-5:embedContent", {"content": {"parts": [{"text": "a"}]}}, "x-goog-api-key"),
    (
        "/v1beta/models/gemini/tokens-5:batchEmbedContents",
        {"requests": [{"model": "models/gemini/tokens-5", "content": {"parts": [{"text": "a"}]}}]},
        "x-goog-api-key",
    ),
    ("/v1/embeddings", {"model": "chat/tokens-5", "input": TEXTS}, ""),
    ("/v1/embeddings", {"model": "gemini/tokens-5", "input": "a"}, ""),
    ("/v1/moderations", {"model": "chat/tokens-5", "input": TEXTS}, ""),
    ("/v1/rerank", {"model": "all/tokens-5", "query": "which", "documents": TEXTS}, ""),
    ("/v1/completions", {"model": "chat/tokens-5", "prompt": "Once", "max_tokens": 30, "n": 2}, ""),
]


@pytest.mark.parametrize(("path", "body", "carrier"), SPOKEN, ids=[f"{number}-{each[0]}" for number, each in enumerate(SPOKEN)])
def test_a_quote_is_what_is_held_and_no_less_than_what_is_charged(house: House, path: str, body: dict[str, Any], carrier: str) -> None:
    asked = house.asked()
    reply, raw = house.ask(f"/api/quote?path={quote(path, safe='')}", body, carrier=carrier)
    assert (reply.status, house.asked()) == (200, asked), raw
    worst, expected = (json.loads(raw)[case] for case in ("worst", "expected"))
    assert 0 <= expected["nano_dollars"] <= worst["nano_dollars"]
    reply, raw = house.ask(path, body, carrier=carrier)
    assert reply.status == 200, raw
    log = f"/api/logs/{reply.fields['x-request-id']}"

    def row() -> Any:
        found, text = house.ask(log, method="GET")
        return json.loads(text) if found.status == 200 else {"ending": None}

    until(lambda: row()["ending"] is not None, lambda: f"{path} does not end")
    booked = row()
    assert booked["hold_nano"] == worst["nano_dollars"]
    assert booked["charge_nano"] <= worst["nano_dollars"] and booked["loss_nano"] == 0


def test_what_cannot_be_quoted_says_why(house: House) -> None:
    body = {"model": "chat/tokens-5", "previous_response_id": "resp_1", "input": "go on"}
    reply, raw = house.ask("/api/quote?path=/v1/responses", body)
    assert reply.status == 400 and b"goes on from a kept answer" in raw, raw
    for path in ("/v1/images/generations", "/v1/audio/speech", "/v1/videos", "/suno/submit/music", "/v1/models", "/"):
        reply, raw = house.ask(f"/api/quote?path={quote(path, safe='')}", {"model": "chat/tokens-5"})
        assert reply.status == 400 and b"not served yet: /api/quote/units" in raw and b"/v1/rerank" in raw, (path, raw)


def test_afterwards_the_books_agree(house: House) -> None:
    found = audit(house.gateway, house.simulator)
    assert set(found.endings) <= {"complete", "failed", "unreported"}
    assert found.endings["complete"] > 10


def test_the_document_of_what_is_served_needs_no_key(house: House) -> None:
    with house.gateway.client() as client:
        reply = client.ask("GET", "/openapi.json")
        assert (reply.status, reply.fields["content-type"]) == (200, "application/json")
        assert {"/v1/messages", "/v1/rerank", "/openapi.json"} <= reply.json()["paths"].keys()
