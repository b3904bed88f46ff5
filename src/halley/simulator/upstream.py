"""The order of work of the embedded upstream: a request becomes a row of the bill, an answer, and the answer's faults.

`Upstream` is the whole program: `halley simulate`, the `local/*` process and in-process tests differ in what they give it. A dialect is a
module like `chat.py` and a route of `_respond`.
"""

from __future__ import annotations

import hmac
import socket
import time
from collections.abc import Callable
from urllib.parse import unquote

import msgspec

from halley.simulator import chat
from halley.simulator.bill import Attempt, Bill
from halley.simulator.body import Body, Cut
from halley.simulator.chat import Answer, Ask
from halley.simulator.http import Connection, Request, Server
from halley.simulator.script import BadScript, Script, Scripts, read_json

_JSON = {"content-type": "application/json"}
_SSE = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}
_HTML = {"content-type": "text/html"}
_PLAIN = Script()
_KINDS = {401: "invalid_request_error", 403: "permission_error", 404: "invalid_request_error", 429: "rate_limit_error"}
_CODES = {401: "invalid_api_key", 403: "permission_denied", 404: "model_not_found", 429: "rate_limit_exceeded"}

Speaker = Callable[[Ask], str]
"""A model that knows what to say: the `local/*` models."""


class Upstream:
    """Serves `scripts` (with the control port) and `speakers`.

    `require_key` None takes any Bearer key; without scripts, in the `local/*` process, none is needed.
    """

    def __init__(
        self, *, scripts: Scripts | None = None, speakers: dict[str, Speaker] | None = None, require_key: str | None = None
    ) -> None:
        self.bill = Bill()
        self.requests = 0
        self.dialled = 0
        self.open_streams = 0
        self.scripts = scripts
        self._speakers = speakers or {}
        self._require_key = require_key
        self._server = Server(self._respond)
        self.url = ""

    async def start(self, listening: socket.socket) -> None:
        host, port = listening.getsockname()[:2]
        self.url = f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"
        await self._server.start(listening)

    async def close(self, grace_s: float = 0.0) -> None:
        await self._server.close(grace_s)

    async def _respond(self, connection: Connection, request: Request) -> None:
        path = request.path
        if path.startswith("/sim/") and self.scripts is not None:
            return await self._control(connection, request, path, self.scripts)
        if not connection.counted:
            connection.counted = True
            self.dialled += 1
        self.requests += 1
        reason = self._unauthorized(request)
        if reason is not None:
            return await _refuse(connection, request, 401, reason)
        match request.method, path:
            case "POST", "/v1/chat/completions":
                await self._chat(connection, request)
            case "GET", "/v1/models":
                data = [{"id": name, "object": "model", "created": 1_767_225_600, "owned_by": "halley"} for name in self._names()]
                await _send(connection, request, 200, msgspec.json.encode({"object": "list", "data": data}))
            case _, "/v1/chat/completions" | "/v1/models":
                await _refuse(connection, request, 405, f"{request.method} is not served at {path}.")
            case _:
                await _refuse(connection, request, 404, f"Nothing is served at {path}.", "unknown_url")

    def _names(self) -> list[str]:
        return [*self._speakers, *(self.scripts.names() if self.scripts is not None else ())]

    def _unauthorized(self, request: Request) -> str | None:
        if self.scripts is None and self._require_key is None:
            return None
        kind, _, key = request.fields.get(b"authorization", b"").partition(b" ")
        if kind.lower() != b"bearer" or not key:
            return "You did not provide an API key: send it as `Authorization: Bearer KEY`."
        if self._require_key is not None and not hmac.compare_digest(key, self._require_key.encode()):
            return "Incorrect API key provided."
        return None

    async def _chat(self, connection: Connection, request: Request) -> None:
        try:
            ask = chat.read(request.body)
        except msgspec.DecodeError as fault:
            return await _refuse(connection, request, 400, f"The body is not a chat request: {fault}.", "invalid_value")
        speaker = self._speakers.get(ask.model)
        script = _PLAIN if speaker is not None else self.scripts.take(ask.model) if self.scripts is not None else None
        if script is None:
            return await _refuse(connection, request, 404, f'The model "{ask.model}" does not exist.')
        bill = self.bill
        attempt = bill.open(request.fields.get(b"x-request-id", b"").decode("latin-1"), ask.model, time.time())
        outcome = "hung-up"
        whole: Answer | None = None
        self.open_streams += 1
        try:
            if script.head_delay_ms:
                await connection.rest(script.head_delay_ms / 1000)
            if script.status != 200 or script.html:
                outcome = await _fail(connection, request, script)
                return
            whole = chat.say(ask, speaker(ask)) if speaker is not None else chat.compose(ask, script)
            attempt.prompt_tokens = whole.usage.prompt
            streamed = bool(ask.stream) if script.framing == "asked" else script.framing == "sse"
            answer = _stream if streamed else _whole
            outcome = await answer(Body(connection, request, script), connection, attempt, whole, script, ask.include_usage)
        except Cut:
            outcome = "cut"
        finally:
            self.open_streams -= 1
            if whole is not None and script.bills_to_end:
                attempt.completion_tokens = whole.usage.completion
            bill.close(attempt, outcome, time.time())

    async def _control(self, connection: Connection, request: Request, path: str, scripts: Scripts) -> None:
        match request.method, path:
            case "GET", "/sim/bill":
                await _send(connection, request, 200, self.bill.render())
            case "GET", "/sim/state":
                connections = sum(each.counted for each in self._server.connections)
                state = {
                    "open_streams": self.open_streams,
                    "open_connections": connections,
                    "connections_dialled": self.dialled,
                    "requests": self.requests,
                }
                await _send(connection, request, 200, msgspec.json.encode(state))
            case "POST", "/sim/reset":
                self.reset()
                await _send(connection, request, 200, b"{}")
            case ("PUT" | "DELETE") as method, _ if path.startswith("/sim/script/"):
                model = unquote(path.removeprefix("/sim/script/"))
                if method == "DELETE":
                    scripts.drop(model)
                else:
                    try:
                        scripts.put(model, read_json(request.body))
                    except BadScript as fault:
                        return await _refuse(connection, request, 400, str(fault), "invalid_value")
                await _send(connection, request, 200, b"{}")
            case _:
                await _refuse(connection, request, 404, f"{request.method} {path} is not part of the control port.", "unknown_url")

    def reset(self) -> None:
        """Empties the bill and the counters; running streams are forgotten by the bill but still counted as open."""
        self.bill = Bill()
        self.requests = 0
        self.dialled = 0
        if self.scripts is not None:
            self.scripts.forget_calls()


