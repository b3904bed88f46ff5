"""Secrets of every kind go through a whole gateway on its worst days, and are then looked for wherever a byte of it went.

Client keys, provider keys, master key, pepper, credentials in URLs, prompts, answers, fields: in log lines, traces, errors, metrics, pages,
what commands say, command lines, the database with its log and copies, journals. Only the file that one was put into may hold it.
"""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from soak.campaign import Campaign, Effort, Figures
from tests.gateway.hostile import Hostile, Reply, said, said_and_closed, whole
from tests.harness import books
from tests.harness.canaries import Canaries, spellings
from tests.harness.gateway import Gateway
from tests.harness.http import Client
from tests.harness.process import HALLEY, ROOT, environment

# The configuration, and the files that it or the product keeps a secret in on purpose.
EXEMPT = ("halley.toml", "starter-key", "master.key", "provider.key")
CHAT = "/v1/chat/completions"
_EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
_BUG = (ROOT / "soak" / "bugs.py").read_text()


def run(place: Path, effort: Effort) -> Figures:
    canaries = Canaries(random.Random(effort.seed))
    provider_keys = [canaries.key("provider key, literal"), canaries.word("provider key, variable"), canaries.word("provider key, file")]
    answer, looked = canaries.text("answer"), 0
    # Every command is a program to be started: none of them in a test, a part where time is short, all of them in full.
    dice, share = random.Random(effort.seed), {0: 0, 1: 3}.get(effort.rounds, 10)
    (place / "provider.key").write_text(provider_keys[2] + "\n")
    (place / "sitecustomize.py").write_text(_BUG)
    environ = {
        "PYTHONPATH": f"{place}:{ROOT / 'src'}",
        "PROVIDER_KEY": provider_keys[1],
        "CLIENT_KEY": canaries.key("client key, variable"),
        "HALLEY_BUG": canaries.word("word in a bug"),
    }
    replies = {name: reply for index, key in enumerate(provider_keys) for name, reply in _replies(index, key, answer).items()}
    server = effort.postgres
    database = server.create() if server is not None else ""
    with Hostile(replies) as upstream:
        literal = canaries.key("client key, literal")
        toml = _configuration(upstream.url, provider_keys[0], place / "provider.key", literal, list(replies))
        gateway = Gateway(place, toml, workers=2, environ=environ)
        if server is not None:
            server.hold(gateway, database)
            # The server trusts everybody; what a password would be goes the same way.
            gateway.environ["HALLEY_STORE_URL"] = server.url(database).replace("@", f":{canaries.word('password of the store')}@", 1)
        with gateway:
            canaries.watch("starter key", gateway.key())
            _watch_the_store(canaries, gateway)
            for turn in range(max(effort.rounds, 1)):
                name = f"app-{turn}"
                made = str(gateway.cli_json("keys", "create", "--name", name)["key"])
                canaries.watch(f"client key, made ({turn})", made)
                for turned, key in enumerate((literal, environ["CLIENT_KEY"], made)):
                    _ask(canaries, gateway, key, [model for number, model in enumerate(replies) if number % 3 == turned])
                _bad_requests(canaries, gateway, made)
                _commands(canaries, gateway, made, environ, dice, share)
                looked += canaries.check_files(place, EXEMPT)
                canaries.check_processes([gateway.pid, *gateway.children().values()])
                for child in ("relay-0", "control", "relay-1"):
                    gateway.kill(child, signal.SIGKILL)
                looked += canaries.check_files(place, EXEMPT)
                gateway.wait_ready()
                gateway.cli("secrets", "rotate")
                canaries.watch(f"master key ({turn})", (gateway.home / "master.key").read_text().strip())
            looked += canaries.check_files(place, EXEMPT)
            assert gateway.stop() == 0
            _broken_configurations(canaries, place, dice, share)
            if server is None:
                with closing(sqlite3.connect(gateway.home / "halley.db")) as store, closing(sqlite3.connect(place / "copy.db")) as copy:
                    store.backup(copy)
            else:
                server.sql("CHECKPOINT")
                looked += sum(canaries.check_files(each) for each in (server.files(database), server.place / "data" / "pg_wal"))
                canaries.check("the server's log", (server.place / "log").read_bytes())
            assert "a bug in the relay" in gateway.logs() and "never retrieved" in gateway.logs(), "the bugs were not heard of"
    looked += canaries.check_files(place, EXEMPT)
    return {"canaries": len(canaries), "bytes": looked, "requests": len(upstream.asked), "log_bytes": len(gateway.logs())}


