"""Canaries: a key, a header, a proxy's password, a prompt and a body that are looked for in every byte that the tester leaves anywhere.

The servers give back what they were sent in every spelling and at every place of a reply; what was kept of a raw reply may hold prompt and
body, since it is for its owner alone, and no credential.
"""

from __future__ import annotations

import base64
import html
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner, Result

from halley.cli.main import halley
from halley.redaction import Redactor
from halley.secret import Secret
from tests.contract.gateways import CHAT, CHUNKS, HEALTHY, carries_key, frames, gateway, sse, surface
from tests.contract.servers import reply, serving

KEY = "zq-CANARYkeyQ7r8s9t0u1v2w3x4y5"
HEADER = "canaryHEADER-marmalade-violin-77"
PASSWORD = "canaryPASSWORDtuesday88"
PROMPT = "CANARYPROMPTPIANO who sold the green one"
BODY = "CANARYBODYZEBRA signs at noon"
INVALID = "sk-invalid-token-smoke-test"
CREDENTIALS = (KEY, HEADER, PASSWORD)
SHAPES = ("rows", "yaml", "jsonl", "junit", "markdown", "html")

SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "upper": str.upper,
    "url": lambda text: "".join(f"%{ord(character):02X}" for character in text),
    "quoted": lambda text: quote(text, safe=""),
    "base64": lambda text: base64.b64encode(f"user:{text}".encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "json": lambda text: json.dumps(json.dumps({"x": text})),
    "html": html.escape,
    "split": lambda text: f"{text[:15]}\\n{text[15:]}",
    "cut": lambda text: text[:-3],
}


def told(spelled: Callable[[str], str]) -> str:
    """All canaries in one text."""
    return " ".join(spelled(each) for each in (BODY, PROMPT, KEY, HEADER, PASSWORD))


def echo(status: int, text: str) -> bytes:
    """A reply that says it in its fields, its error, the names of its members and its `param`."""
    flat = "".join(character if " " <= character <= "~" else " " for character in text)
    fields = "".join(f"{name}: {flat}\r\n" for name in ("Server", "Via", "X-Request-Id", "WWW-Authenticate", "x-halley-provider", "CF-Ray"))
    error = {"message": text, "type": text, "code": text, "param": text, text: text}
    return reply(status, {"error": error, "message": text, "detail": [{"loc": [text], "msg": text}]}, extra=fields)


def scripts(text: str) -> Iterator[tuple[str, Callable[[bytes], bytes | None]]]:
    """Servers, each with its own way to say it."""
    for status in (400, 401, 403, 404, 407, 422, 429, 500, 502) if KEY in text else (401, 422, 502):
        yield f"error {status}", lambda _, status=status: echo(status, text)
    yield "an answer", gateway(chat=reply(200, {**CHAT, "choices": [{"message": {"content": text}}], "model": text, "id": text}))
    yield "a hidden error", gateway(chat=reply(200, {**CHAT, "error": {"message": text}}))
    yield "a page", lambda _: reply(502, f"<html>{text}</html>", kind="text/html")
    yield "a redirect", lambda _: reply(302, "", extra=f"Location: https://elsewhere.test/{quote(text)}?key={quote(text)}\r\n")
    host = KEY.lower()  # a host is told, so that a person knows where the redirect leads, unless it holds a credential
    yield "a redirect to a host", lambda _: reply(302, "", extra=f"Location: https://x{host}.test/\r\n")
    yield "no JSON", gateway(chat=reply(200, f"{{{text}"))
    yield "no HTTP", lambda _: text.encode()
    yield "models", gateway(models=reply(200, {"data": [{"id": "m", "owned_by": text}], "object": text}))
    yield "a stream", gateway(chat_stream=sse(frames(CHUNKS[0], {"error": {"message": text}})))
    yield "events", gateway(chat_stream=sse(f'event: {text}\ndata: {{"choices":[]}}\n\n'.encode() + frames(*CHUNKS)))
    yield "only a bad key", lambda request: gateway()(request) if carries_key(request) else echo(401, text)
    yield "a bad key accepted", lambda request: HEALTHY[surface(request)]


def invoke(home: Path, *words: str, **more: str) -> Result:
    names = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "COMET_API_KEY", "HALLEY_API_KEY")
    blank: dict[str, str | None] = dict.fromkeys((*names, "COMETAPI_BASE_URL", "COMETAPI_MODEL", "NO_PROXY", "no_proxy"))
    proxy = f"http://me:{PASSWORD}@127.0.0.1:1"  # for https alone: what is asked here goes around it, and still no record may have it
    environ = {**blank, "HALLEY_HOME": str(home), "COMETAPI_KEY": KEY, "PROVIDER_KEY": HEADER, "https_proxy": proxy, **more}
    before = sys.argv
    sys.argv = ["halley", *words]
    try:
        return CliRunner().invoke(halley, list(words), env=environ)
    finally:
        sys.argv = before


