"""Gemini's generateContent, the request: a body is read as strictly as Google reads it.

Pure. Sources: Gemini API reference, function calling, thought signatures (read 2026-11). Fields may be spelled in camelCase or snake_case,
as in every JSON of Google's; unknown ones are refused. Function responses must answer the calls of the turn before by name and number.
"""

from __future__ import annotations

import re

import msgspec

from halley.simulator.heard import Heard, Medium, Offer, Result, Turn, Wishes, decoded, hear, linked, of_mime, stored
from halley.simulator.reading import BadBody, Loose, check, flag
from halley.simulator.schema import Json
from halley.simulator.seals import GEMINI_CALL, GEMINI_TEXT, SKIPPED, URL_SAFE, holds, wrapped

# fmt: off
_KNOWN = (
    "model", "contents", "systemInstruction", "tools", "toolConfig", "safetySettings", "generationConfig", "cachedContent", "serviceTier",
    "labels", "store",
)
_CONFIG = (
    "temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "seed", "presencePenalty", "frequencyPenalty",
    "responseLogprobs", "logprobs", "responseMimeType", "responseSchema", "responseJsonSchema", "responseModalities", "thinkingConfig",
    "mediaResolution", "speechConfig", "imageConfig", "enableEnhancedCivicAnswers", "audioTimestamp", "routingConfig",
)
_PART = (
    "text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult", "thought",
    "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata",
)
_TOOL = (
    "functionDeclarations", "googleSearch", "googleSearchRetrieval", "codeExecution", "urlContext", "googleMaps", "fileSearch",
    "computerUse", "enterpriseWebSearch", "retrieval", "mcpServers",
)
_SCHEMA = (
    "type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems", "properties", "required", "minProperties",
    "maxProperties", "minLength", "maxLength", "pattern", "example", "anyOf", "propertyOrdering", "default", "items", "minimum", "maximum",
)
# fmt: on
_TYPES = ("TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL")
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
_ROLES = ("user", "model", "function")
_PAYLOADS = ("text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult")
_MOST_STOPS = 5


def read(top: Loose, model: str, *, stream: bool) -> Heard:
    """Raises BadBody."""
    top.only(*_KNOWN)
    turns = _turns(top.need("contents"), strict=False)
    system = top.find("systemInstruction")
    if system is not None:
        turns.insert(0, Turn("system", tuple(part.need("text").text() for part in _parts(system))))
    config = top.find("generationConfig") or Loose({}, ("generationConfig",))
    config.only(*_CONFIG)
    check(
        config,
        {
            "temperature": lambda node: node.number(0, 2),
            "topP": lambda node: node.number(0, 1),
            "topK": lambda node: node.number(0),
            "seed": lambda node: node.whole(),
            "maxOutputTokens": lambda node: node.whole(1),
        },
    )
    cap, count, stops = config.find("maxOutputTokens"), config.find("candidateCount"), config.find("stopSequences")
    found = tuple(stops.texts()) if stops is not None else ()
    if stops is not None and len(found) > _MOST_STOPS:
        raise stops.bad(f"At most {_MOST_STOPS} stop sequences.")
    schema, wants_json = _format(config)
    shows, thinks = _thinking(config.find("thinkingConfig"))
    offers = _offers(top)
    wishes = Wishes(
        stream=stream,
        count=count.whole(1, 8) if count is not None else 1,
        cap=cap.whole() if cap is not None else None,
        stops=found,
        tools=offers,
        chosen=_chosen(top, offers),
        schema=schema,
        json=wants_json,
        logprobs=_alternatives(config),
        shows_thoughts=shows,
        thinks=thinks,
    )
    whole = top.fields()
    seeds = [whole.get(name) for name in ("contents", "systemInstruction", "system_instruction", "tools")]
    return hear(model, turns, wishes, seeds, whole)


def inspect(heard: Heard) -> None:
    """What a `strict` model refuses on top: a turn since the last question whose first call has lost its signature. Raises BadBody."""
    _turns(Loose(heard.whole).need("contents"), strict=True)


def call_content(name: str, arguments: Json) -> str:
    """What the signature of a call is bound to."""
    return f"{name} {msgspec.json.encode(arguments, order='sorted').decode()}"


def _parts(content: Loose) -> list[Loose]:
    content.only("role", "parts")
    found = content.need("parts").items()
    if not found:
        raise content.need("parts").bad("A content must have at least one part.")
    for part in found:
        part.only(*_PART)
        payloads = [name for name in _PAYLOADS if part.find(name) is not None]
        if len(payloads) != 1:
            raise part.bad(f"A part must have exactly one of {', '.join(_PAYLOADS)}, not {len(payloads)}.")
    return found