# ---- what it is made of -----------------------------------------------------------------------------------------------------------------


def _configuration(url: str, literal: str, file: Path, client: str, models: list[str]) -> str:
    keys = (literal, "env:PROVIDER_KEY", f"file:{file}")
    providers = [
        f'[[providers]]\nname = "p{index}"\nkind = "openai-compatible"\nbase_url = "{url}"\napi_key = "{key}"\n'
        for index, key in enumerate(keys)
    ]
    rows = [
        f'[[models]]\nid = "{model}"\noffers = [{{ provider = "p{model[0]}" }}]\nprice = {{ input = "1", output = "2" }}\n'
        for model in models
    ]
    held = f'[[keys]]\nname = "literal"\nkey = "{client}"\n[[keys]]\nname = "variable"\nkey = "env:CLIENT_KEY"\n'
    return "\n".join([*providers, *rows, held])


def _replies(index: int, key: str, answer: str) -> dict[str, Reply]:
    """What a provider does with its key, by the names of models that begin with the provider's number."""
    forms = sorted({form.decode() for form in spellings(key.encode())})
    usage = {"prompt_tokens": 9, "completion_tokens": 9}
    message = {"choices": [{"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}], "usage": usage}
    delta = b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": answer}}]}).encode() + b"\n\n"
    end = b"data: " + json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}).encode() + b"\n\ndata: [DONE]\n\n"
    fields = [b"x-request-id: " + key.encode(), b"openai-version: " + key.encode(), b"set-cookie: k=" + key.encode()]
    found: dict[str, Reply] = {
        "answer": said(whole(message, *fields)),
        "stream": said_and_closed(_EVENTS, delta, end),
        "cut": said_and_closed(_EVENTS, delta),
        "dies": said_and_closed(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n" + key.encode()),
        "nonsense": said_and_closed(b"HTTP/9.9 " + key.encode() + b"\r\n" + key.encode() + b"\r\n\r\n"),
        "html": said(whole(f"<html>{key}</html>".encode(), kind=b"text/html", status=b"502 " + key.encode())),
        "no-json": said(whole(key.encode())),
        "refused": said(whole({"error": {"message": f"Incorrect API key provided: {key}"}}, status=b"401 Unauthorized")),
    }
    for number, form in enumerate(forms):
        error = {"error": {"message": f"bad: {form}", "type": form, "param": None, "code": form[:24]}}
        for status in (b"400 Bad", b"200 OK", b"500 Oh"):
            encoded = [b"x-request-id: " + form.encode(), b"openai-processing-ms: " + form.encode(), b"retry-after: " + form.encode()]
            found[f"error-{number}-{status[:3].decode()}"] = said(whole(error, *encoded, status=status))
        found[f"frame-{number}"] = said_and_closed(_EVENTS, delta, b"data: " + json.dumps(error).encode() + b"\n\n")
    return {f"{index}-{name}": reply for name, reply in found.items()}


def _watch_the_store(canaries: Canaries, gateway: Gateway) -> None:
    """The pepper is unwrapped here with the key of the file, as somebody would who has stolen both."""
    master = (gateway.home / "master.key").read_text().strip()
    canaries.watch("master key", master)
    canaries.watch("master key, as bytes", bytes.fromhex(master))
    wrapped = books.pepper(gateway.home)
    canaries.watch("pepper", AESGCM(bytes.fromhex(master)).decrypt(wrapped[:12], wrapped[12:], b"pepper"))


# ---- what goes through it --------------------------------------------------------------------------------------------------------------


def _ask(canaries: Canaries, gateway: Gateway, key: str, models: list[str]) -> None:
    prompt, header = canaries.text("prompt"), canaries.word("header value")
    extra = {"Cookie": f"session={header}", "User-Agent": header, "X-Api-Version": header, "X-Forwarded-For": header}
    for model in models:
        body = {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "user": prompt,
            "stream": "frame" in model or "stream" in model,
        }
        _exchange(canaries, gateway, "POST", CHAT, body, key, extra, but=("answer",))
    for trigger in ("trigger-bug", "trigger-task", "trigger-callback"):
        body = {"model": "0-answer", "messages": [{"role": "user", "content": f"{trigger} {prompt}"}]}
        _exchange(canaries, gateway, "POST", CHAT, body, key, extra, but=("answer",))


def _bad_requests(canaries: Canaries, gateway: Gateway, key: str) -> None:
    prompt, field, unknown = canaries.text("prompt of a bad request"), canaries.word("field of a bad request"), canaries.key("unknown key")
    good = {"model": "0-answer", "messages": [{"role": "user", "content": prompt}]}
    for body in (
        {**good, "messages": prompt},
        {**good, "messages": [{"role": prompt, "content": prompt}]},
        {**good, "temperature": prompt},
        {**good, "metadata": {"note": field}, "n": prompt},
        {
            **good,
            "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": f"http://u:{field}@127.0.0.1/{field}"}}]}],
        },
        json.dumps(good).encode()[:-9] + b"\xff",
        b"[" * 500 + prompt.encode(),
    ):
        _exchange(canaries, gateway, "POST", CHAT, body, key)
    for path in (
        f"/v1/models?key={unknown}",
        f"/v1/nothing/{unknown}",
        f"/api/nothing?token={field}",
        f"/docs/{unknown}",
        "/metrics",
        "/readyz",
        "/api/models",
    ):
        _exchange(canaries, gateway, "GET", path, None, unknown)
    for name, value in (("Authorization", f"Bearer {unknown} "), ("Authorization", f"Basic {unknown}"), ("x-api-key", unknown)):
        _exchange(canaries, gateway, "POST", CHAT, good, "", {name: value})
    _exchange(canaries, gateway, "POST", CHAT, good, key, {"x-api-key": unknown})
    for raw in (
        f"GET /{field} HTTP/1.1\r\nHost: a b\r\nX: {field}\r\n\r\n",
        f"{field} / HTTP/1.1\r\n\r\n",
        f"GET / HTTP/1.1\r\nAuthorization:{key}\x00\r\n\r\n",
    ):
        with Client(gateway.url) as client:
            client.send(raw.encode())
            canaries.check("the answer to nonsense", b"".join(iter(lambda client=client: client.socket.recv(65536), b"")))