def asked(url: str, home: Path) -> tuple[str, ...]:
    field = json.dumps([{"role": "user", "content": PROMPT}])
    records = tuple(word for shape in SHAPES for word in ("--record", f"{shape}={home}/{shape}.out"))
    return (
        "--base-url", url, "--model", "m", "--field", f"messages={field}", "--header", "x-provider-key=env:PROVIDER_KEY",
        "--header", f"x-note={BODY}", "--timeout", "5", "--bisect", *records,
    )  # fmt: skip


def assert_silent(home: Path, *outputs: Result) -> None:
    """No canary in any spelling: whole, or twelve characters of it in a row."""
    guards = {"credential": Redactor(*map(Secret, CREDENTIALS))}
    words = {"prompt or body": Redactor(Secret(PROMPT), Secret(BODY))}
    for result in outputs:
        assert isinstance(result.exception, SystemExit | None), result.exc_info
        for name, guard in (guards | words).items():
            assert guard.known(result.output) == result.output, (name, result.output)
        assert INVALID not in result.output
    kept = [path for path in home.rglob("*") if path.is_file()]
    assert len(kept) > len(SHAPES)
    for path in kept:
        text = path.read_bytes().decode("latin-1")
        for name, guard in (guards if path.suffix == ".txt" else guards | words).items():
            assert guard.known(text) == text, (name, path.name, text[:2000])


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_nothing_that_was_sent_stands_in_any_output(spelling: str, tmp_path: Path) -> None:
    text = told(SPELLINGS[spelling])
    for number, (name, answer) in enumerate(scripts(text)):
        home = tmp_path / str(number)
        home.mkdir()
        with serving(lambda request, answer=answer: answer(request.replace(KEY.encode(), b"sk-canaryKEY0123456789abcdef"))) as url:
            words = asked(f"{url}/v1", home)
            results = [
                invoke(home, "contract", "run", *words, "--profile", "text", "--baseline", f"{home}/baseline"),
                invoke(home, "contract", "run", *words, "--json", "--contract", "chat-stream", "--baseline", f"{home}/baseline"),
            ]
            if number % 4 == 0 and spelling == "plain":
                results += [
                    invoke(home, "smoke", *words),
                    invoke(home, "smoke", *words, "--json"),
                    invoke(home, "contract", "compare", url, f"{url}/v1", *words[2:], "--contract", "chat"),
                    invoke(home, "contract", "compare", url, url, *words[2:], "--contract", "chat", "--json"),
                ]
        if spelling == "plain":  # made from the kept run, which is looked at in every spelling
            results += [invoke(home, "contract", "diff", "previous", "last", *as_json) for as_json in ((), ("--json",))]
            results += [invoke(home, "contract", "report", "last", "--shape", shape) for shape in SHAPES]
            results.append(invoke(home, "contract", "list", "--runs"))
        assert_silent(home, *results)
        assert any(each.exit_code for each in results) or name in ("models", "only a bad key", "a stream", "events"), name


def test_a_proxy_that_echoes_says_nothing_either(tmp_path: Path) -> None:
    text = told(str)
    with serving(lambda request: echo(502, text + request.decode("latin-1").replace("\r\n", " "))) as url:
        proxy = url.replace("http://", f"http://me:{PASSWORD}@")
        results = [
            invoke(tmp_path, "contract", "run", *asked(f"{scheme}://endpoint.test/v1", tmp_path), http_proxy=proxy, https_proxy=proxy)
            for scheme in ("http", "https")
        ]
    assert [each.exit_code for each in results] == [5, 5]
    assert_silent(tmp_path, *results)


_CRASH = """
import asyncio, os, sys
from halley.cli import main
from halley.contract import runner
async def fail(*_):
    try:
        raise ValueError(f"looked at {os.environ['COMETAPI_KEY']}")
    except ValueError:
        raise RuntimeError([os.environ["COMETAPI_KEY"], os.environ["PROVIDER_KEY"].encode()])
runner.choose = fail
main.main()
"""


def test_a_trace_of_our_own_making_has_no_credential_in_it(tmp_path: Path) -> None:
    environ = {**os.environ, "HALLEY_HOME": str(tmp_path), "COMETAPI_KEY": KEY, "PROVIDER_KEY": HEADER, "http_proxy": f"u:{PASSWORD}@h"}
    words = ("contract", "run", *asked("http://127.0.0.1:1", tmp_path))
    done = subprocess.run([sys.executable, "-c", _CRASH, *words], capture_output=True, env=environ, timeout=60, check=False)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 1 and "RuntimeError" in said
    for secret in CREDENTIALS:
        assert Redactor(Secret(secret)).known(said) == said
