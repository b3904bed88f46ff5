"""One dialect on both sides: a body leaves as the bytes that came, a stream comes back as the bytes that left, over real sockets.

The upstream is a recorder: it keeps the bytes of each request, and plays the recorded streams of `fixtures/streams` cut at odd places.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.harness.gateway import Gateway
from tests.harness.process import ROOT

STREAMS = ROOT / "fixtures" / "streams"
# Valid JSON that no writer of ours would write so: blanks, escapes, odd numbers, unknown members, members of the same name further in.
ODD = (
    '\n  "x_unknown" : {"a":[1.0e0,-0,1E+2,12345678901234567890],\t"b":"\\u00e9\\/\\ud83d\\ude00 é","c":{"model":"no","stream":false}},\r\n'
    '"metadata":{} '
)
BODIES = {
    "openai_chat": (
        '{"messages":[ {"role":"user","content":"h\\u0069"} ],%s,"stream_options":{"include_usage":true},"model":"%s","stream": true}\n'
    ),
    "openai_responses": ' {"model" :"%s","input":"h\\u0069","stream":true,%s}',
    "anthropic": (
        '{"max_tokens":16,"model":"%s","messages":[{"role":"user","content":[{"type":"text","text":"h\\u0069"}]}],%s,"stream":true }'
    ),
    "gemini": '{"contents":[{"parts":[{"text":"h\\u0069"}]}],%s}',
}
PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/{model}:streamGenerateContent?alt=sse",
}
PLAYED = [path for path in sorted(STREAMS.glob("*/*.sse")) if ".to-" not in path.name]


class Recorder:
    """What was asked last, and what is played next."""

    def __init__(self) -> None:
        self.body = b""
        self.path = ""
        self.pieces: list[bytes] = []
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                recorder.path = self.path
                recorder.body = self.rfile.read(int(self.headers["content-length"]))
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for piece in recorder.pieces:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> Recorder:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class House(NamedTuple):
    gateway: Gateway
    upstream: Recorder
    key: str


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    kinds = {"openai_chat": "openai", "openai_responses": "openai", "anthropic": "anthropic", "gemini": "gemini"}
    bases = {"gemini": "/v1beta"}
    with Recorder() as upstream:
        toml = "".join(
            f'[[providers]]\nname = "{dialect}"\nkind = "{kind}"\napi_key = "sk-any"\n'
            f'base_url = "{upstream.url}{bases.get(dialect, "/v1")}"\n'
            f'[[models]]\nid = "{dialect}-model"\nmax_output = 4000\nprice = {{ input = "0.1", output = "0.2" }}\n'
            f'aliases = ["{dialect}-alias"]\noffers = [{{ provider = "{dialect}", model = "{dialect}-model" }}]\n'
            for dialect, kind in kinds.items()
        )
        with Gateway(tmp_path_factory.mktemp("identity"), toml) as gateway:
            gateway.cli("credit", "default", "1000")
            yield House(gateway, upstream, gateway.key())


def send(house: House, dialect: str, model: str, body: bytes) -> bytes:
    with house.gateway.client() as client:
        path = PATHS[dialect].format(model=model)
        reply = client.ask("POST", path, body, key=house.key)
        raw = reply.body()
        assert reply.status == 200, raw
        assert reply.fields["content-type"] == "text/event-stream"
        # Proxies on the way neither hold the stream back nor compress it.
        assert (reply.fields["cache-control"], reply.fields["x-accel-buffering"]) == ("no-cache, no-transform", "no")
        return raw


def odd_body(dialect: str, model: str) -> bytes:
    return (BODIES[dialect] % {"openai_chat": (ODD, model), "gemini": (ODD,)}.get(dialect, (model, ODD))).encode()


@pytest.mark.parametrize("path", PLAYED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_stream_comes_back_and_a_body_leaves_byte_for_byte(house: House, path: Path) -> None:
    dialect, stream = path.parent.name, path.read_bytes()
    dice = random.Random(path.stem)
    cuts = sorted({0, len(stream), *(dice.randrange(len(stream)) for _ in range(8))})
    house.upstream.pieces = [stream[start:end] for start, end in pairwise(cuts)]
    body = odd_body(dialect, f"{dialect}-model")
    assert send(house, dialect, f"{dialect}-model", body) == stream
    assert house.upstream.body == body


@pytest.mark.parametrize("dialect", BODIES)
def test_an_alias_changes_the_name_and_nothing_else(house: House, dialect: str) -> None:
    stream = (STREAMS / dialect / "text.sse").read_bytes()
    house.upstream.pieces = [stream]
    assert send(house, dialect, f"{dialect}-alias", odd_body(dialect, f"{dialect}-alias")) == stream
    assert house.upstream.body == odd_body(dialect, f"{dialect}-model")
    assert f"{dialect}-alias" not in house.upstream.path


def test_usage_that_was_not_asked_for_is_asked_for_and_taken_out_again(house: House) -> None:
    frames = (STREAMS / "openai_chat" / "text.sse").read_bytes().split(b"\n\n")
    house.upstream.pieces = [b"\n\n".join(frames)]
    asked = odd_body("openai_chat", "openai_chat-model")
    unasked = asked.replace(b',"stream_options":{"include_usage":true}', b"")
    assert unasked != asked
    got = send(house, "openai_chat", "openai_chat-model", unasked)
    assert got == b"\n\n".join(frame for frame in frames if b'"choices":[]' not in frame)
    assert len(got) < len(house.upstream.pieces[0])
    sent = house.upstream.body
    assert json.loads(sent) == json.loads(unasked) | {"stream_options": {"include_usage": True}}
    shared = next(index for index in range(len(unasked)) if unasked[index] != sent[index])
    assert sent.endswith((unasked[shared:], unasked[shared - 1 :]))