def _exchange(
    canaries: Canaries,
    gateway: Gateway,
    method: str,
    path: str,
    body: object,
    key: str,
    fields: dict[str, str] | None = None,
    but: tuple[str, ...] = (),
) -> None:
    with Client(gateway.url) as client:
        reply = client.ask(method, path, body, key=key, fields=fields)
        whole_reply = bytearray(json.dumps(reply.fields).encode())
        try:
            for piece in reply.pieces():
                whole_reply += piece
        except EOFError:
            pass
        model = body.get("model") if isinstance(body, dict) else ""
        canaries.check(f"the answer to {method} {path.partition('?')[0][:20]} {model}", bytes(whole_reply), but)


def _commands(canaries: Canaries, gateway: Gateway, key: str, environ: dict[str, str], dice: random.Random, share: int) -> None:
    """What an operator does, and does wrong; `keys create` alone may show what it makes."""
    master = (gateway.home / "master.key").read_text().strip()
    commands = (
        ("keys", "list"),
        ("keys", "list", "--revoked", "--json"),
        ("keys", "revoke", key),
        ("keys", "rotate", key),
        ("keys", "create", "--name", "variable"),
        ("keys", "create", "--name", "app", "--expires", key),
        ("keys", f"--{key}"),
        ("accounts", "list"),
        ("accounts", "show", key),
        ("credit", "default", key),
        ("models", "--json"),
        ("ledger", "verify", "--json"),
        ("doctor", "--config", str(gateway.config)),
        ("config", "check", "--config", str(gateway.config)),
        ("secrets", "rotate", "--master-key", master),
        ("secrets", "rotate", "--master-key", f"file:{master}"),
        ("smoke", "--base-url", gateway.url, "--model", "0-answer", "--json"),
        ("smoke", "--base-url", gateway.url, "--model", "0-error-0-400"),
    )
    for arguments in dice.sample(commands, len(commands) * share // 10):
        done = subprocess.run(
            [*HALLEY, *arguments],
            capture_output=True,
            env=environment(gateway.home, {**environ, "COMETAPI_KEY": key}),
            cwd=gateway.place,
            timeout=60,
            check=False,
        )
        canaries.check(f"what `halley {' '.join(arguments[:2])[:20]}` says", done.stdout + done.stderr, but=("answer",))


_BROKEN = (
    '[[providers]]\nname = "p"\nkind = "openai-compatible"\nbase_url = "https://user:{0}@host.test/v1"\n',
    '[[providers]]\nname = "p"\nkind = "openai-compatible"\nbase_url = "https://user:{0}/v1"\n',
    '[[providers]]\nname = "p"\nkind = "openai-compatible"\nbase_url = "user:{0}@host.test/v1"\n',
    '[[providers]]\nname = "p"\nkind = "openai-compatible"\nbase_url = "https://h.test/v1?key={0}"\n',
    '[egress]\nproxy = "http://user:{0}@proxy.test:3128"\n',
    '[egress]\nproxy = "socks5://user:{0}@proxy.test:3128"\n',
    '[[providers]]\nname = "p"\nkind = "openai"\napi_key = "env:{0}"\n',
    '[[providers]]\nname = "p"\nkind = "openai"\napi_key = "file:{0}"\n',
    '[[providers]]\nname = "p"\nkind = "openai"\napi_key = " {0}"\n',
    '[[providers]]\nname = "p"\nkind = "openai"\napi_key = ["{0}"]\n',
    '[[providers]]\nname = "p"\nkind = "{0}"\n',
    '[[providers]]\nname = "{0}!"\nkind = "openai"\n',
    '[[providers]]\nname = "p"\nkind = "openai"\n{0} = 1\n',
    '[secrets]\nmaster_key = "{0}"\n',
    '[secrets]\nmaster_key = "env:{0}"\n',
    '[secrets]\nmaster_key = "file:{0}"\n',
    '[server]\nport = "{0}"\nhost = ["{0}"]\ntrusted_proxies = ["{0}"]\n',
    '[billing]\nmarkup = "{0}"\nafter_break = "{0}"\n',
    '[[keys]]\nname = "k"\nkey = "{0}"\n',
    '[[keys]]\nname = "k"\nkey = "{0}"\nexpires = "{0}"\nips = ["{0}"]\nbudget = {{ usd = "{0}" }}\n',
    '[[models]]\nid = "m"\noffers = [{{ provider = "{0}" }}]\nprice = {{ input = "{0}", {0} = "1" }}\n',
    '[store]\nurl = "postgresql://halley:{0}@nowhere.invalid/halley"\n',
    'x = "{0}\n',
)


def _broken_configurations(canaries: Canaries, place: Path, dice: random.Random, share: int) -> None:
    """A `share` in thirty of all pairs of a configuration and a command: each is a program to be started."""
    pairs = [
        (number, text, kind, arguments)
        for number, text in enumerate(_BROKEN)
        for kind in ("word", "key")
        for arguments in (("config", "check"), ("doctor",), ("keys", "list"), ("up", "--port", "0"))
        # What only the store would refuse is not looked at by the others; a key in its own place, and a name of a file, are no mistakes.
        if (arguments[0] in ("up", "keys") or "[store]" not in text)
        and not (kind == "key" and text.startswith('[[keys]]\nname = "k"\nkey = "{0}"\n'))
        and not (arguments[0] == "keys" and text.endswith('master_key = "file:{0}"\n'))
    ]
    for turn, (number, text, kind, arguments) in enumerate(dice.sample(pairs, len(pairs) * share // 30)):
        secret: str = getattr(canaries, kind)(f"{kind} in broken configuration {number} ({turn})")
        file = place / f"broken-{turn}" / "halley.toml"
        file.parent.mkdir()
        file.write_text(text.format(secret))
        done = subprocess.run(
            [*HALLEY, *arguments], capture_output=True, env=environment(file.parent / "home"), cwd=file.parent, timeout=60, check=False
        )
        canaries.check(f"what `halley {arguments[0]}` says of broken configuration {number}", done.stdout + done.stderr)
        if arguments[0] != "doctor":
            assert done.returncode, f"`halley {arguments[0]}` takes broken configuration {number}"


_ABOUT = "secrets looked for wherever a byte went"
CAMPAIGN = Campaign("canaries", "G12", _ABOUT, Effort(rounds=1), Effort(rounds=8), run, on_postgres=True)