def _turns(contents: Loose, strict: bool) -> list[Turn]:
    items = contents.items()
    # A question ends the turns whose signatures are still insisted on.
    current = max((index for index, content in enumerate(items) if _is_question(content)), default=-1)
    turns: list[Turn] = []
    open_calls: list[tuple[str, str]] = []
    for index, content in enumerate(items):
        parts = _parts(content)
        role = content.find("role")
        speaker = "user" if role is None else role.text(*_ROLES)
        calls = [part.need("functionCall") for part in parts if part.find("functionCall") is not None]
        answers = [part.need("functionResponse") for part in parts if part.find("functionResponse") is not None]
        if calls and (speaker != "model" or not turns):
            raise content.bad("A function call turn must be the model's and come after a user turn or a function response turn.")
        results = _results(content, answers, open_calls)
        open_calls = [_call(call) for call in calls]
        for number, part in enumerate(parts):
            insisted = strict and index > current and part.find("functionCall") is not None and part.path == calls[0].path[:-1]
            _check_signature(part, insisted, first=number == 0)
        texts = tuple(part.need("text").text() for part in parts if part.find("text") is not None and not flag(part, "thought"))
        media = tuple(_medium(part) for part in parts if part.find("inlineData") is not None or part.find("fileData") is not None)
        turns.append(Turn("assistant" if speaker == "model" else "user", texts, media, results, bool(calls)))
    if open_calls:
        raise contents.bad("The last function call turn has no function response turn after it.")
    if not turns:
        raise contents.bad("At least one content is required.")
    return turns


def _is_question(content: Loose) -> bool:
    fields = content.fields()
    return fields.get("role") in (None, "user") and not any(
        part.find("functionResponse") is not None for part in content.need("parts").items()
    )


def _call(call: Loose) -> tuple[str, str]:
    call.only("name", "args", "id", "partialArgs", "willContinue")
    if arguments := call.find("args"):
        arguments.fields()
    identity = call.find("id")
    return call.need("name").text(), identity.text() if identity is not None else ""


def _results(content: Loose, answers: list[Loose], open_calls: list[tuple[str, str]]) -> tuple[Result, ...]:
    if len(answers) != len(open_calls):
        raise content.bad(
            "The number of function response parts must be equal to the number of function call parts of the function call turn: "
            f"{len(answers)} for {len(open_calls)}."
        )
    left = list(open_calls)
    results: list[Result] = []
    for answer in answers:
        answer.only("name", "response", "id", "parts", "willContinue", "scheduling")
        name = answer.need("name")
        identity = answer.find("id")
        given = identity.text() if identity is not None else ""
        found = next((call for call in left if call[0] == name.text() and (not given or call[1] in ("", given))), None)
        if found is None:
            raise (name if all(call[0] != name.text() for call in left) or identity is None else identity).bad(
                f"The function response {name.text()!r} answers no function call of the turn before: {', '.join(call[0] for call in left)}."
            )
        left.remove(found)
        response = answer.need("response").fields()
        more = answer.find("parts")
        media = tuple(map(_medium, more.items())) if more is not None else ()
        results.append(Result(given or found[1], name.text(), _said(response), media, "error" in response))
    return tuple(results)


def _said(response: dict[str, Json]) -> str:
    """The usual keys hold the text; any other object is quoted whole."""
    for key in ("output", "result", "error"):
        value = response.get(key)
        if len(response) == 1 and isinstance(value, str):
            return value
    return msgspec.json.encode(response).decode()


def _check_signature(part: Loose, insisted: bool, *, first: bool) -> None:
    signature = part.find("thoughtSignature")
    if signature is None:
        if insisted:
            raise BadBody((*part.path, "thoughtSignature"), "Function call is missing a thought_signature in functionCall parts.")
        return
    given = signature.text()
    if given.translate(URL_SAFE) in {each.translate(URL_SAFE) for each in SKIPPED}:
        return
    given = given.translate(URL_SAFE)
    call = part.find("functionCall")
    if call is None:
        valid = wrapped(GEMINI_TEXT, given)
    else:
        arguments = call.find("args")
        valid = holds(GEMINI_CALL, call_content(call.need("name").text(), arguments.value if arguments is not None else {}), given)
    if not valid:
        raise signature.bad("Thought signature is not valid.")


def _medium(part: Loose) -> Medium:
    inline = part.find("inlineData")
    if inline is not None:
        inline.only("mimeType", "data", "displayName")
        data, mime = inline.need("data"), inline.need("mimeType").text()
        return decoded(data, of_mime(mime), mime, data.text())
    file = part.need("fileData")
    file.only("mimeType", "fileUri", "displayName")
    uri = file.need("fileUri")
    mime = found.text() if (found := file.find("mimeType")) is not None else ""
    if uri.text().startswith("data:"):
        raise uri.bad("A data URL is no file: send it as `inlineData`.")
    if "/files/" in uri.text():
        return stored(of_mime(mime), mime, uri.text())
    return linked(uri, of_mime(mime), uri.text(), mime)