async def _stream(body: Body, connection: Connection, attempt: Attempt, whole: Answer, script: Script, include_usage: bool) -> str:
    """Returns the outcome. Every frame counts as generated once it is written."""
    before, after = (b"data: ", b"\r\n\r\n" if script.crlf else b"\n\n")
    await body.start(200, _SSE, None)
    pieces = 0
    for frame in chat.frames(whole, script, include_usage):
        if frame.tokens:
            if pieces == script.stall_after:
                await connection.rest(None)
            if pieces == script.error_frame_after:
                fault = {
                    "error": {"message": "The model failed while it was answering.", "type": "server_error", "param": None, "code": None}
                }
                await body.write(before + msgspec.json.encode(fault) + after)
                body.end()
                return "failed"
            if script.chunk_delay_ms:
                await connection.rest(script.chunk_delay_ms / 1000)
            pieces += 1
        # Counted before the write: a frame that a cut breaks in two was generated all the same.
        attempt.completion_tokens += frame.tokens
        await body.write(before + frame.data + after)
    if (include_usage and script.usage != "none") or script.usage == "each-chunk":
        attempt.reported = chat.reported(whole.usage, script).counts()
    body.end()
    return "complete"


async def _whole(body: Body, connection: Connection, attempt: Attempt, whole: Answer, script: Script, include_usage: bool) -> str:
    """Returns the outcome. With a delay per piece the answer grows before it is sent, and a hang-up pays for what had grown."""
    if script.chunk_delay_ms or script.stall_after is not None:
        while attempt.completion_tokens < whole.usage.completion:
            await connection.rest(None if attempt.completion_tokens == script.stall_after else script.chunk_delay_ms / 1000)
            attempt.completion_tokens += 1
    attempt.completion_tokens = whole.usage.completion
    data = chat.document(whole, script)
    if script.error_frame_after is not None:
        data = msgspec.json.encode({"error": {"message": "The model failed.", "type": "server_error", "param": None, "code": None}})
    elif script.usage != "none":
        attempt.reported = chat.reported(whole.usage, script).counts()
    await body.start(200, _JSON, len(data))
    await body.write(data)
    body.end()
    return "failed" if script.error_frame_after is not None else "complete"


async def _fail(connection: Connection, request: Request, script: Script) -> str:
    if script.html:
        data, fields = f"<!doctype html><html><body><h1>{script.status}</h1><p>The proxy has no answer.</p></body></html>".encode(), _HTML
    else:
        message = f"The simulator was told to answer {script.status}."
        if script.echo_key:
            message += " Credential: " + request.fields.get(b"authorization", b"").decode("latin-1")
        data, fields = _error(script.status, message, None), _JSON
    body = Body(connection, request, script)
    await body.start(script.status, fields, len(data))
    await body.write(data)
    body.end()
    return "refused"


def _error(status: int, message: str, code: str | None) -> bytes:
    kind = _KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": code or _CODES.get(status)}})


async def _send(connection: Connection, request: Request, status: int, data: bytes) -> None:
    body = Body(connection, request, _PLAIN)
    await body.start(status, _JSON, len(data))
    await body.write(data)
    body.end()


async def _refuse(connection: Connection, request: Request, status: int, message: str, code: str | None = None) -> None:
    await _send(connection, request, status, _error(status, message, code))


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=4096)
