"""The order of work of the embedded upstream: a request becomes a row of the bill, an answer, and the answer's faults.

`Upstream` is the whole program: `halley simulate`, the `local/*` process and in-process tests differ in what they give it. A surface is a
row in `surfaces.py`; a dialect is two modules like `messages_ask.py` and `messages.py` and a record in `speaking.py`.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from urllib.parse import unquote

import msgspec

from halley.simulator import chat, clouds, completions, gemini_ask, media, messages_ask, responses, responses_ask, sheets, speaking
from halley.simulator.bill import Attempt, Bill
from halley.simulator.body import Body, Cut
from halley.simulator.heard import Heard
from halley.simulator.http import Connection, Request, Server
from halley.simulator.identities import Grants
from halley.simulator.media import Sound
from halley.simulator.plan import Reply, Usage, compose, reported, say
from halley.simulator.reading import BadBody, Loose, Node
from halley.simulator.schema import Json
from halley.simulator.script import BadScript, Script, Scripts, read_json
from halley.simulator.sheets import Sheet
from halley.simulator.shelf import Shelf
from halley.simulator.speaking import CHAT, Answer, Dialect
from halley.simulator.surfaces import (
    Surface,
    balance,
    catalogue,
    check_version,
    credential,
    entry,
    find,
    head_of,
    listing,
    query,
    unauthorized,
)

_HTML = {"content-type": "text/html"}
_PLAIN = Script()

Speaker = Callable[[Heard], str]
"""A model that knows what to say: the `local/*` models."""


class Upstream:
    """Serves `scripts` (with the control port) and `speakers`.

    `require_key` None takes any key; without scripts, in the `local/*` process, none is needed.
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
        self._shelf = Shelf()
        self._grants = Grants()
        self._jobs = media.Jobs()
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
        self.dialled += not connection.counted
        connection.counted = True
        self.requests += 1
        if path == "/token":
            return await _send(connection, request, *self._grants.exchange(request, self.url.removesuffix("/v1") + path, time.time()))
        request, refusal, spoken = clouds.arrive(request, self._grants, time.time())
        surface = find(request)
        if surface is not None and spoken is not None:
            surface = surface._replace(dialect=spoken)
        dialect = surface.dialect if surface is not None else CHAT
        if refusal is not None:
            return await _refuse(connection, request, dialect, *refusal)
        public = surface is not None and surface.public
        if not public and (self.scripts is not None or self._require_key is not None):
            reason = unauthorized(request, dialect, self._require_key)
            if reason is not None:
                return await _refuse(connection, request, dialect, 401, reason)
        if surface is None or not surface.methods:
            return await _refuse(connection, request, dialect, 404, f"Nothing is served at {path}.", "unknown_url")
        if request.method not in surface.methods:
            return await _refuse(connection, request, dialect, 405, f"{request.method} is not served at {path}.")
        match surface.name:
            case "models":
                await _send(connection, request, 200, msgspec.json.encode(listing(dialect, self._names())))
            case "model":
                if surface.item not in self._names() and (self.scripts is None or not self.scripts.knows(surface.item)):
                    return await _refuse(connection, request, dialect, 404, f'The model "{surface.item}" does not exist.')
                await _send(connection, request, 200, msgspec.json.encode(entry(dialect, surface.item)))
            case "catalogue" | "health":
                shown = msgspec.json.encode(catalogue(self._names())) if surface.name == "catalogue" else b""
                await _send(connection, request, 200, shown)
            case "allowance" | "spent":
                await _send(connection, request, 200, msgspec.json.encode(balance(surface.name)))
            case "video":
                await self._watch(connection, request, surface)
            case "stored":
                await self._keep(connection, request, surface)
            case _:
                await self._call(connection, request, surface)

    def _names(self) -> list[str]:
        return [*self._speakers, *(self.scripts.names() if self.scripts is not None else ())]

    async def _call(self, connection: Connection, request: Request, surface: Surface) -> None:
        dialect = surface.dialect
        try:
            read = self._read(request, surface)
            script = self._script(read.model)
            if script is not None and script.strict and isinstance(read, Heard):
                _inspect(read, surface)
        except BadBody as fault:
            at = fault.at(bracket=dialect.name not in ("messages", "gemini")) or None
            return await _refuse(connection, request, dialect, 400, fault.why, fault.code or _invalid(dialect), at)
        except RecursionError:
            return await _refuse(connection, request, dialect, 400, "The body is nested too deeply.", _invalid(dialect))
        if script is None:
            return await _refuse(connection, request, dialect, 404, f'The model "{read.model}" does not exist.')
        name = request.fields.get(b"x-request-id", b"").decode("latin-1")
        attempt = self.bill.open(name, read.model, time.time(), surface.name.removesuffix(".stream"))
        await self._answer(connection, request, surface, read, script, attempt)

    async def _answer(
        self, connection: Connection, request: Request, surface: Surface, read: Heard | Sheet | Sound, script: Script, attempt: Attempt
    ) -> None:
        bill = self.bill
        outcome = "hung-up"
        reply: Reply | None = None
        self.open_streams += 1
        try:
            if script.head_delay_ms:
                await connection.rest(script.head_delay_ms / 1000)
            body = Body(connection, request, script)
            if script.status != 200 or script.html:
                outcome = await _fail(body, request, surface.dialect, script)
            elif isinstance(read, Sound):
                await body.start(200, {"content-type": read.media_type}, len(read.data))
                await body.write(read.data)
                body.end()
                outcome = "complete"
            elif isinstance(read, Sheet):
                outcome = await _fill(body, connection, attempt, surface.dialect, read, script)
            else:
                speaker = self._speakers.get(read.model)
                reply = (
                    say(read, script, speaker(read))
                    if speaker is not None
                    else compose(read, script, head_of(request) if script.answer == "head" else None)
                )
                self._remember(read, reply, script, surface)
                array = surface.name == "gemini.stream" and query(request, "alt") != "sse"
                outcome = await _speak(body, connection, attempt, Answer(surface.dialect, read, reply, script, array))
        except Cut:
            outcome = "cut"
        finally:
            self.open_streams -= 1
            if reply is not None:
                if script.bills_to_end:
                    attempt.completion_tokens = reply.usage.completion
                # What is thought comes first, so it is the last thing that an answer broken off is short of.
                attempt.reasoning_tokens = min(reply.usage.reasoning, attempt.completion_tokens)
            bill.close(attempt, outcome, time.time())

    def _script(self, model: str) -> Script | None:
        if model in self._speakers:
            return _PLAIN
        return self.scripts.take(model) if self.scripts is not None else None

    def _read(self, request: Request, surface: Surface) -> Heard | Sheet | Sound:
        """Raises BadBody."""
        body, model = request.body, surface.model.removeprefix("models/")
        match surface.name:
            case "chat":
                return chat.read(body)
            case "completions":
                return completions.read(body)
            case "responses":
                return responses_ask.read(body, self._shelf)
            case "responses.input_tokens":
                return sheets.responses_count(body, self._shelf)
            case "responses.compact":
                return sheets.responses_compact(body, self._shelf)
            case "messages":
                return messages_ask.read(body, check_version(request))
            case "messages.count_tokens":
                return sheets.anthropic_count(body, check_version(request))
            case "gemini" | "gemini.stream":
                return gemini_ask.read(Loose.of(body), model, stream=surface.name == "gemini.stream")
            case "gemini.countTokens":
                return sheets.gemini_count(body, model)
            case "gemini.embedContent":
                return sheets.gemini_embed(body, model)
            case "gemini.batchEmbedContents":
                return sheets.gemini_embed_batch(body, model)
            case "images":
                return media.images(body)
            case "speech":
                return media.speech(body)
            case "transcription":
                return media.transcription(body, _media_type(request))
            case "videos":
                return self._jobs.submit(body, _media_type(request))
            case name:
                return {"embeddings": sheets.embeddings, "moderations": sheets.moderations, "rerank": sheets.rerank}[name](body)

    def _remember(self, heard: Heard, reply: Reply, script: Script, surface: Surface) -> None:
        """Responses are stored unless the request says no."""
        if surface.name != "responses" or not isinstance(heard.whole, dict) or heard.whole.get("store") is False:
            return
        previous = self._shelf.find(str(heard.whole.get("previous_response_id")))
        inputs = [item.value for item in responses_ask.inputs_of(Node(heard.whole))]
        before = previous.conversation if previous is not None else ()
        self._shelf.put(responses.identity(reply), responses.document(reply, heard, script), before, inputs)

    async def _watch(self, connection: Connection, request: Request, surface: Surface) -> None:
        """A video on its way: each look is a step, and only what is done can be fetched."""
        name, _, part = surface.item.partition("/")
        job = self._jobs.find(name)
        if job is None or part not in ("", "content"):
            return await _refuse(connection, request, surface.dialect, 404, f"Video with id '{name}' not found.", "not_found")
        script = self._script(job.model)
        failed = script is not None and script.ending == "failed"
        if request.method == "DELETE":
            self._jobs.drop(name)
            return await _send(connection, request, 200, msgspec.json.encode({"id": name, "object": "video.deleted", "deleted": True}))
        if not part:
            return await _send(connection, request, 200, msgspec.json.encode(self._jobs.look(job).document(failed)))
        if job.document(failed)["status"] != "completed":
            return await _refuse(connection, request, surface.dialect, 400, "The video is not ready yet.", "invalid_value")
        await _send(connection, request, 200, media.CLIP, {"content-type": "video/mp4"})

    async def _keep(self, connection: Connection, request: Request, surface: Surface) -> None:
        name, _, part = surface.item.partition("/")
        kept = self._shelf.find(name)
        if kept is None:
            return await _refuse(connection, request, surface.dialect, 404, f"Response with id '{name}' not found.", "not_found")
        shown: Json
        match request.method, part:
            case "GET", "":
                shown = kept.document
            case "GET", "input_items":
                shown = {"object": "list", "data": list(kept.inputs), "has_more": False}
            case "DELETE", "":
                self._shelf.drop(name)
                shown = {"id": name, "object": "response", "deleted": True}
            case "POST", "cancel" if kept.document["background"]:
                shown = self._shelf.cancel(name)
            case "POST", "cancel":
                why = "Cannot cancel a synchronous response."
                return await _refuse(connection, request, surface.dialect, 400, why, "invalid_value")
            case method, _:
                why = f"{method} is not served at {request.path}."
                return await _refuse(connection, request, surface.dialect, 405, why)
        await _send(connection, request, 200, msgspec.json.encode(shown))

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
                        return await _refuse(connection, request, CHAT, 400, str(fault), "invalid_value")
                await _send(connection, request, 200, b"{}")
            case _:
                await _refuse(connection, request, CHAT, 404, f"{request.method} {path} is not part of the control port.", "unknown_url")

    def reset(self) -> None:
        """Empties the bill and the counters; running streams are forgotten by the bill but still counted as open."""
        self.bill = Bill()
        self.requests = 0
        self.dialled = 0
        if self.scripts is not None:
            self.scripts.forget_calls()