def _offers(top: Loose) -> tuple[Offer, ...]:
    tools = top.find("tools")
    offers: list[Offer] = []
    for tool in tools.items() if tools is not None else ():
        tool.only(*_TOOL)
        declared = tool.find("functionDeclarations")
        for function in declared.items() if declared is not None else ():
            function.only("name", "description", "parameters", "parametersJsonSchema", "response", "responseJsonSchema", "behavior")
            schema, plain = function.find("parameters"), function.find("parametersJsonSchema")
            if schema is not None and plain is not None:
                raise function.bad("`parameters` and `parametersJsonSchema` are mutually exclusive.")
            if schema is not None:
                _check_schema(schema)
            given = schema or plain
            name = function.need("name")
            if not _NAME.fullmatch(name.text()):
                raise name.bad("Must start with a letter or `_` and hold at most 128 letters, digits, `_`, `.`, `:` and `-`.")
            if name.text() in {offer.name for offer in offers}:
                raise name.bad(f"Duplicate function declaration found: {name.text()}.")
            offers.append(Offer(name.text(), given.fields() if given is not None else None))
    return tuple(offers)


def _check_schema(schema: Loose) -> None:
    """A `Schema` of Google's is no JSON schema: unknown words such as `additionalProperties` are refused, a type is one word."""
    schema.only(*_SCHEMA)
    if kind := schema.find("type"):
        kind.text(*_TYPES, *map(str.lower, _TYPES))
    if items := schema.find("items"):
        _check_schema(items)
    if options := schema.find("anyOf"):
        for option in options.items():
            _check_schema(option)
    if properties := schema.find("properties"):
        for name, value in properties.fields().items():
            _check_schema(Loose(value, (*properties.path, name)))


def _chosen(top: Loose, offers: tuple[Offer, ...]) -> str:
    config = top.find("toolConfig")
    if config is None:
        return "auto"
    config.only("functionCallingConfig", "retrievalConfig", "includeServerSideToolInvocations")
    calling = config.find("functionCallingConfig")
    if calling is None:
        return "auto"
    calling.only("mode", "allowedFunctionNames", "streamFunctionCallArguments")
    mode = calling.find("mode")
    said = mode.text("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED") if mode is not None else "AUTO"
    names = calling.find("allowedFunctionNames")
    allowed = tuple(names.texts()) if names is not None else ()
    if names is not None and allowed and said not in ("ANY", "VALIDATED"):
        raise names.bad("`allowedFunctionNames` is taken with mode ANY or VALIDATED only.")
    for name in allowed:
        if names is not None and name not in {offer.name for offer in offers}:
            raise names.bad(f"{name!r} is not declared among the functions.")
    if said == "ANY" and allowed:
        return allowed[0]
    return {"ANY": "any", "NONE": "none"}.get(said, "auto")


def _thinking(config: Loose | None) -> tuple[bool, bool]:
    """Whether thoughts are shown, and whether there are any."""
    if config is None:
        return False, True
    config.only("includeThoughts", "thinkingBudget", "thinkingLevel")
    budget, level = config.find("thinkingBudget"), config.find("thinkingLevel")
    if budget is not None and level is not None:
        raise config.bad("`thinkingBudget` and `thinkingLevel` are mutually exclusive.")
    if level is not None:
        level.text("THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH", "minimal", "low", "medium", "high")
    return flag(config, "includeThoughts"), budget is None or budget.whole(-1) != 0


def _alternatives(config: Loose) -> int | None:
    count = config.find("logprobs")
    if not flag(config, "responseLogprobs"):
        if count is not None:
            raise count.bad("Taken only with `responseLogprobs` true.")
        return None
    return count.whole(0, 20) if count is not None else 0


def _format(config: Loose) -> tuple[Json, bool]:
    kind = config.find("responseMimeType")
    mime = kind.text("text/plain", "application/json", "text/x.enum") if kind is not None else "text/plain"
    schema, plain = config.find("responseSchema"), config.find("responseJsonSchema")
    if schema is not None and plain is not None:
        raise config.bad("`responseSchema` and `responseJsonSchema` are mutually exclusive.")
    if schema is not None:
        _check_schema(schema)
    given = schema or plain
    if given is not None and mime == "text/plain":
        raise given.bad("A response schema needs `responseMimeType` application/json or text/x.enum.")
    return (given.fields() if given is not None else None), mime == "application/json"