async def _speak(body: Body, connection: Connection, attempt: Attempt, answer: Answer) -> str:
    heard, script, usage = answer.heard, answer.script, answer.reply.usage
    attempt.prompt_tokens = usage.prompt
    attempt.cached_tokens = usage.cached
    attempt.cache_write_5m_tokens = usage.write_5m
    attempt.cache_write_1h_tokens = usage.write_1h
    attempt.audio_prompt_tokens = usage.audio_in
    attempt.audio_completion_tokens = usage.audio_out
    attempt.streamed = heard.wishes.stream if script.framing == "asked" else script.framing == "sse"
    if attempt.streamed:
        return await speaking.stream(body, connection, attempt, answer)
    document = answer.dialect.document(answer.reply, heard, script)
    if heard.wishes.background and isinstance(document, dict):
        document = responses.queued(document)
    return await speaking.whole(body, connection, attempt, script, answer.dialect, usage, reported(usage, script), document)


async def _fill(body: Body, connection: Connection, attempt: Attempt, dialect: Dialect, sheet: Sheet, script: Script) -> str:
    attempt.prompt_tokens = sheet.tokens
    told = Usage(sheet.tokens * 10 if script.usage == "wrong" else sheet.tokens, 0)
    document = sheet.document(told.prompt)
    if script.usage == "none":
        document.pop("usage", None)
    return await speaking.whole(body, connection, attempt, script, dialect, Usage(sheet.tokens, 0), told, document)


async def _fail(body: Body, request: Request, dialect: Dialect, script: Script) -> str:
    if script.html:
        data, fields = f"<!doctype html><html><body><h1>{script.status}</h1><p>The proxy has no answer.</p></body></html>".encode(), _HTML
    else:
        message = f"The simulator was told to answer {script.status}."
        if script.echo_key:
            carried = request.fields.get(b"authorization", b"").decode("latin-1") or credential(request, dialect)
            message += f" Credential: {carried}"
        data, fields = dialect.failure(script.status, message, None, None), speaking.JSON
    await body.start(script.status, fields | dialect.fields, len(data))
    await body.write(data)
    body.end()
    return "refused"


def _inspect(heard: Heard, surface: Surface) -> None:
    """What only the strictest models refuse. Raises BadBody."""
    match surface.name:
        case "chat":
            chat.inspect(heard)
        case "gemini" | "gemini.stream":
            gemini_ask.inspect(heard)
        case _:
            pass


def _media_type(request: Request) -> str:
    return request.fields.get(b"content-type", b"").decode("latin-1")


def _invalid(dialect: Dialect) -> str | None:
    # Anthropic and Google have no code beside the type and the status.
    return None if dialect.name in ("messages", "gemini") else "invalid_value"


async def _send(connection: Connection, request: Request, status: int, data: bytes, more: dict[str, str] | None = None) -> None:
    body = Body(connection, request, _PLAIN)
    await body.start(status, speaking.JSON | (more or {}), len(data))
    await body.write(data)
    body.end()


async def _refuse(
    connection: Connection,
    request: Request,
    dialect: Dialect,
    status: int,
    message: str,
    code: str | None = None,
    param: str | None = None,
) -> None:
    await _send(connection, request, status, dialect.failure(status, message, code, param), dialect.fields)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=4096)
