"""Classes of bad requests, each as the product of its tricks and the places where they can stand. Values only; nothing here asks anybody.

A request of a class may have one of its class's statuses, and no other. The good request that everything is made from is `GOOD`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

CHAT = "/v1/chat/completions"
ROUTES = (CHAT, "/api/text/chat")
DIALECTS = {
    CHAT: "openai",
    "/v1/messages": "anthropic",
    "/v1beta/models/x:generateContent": "gemini",
    "/v1/models/x:embedContent": "gemini",
}
MODEL = "sim/tokens-3"
GOOD = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 16}
_HI = '"model":"sim/tokens-3","messages":[{"role":"user","content":"hi"}]'


class Bad(NamedTuple):
    """`fields` replaces the ordinary head fields by name; a name with an empty tuple is left out, one with several values is sent again."""

    id: str
    body: bytes
    statuses: tuple[int, ...]
    method: str = "POST"
    path: str = CHAT
    dialect: str = "openai"
    fields: tuple[tuple[str, tuple[str, ...]], ...] = ()
    param: str = ""


def _text(value: object) -> str:
    """Raw JSON stands for itself as bytes; anything else is encoded."""
    return value.decode("latin-1") if isinstance(value, bytes) else json.dumps(value)


# ---- wrong values of what is judged -------------------------------------------------------------------------------------------------

_NO_COUNT = (
    "16",
    True,
    False,
    -1,
    0,
    1.5,
    b"-0",
    b"0.0",
    2**31,
    2**63,
    2**64,
    10**30,
    b"9" * 5000,
    [],
    [1],
    {},
    b"1e400",
)
_NO_FLAG = (0, 1, "true", "false", "", [], {}, 1.0, [True])
_NO_OBJECT = (5, True, "x", [], [{}], 1.5)
_NO_TEXT = (5, True, 1.5, [], {}, ["a"])
VALUES: dict[str, tuple[object, ...]] = {
    "model": (None, "", *_NO_TEXT, "m" * 257, "m" * 10_000, " ", "\t \n", "a\0b", "\0"),
    "messages": (None, 5, True, "hi", {}, [], [None], ["hi"], [5], [[]], [{}], [True], {"0": {"role": "user", "content": "hi"}}),
    "stream": _NO_FLAG,
    "stream_options": _NO_OBJECT,
    "temperature": ("1", "", True, [], {}, [1], -0.01, 2.01, 1e308, -1e308, b"1e400", b"-1e400", 10**400),
    "top_p": ("1", True, [], {}, -0.01, 1.01, b"1e400", 5),
    "max_tokens": _NO_COUNT,
    "max_completion_tokens": _NO_COUNT,
    "n": (*_NO_COUNT, 129, 10**6),
}
_PICTURE = {"type": "image_url", "image_url": {"url": "https://a.test/x.png"}}
NESTED: dict[str, tuple[object, ...]] = {
    "role": (None, "", "User", "root", "USER", " user", *_NO_TEXT),
    "content": (5, True, {}, 1.5, {"type": "text", "text": "x"}),
    "part": (
        None,
        5,
        True,
        "x",
        [],
        {},
        {"text": "x"},
        {"type": None, "text": "x"},
        {"type": 5},
        {"type": []},
        {"type": {}},
        {"type": "text"},
    ),
    "text": (None, *_NO_TEXT),
    "image_url": (
        None,
        "https://a.test/x.png",
        5,
        True,
        [],
        {},
        {"url": None},
        {"url": 5},
        {"url": []},
        {"url": {}},
        {"URL": "https://a.test/"},
    ),
    "url": (
        "",
        "http://127.0.0.1/",
        "http://[::1]/",
        "file:///etc/passwd",
        "http://0x7f.1/",
        "gopher://a.test/",
        "http://a@10.0.0.1/",
        "//a.test",
    ),
    "tool_calls": (5, "x", {}, True),
    "tool_call_id": _NO_TEXT,
    "include_usage": _NO_FLAG,
}
_PLACES: dict[str, Callable[[str], str]] = {
    "role": lambda text: f'{{"model":"{MODEL}","messages":[{{"role":{text},"content":"hi"}}]}}',
    "content": lambda text: f'{{"model":"{MODEL}","messages":[{{"role":"user","content":{text}}}]}}',
    "part": lambda text: f'{{"model":"{MODEL}","messages":[{{"role":"user","content":[{{"type":"text","text":"a"}},{text}]}}]}}',
    "text": lambda text: f'{{"model":"{MODEL}","messages":[{{"role":"user","content":[{{"type":"text","text":{text}}}]}}]}}',
    "image_url": lambda text: f'{{"model":"{MODEL}","messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{text}}}]}}]}}',
    "url": lambda text: (
        f'{{"model":"{MODEL}","messages":[{{"role":"user","content":[{{"type":"image_url","image_url":{{"url":{text}}}}}]}}]}}'
    ),
    "tool_calls": lambda text: f'{{"model":"{MODEL}","messages":[{{"role":"assistant","content":null,"tool_calls":{text}}}]}}',
    "tool_call_id": lambda text: f'{{"model":"{MODEL}","messages":[{{"role":"tool","content":"x","tool_call_id":{text}}}]}}',
    "include_usage": lambda text: f'{{{_HI},"stream":true,"stream_options":{{"include_usage":{text}}}}}',
}


def fields() -> Iterator[Bad]:
    for name, values in VALUES.items():
        for number, value in enumerate(values):
            others = {
                key: other for key, other in GOOD.items() if key != name and not (name == "max_completion_tokens" and key == "max_tokens")
            }
            for order, members in enumerate(
                ([(name, value), *others.items()], [*others.items(), ("stream", name != "stream"), (name, value)])
            ):
                members = [pair for place, pair in enumerate(members) if pair[0] not in {key for key, _ in members[place + 1 :]}]
                body = "{" + ",".join(f'"{key}":{_text(each)}' for key, each in members) + "}"
                for route in ROUTES:
                    yield Bad(f"{name}-{number}-{order}", body.encode(), (400,), path=route, param=name)
    for name, values in NESTED.items():
        for number, value in enumerate(values):
            yield Bad(f"{name}-{number}", _PLACES[name](_text(value)).encode(), (400,))
    for name in ("model", "messages"):
        yield Bad(f"{name}-missing", json.dumps({key: value for key, value in GOOD.items() if key != name}).encode(), (400,), param=name)
    for role in ("user", "system", "developer", "tool", "assistant", "function"):
        for message in ({"role": role}, {"role": role, "content": None}):
            yield Bad(f"no-content-{role}", json.dumps({"model": MODEL, "messages": [message]}).encode(), (400,))


# ---- what is not JSON, or not JSON of one reading -------------------------------------------------------------------------------------

_NO_VALUE = (
    b"NaN", b"-NaN", b"Infinity", b"-Infinity", b"nan", b"inf", b"007", b"-01", b"0x10", b"1_000", b"+1", b".5", b"5.", b"1e", b"1e+", b"-",
    b"--1",
    b"'x'", b"True", b"None", b"undefined", b"nul", b"[1,]", b"[,1]", b"{\"a\":1,}", b"{,}", b"{a:1}", b"{'a':1}", b"[1 2]", b"{\"a\" 1}",
    b"{\"a\":}",
    b"/*c*/1", b"1//c\n", b"1#c\n", b"", b"(1)", b"<a>", b"`x`", b"\"a\" \"b\"", b"\"\\q\"", b"\"\\u12\"", b"\"\\u12G4\"", b"\"\\x41\"",
    b"\"\\\n\"",
    b"\"\\ud800\"", b"\"\\udc00\"", b"\"\\ud800\\u0041\"", b"\"\\ud83d\\ud83d\"", b"\"\\udc00\\ud800\"", b"\"\xff\"", b"\"\xc0\xaf\"",
    b"\"\xe2\x82\"",
    b"\"\xed\xa0\x80\"", b"\"\xf4\x90\x80\x80\"", b"\"\x80\"", b"\"\xf0\x9f\x98\"", b"\xa01", b"\"open", b"[", b"{", b"]", b"}",
    *(b"\"a%cb\"" % control for control in range(32)), b"\x0b1", b"\x0c1", b"\0",
)  # fmt: skip
_JSON_PLACES: tuple[Callable[[bytes], bytes], ...] = (
    lambda bad: b"{" + _HI.encode() + b',"temperature":' + bad + b"}",
    lambda bad: b'{"max_tokens":' + bad + b"," + _HI.encode() + b"}",
    lambda bad: b"{" + _HI.encode() + b',"of_tomorrow":' + bad + b"}",
    lambda bad: b"{" + _HI.encode() + b',"tools":[{"function":{"a":[' + bad + b"]}}]}",
    lambda bad: b'{"model":"sim/tokens-3","messages":[{"role":"user","content":' + bad + b"}]}",
    lambda bad: b'{"model":"sim/tokens-3","messages":[{"role":"user","content":"hi","name":' + bad + b"}]}",
    lambda bad: b'{"model":' + bad + b',"messages":[{"role":"user","content":"hi"}]}',
    lambda bad: b"{" + _HI.encode() + b"," + bad + b":1}",
)


def not_json() -> Iterator[Bad]:
    for number, bad in enumerate(_NO_VALUE):
        for place, filled in enumerate(_JSON_PLACES):
            if not bad and place == 3:  # nothing, in a list, is right
                continue
            yield Bad(f"value-{number}-{place}", filled(bad), (400,))
    good = json.dumps(GOOD).encode()
    for end in range(len(good)):
        yield Bad(f"cut-{end}", good[:end], (400,))
    for tail in (
        b"x",
        b",",
        b"}",
        b"]",
        b"{",
        b"[",
        b"\0",
        b"\x0b",
        b"\x0c",
        b"\xa0",
        b"1",
        b'"',
        b"{}",
        b"null",
        b"//",
        b"\xef\xbb\xbf",
        good,
    ):
        yield Bad("tail", good + tail, (400,))
        yield Bad("lead", tail + good, (400,))
    for whole in (
        b"",
        b" ",
        b"\r\n\t ",
        b"[]",
        b"null",
        b'"x"',
        b"5",
        b"true",
        b"{}",
        b"[" + good + b"]",
        b"a=1&b=2",
        b"<a/>",
        b"\xff\xfe",
        json.dumps(good.decode()).encode(),
    ):
        yield Bad(f"whole-{whole[:8]!r}", whole, (400,))
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-8-sig", "cp037"):
        yield Bad(encoding, good.decode().encode(encoding), (400,))
    for encoding in ("latin-1", "cp1252"):
        yield Bad(encoding, good.replace(b"hi", "h\xe9".encode(encoding)), (400,))


def two_readings() -> Iterator[Bad]:
    core = {**GOOD, "stream": False, "temperature": 1, "top_p": 1, "n": 1, "max_completion_tokens": 5, "stream_options": {}}
    for name in core:
        members = {"model": MODEL, "messages": GOOD["messages"], name: core[name]}
        escaped = "".join(f"\\u{ord(letter):04x}" for letter in name)
        for spelled in (name, escaped, name[:-1] + f"\\u{ord(name[-1]):04X}", name.upper(), name.title(), name[0].upper() + name[1:]):
            for value in (core[name], None, "other", 1):
                inside = ",".join(f'"{key}":{json.dumps(each)}' for key, each in members.items())
                yield Bad(f"{name}-{spelled}", f'{{{inside},"{spelled}":{json.dumps(value)}}}'.encode(), (400,))
                yield Bad(f"{spelled}-{name}", f'{{"{spelled}":{json.dumps(value)},{inside}}}'.encode(), (400,))
    yield Bad("unknown-twice", f'{{{_HI},"x":1,"x":1}}'.encode(), (400,))
    for options in (
        '{"include_usage":true,"include_usage":false}',
        '{"include_usage":false,"include_usage":true}',
        '{"x":{"a":1,"\\u0061":1}}',
    ):
        yield Bad("options", f'{{{_HI},"stream":true,"stream_options":{options}}}'.encode(), (400,))
    picture = json.dumps(_PICTURE)
    for part in (
        picture[:-1] + ',"type":"text","text":"a"}',
        picture[:-1] + ',"image_url":{"url":"https://b.test/"}}',
        '{"type":"image_url","image_url":{"url":"https://a.test/","url":"https://b.test/"}}',
    ):
        yield Bad("picture", f'{{"model":"{MODEL}","messages":[{{"role":"user","content":[{part}]}}]}}'.encode(), (400,))


def bombs() -> Iterator[Bad]:
    for depth in (101, 102, 500, 1024, 1025, 5000, 50_000):
        for opener, closer in (("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")):
            nest = opener * depth + "1" + closer * depth
            yield Bad(f"deep-{depth}", f'{{{_HI},"x":{nest}}}'.encode(), (400,))
            yield Bad(f"deep-messages-{depth}", f'{{"model":"{MODEL}","messages":{nest}}}'.encode(), (400,))
            yield Bad(f"deep-open-{depth}", f'{{{_HI},"x":{opener * depth}'.encode(), (400,))
    for element in ("[]", "{}", "0", '""', '{"a":0}'):
        yield Bad(f"wide-{element}", f'{{{_HI},"x":[{",".join([element] * 210_000)}]}}'.encode(), (400, 413))
    yield Bad("keys", ("{" + _HI + "," + ",".join(f'"k{number}":0' for number in range(210_000)) + "}").encode(), (400, 413))


# ---- heads ------------------------------------------------------------------------------------------------------------------------------


def types() -> Iterator[Bad]:
    good = json.dumps(GOOD).encode()
    for kind in (
        "text/plain", "text/json", "application/x-www-form-urlencoded", "multipart/form-data", "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json; charset=utf-16", "application/json; charset=latin-1", "application/json; charset=",
        "application/json, text/plain", "*/*",
        "application/xml", "application/octet-stream", "json", "", "application/json;charset=utf-8;charset=utf-16", "application/ld+json",
        "text/html",
    ):  # fmt: skip
        for route in ROUTES:
            yield Bad(f"type-{kind}", good, (415,), path=route, fields=(("Content-Type", (kind,)),))
    for coding in ("gzip", "br", "deflate", "zstd", "compress", "gzip, gzip", "gzip, identity", "identity, gzip", "x", "", "aes128gcm"):
        for path, dialect in DIALECTS.items():
            yield Bad(f"coding-{coding}", good, (415,), path=path, dialect=dialect, fields=(("Content-Encoding", (coding,)),))


def credentials(key: str, other: str) -> Iterator[Bad]:
    """Of a key in force and another one in force."""
    good = json.dumps(GOOD).encode()
    carriers: list[dict[str, tuple[str, ...]]] = [
        {"Authorization": (value,)}
        for value in (
            "", "Bearer", "Bearer ", "Bearer  ", key, f" {key}", f"Basic {key}", f"Token {key}", f"Digest {key}", f"Bearer  {key}",
            f"Bearer\t{key}",
            f"Bearer {key} ", f"Bearer {key}\t", f"Bearer {key}  ", f"Bearer: {key}", f"Bearer={key}", f'Bearer "{key}"', f"Bearer '{key}'",
            f"Bearer <{key}>",
            f"Bearer {key},", f"Bearer {key};", f"Bearer {key}, Bearer {other}", f"Bearer {key} {other}", f"Bearer {key}, x=y",
            f"Bearer Bearer {key}",
            f"Bearer\xa0{key}", f"Bearer {key}\xa0", f"Bearer \xe9{key}", f"Bearer {key.upper()}", f"Bearer {key.lower()}",
            f"Bearer {key[:-1]}",
            f"Bearer {key}0", f"Bearer x{key}", f"Bearer {key[::-1]}", f"Bearer {key[3:]}", "Bearer sk-", "Bearer null", "Bearer undefined",
            "Bearer None",
            "Bearer {}", "Bearer $KEY", "Bearer ' OR 1=1 --", "Bearer sk-x' UNION SELECT 1--", "Bearer %00", "Bearer ../../etc/passwd",
            f"Bearer%20{key}",
            f"Bearer {'a' * 20_000}", "Bearer " + "\xff" * 100, f"bearer{key}", f"Bear {key}", "Negotiate x",
        )
    ]  # fmt: skip
    carriers += [
        {"Authorization": ()}, {"Authorization": (f"Bearer {key}", f"Bearer {key}")}, {"Authorization": (f"Bearer {key}",
        f"Bearer {other}")},
        {"Authorization": (f"Bearer {other}", f"Bearer {key}")}, {"Authorization": ("", f"Bearer {key}")}, {"Authorization": (),
        "x-api-key": (key,)},
        {"Authorization": (), "x-goog-api-key": (key,)}, {"Authorization": (), "api-key": (key,)}, {"Authorization": (),
        "Cookie": (f"key={key}",)},
        {"Authorization": (), "Proxy-Authorization": (f"Bearer {key}",)}, {"x-api-key": (other,)}, {"x-goog-api-key": (other,)},
        {"x-api-key": ("",)},
        {"x-api-key": (key, key)}, {"x-api-key": (key + " ",)}, {"x-api-key": (key,), "x-goog-api-key": (other,)}, {"Authorization": (),
        "X-Key": (key,)},
    ]  # fmt: skip
    # Lists of models are asked for by clients of every dialect, each with its own field.
    listing: list[dict[str, tuple[str, ...]]] = [{"Authorization": (), name: (key,)} for name in ("x-api-key", "x-goog-api-key")]
    for number, carrier in enumerate(carriers):
        for method, path in (("POST", CHAT), ("POST", "/api/text/chat"), ("GET", "/v1/models"), ("GET", f"/v1/models/{MODEL}")):
            if method == "GET" and carrier in listing:
                continue
            body = good if method == "POST" else b""
            # Whose list it is, and so in whose words it is refused, the head says.
            dialect = "gemini" if method == "GET" and "x-goog-api-key" in carrier else "openai"
            yield Bad(f"carrier-{number}-{carrier}"[:120], body, (401,), method, path, dialect, tuple(carrier.items()))
    for query in (f"key={key}", f"api_key={key}", f"access_token={key}", f"authorization=Bearer%20{key}"):
        yield Bad("query", good, (401,), path=f"{CHAT}?{query}", fields=(("Authorization", ()),))


_PATHS = ("/v1/chat/completions", "/v1/models", "/v1/messages", "/v1beta/models/x:generateContent", "/api/models", "/api/text/chat")
_PATH_TRICKS: tuple[Callable[[str], str], ...] = (
    lambda path: path + "/", lambda path: path + "//", lambda path: "/" + path, lambda path: path.replace("/", "//"),
    lambda path: "/." + path,
    lambda path: "/x/.." + path, lambda path: path + "/.", lambda path: path + "/..", lambda path: path + "/x/..",
    lambda path: path + "%2f",
    lambda path: path[:4] + path[4:].replace("/", "%2f"), lambda path: path[:4] + path[4:].replace("/", "%2F"),
    lambda path: path.replace("/", "%5c")[3:],
    lambda path: path + ";x=1", lambda path: path + ";", lambda path: path + "%00", lambda path: path + "%0d%0aX:%201",
    lambda path: path + "%c0%af",
    lambda path: path + "%ff%fe", lambda path: path + "%c3%a9", lambda path: path + "%", lambda path: path + "%zz",
    lambda path: path + "%2e%2e%2f",
    lambda path: path.upper(), lambda path: path.title(), lambda path: path + ".json", lambda path: path + "%20", lambda path: path + "+",
    lambda path: path + "%3f",
    lambda path: path + "%23x", lambda path: path[:-1], lambda path: path[:-1] + f"%{ord(path[-1]):02x}", lambda path: path + "a" * 3000,
    lambda path: path + "\\",
    lambda path: path.replace("/v1", "/v1/v1"), lambda path: "/openai" + path, lambda path: path + "/" + path, lambda path: path + ":8080",
    lambda path: "/%2e" + path,
)  # fmt: skip


def paths() -> Iterator[Bad]:
    good = json.dumps(GOOD).encode()
    for path in _PATHS:
        for number, trick in enumerate(_PATH_TRICKS):
            for method in ("POST", "GET"):
                tricked = trick(path)
                if tricked.startswith("/") and tricked not in _PATHS:
                    body = good if method == "POST" else b""
                    yield Bad(f"{method}-{number}", body, (400, 404, 405), method, tricked, _dialect(tricked))


def methods() -> Iterator[Bad]:
    for path in (*_PATHS, "/v1/models/x:embedContent", "/healthz", "/readyz", "/v1/models/x", "/", "/docs"):
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "PURGE", "MKCOL", "QUERY", "LINK"):
            readable = path not in (CHAT, "/v1/messages", "/v1beta/models/x:generateContent", "/v1/models/x:embedContent")
            if (method in ("GET", "HEAD") and readable) or (method == "POST" and (path in ROUTES or not readable)):
                continue
            statuses = (405,)
            fields = (("Origin", ("https://evil.test",)), ("Access-Control-Request-Method", ("POST",))) if method == "OPTIONS" else ()
            yield Bad(f"{method}-{path}", b"", statuses, method, path, _dialect(path), fields)
            yield Bad(f"{method}-{path}-overridden", b"", statuses, method, path, _dialect(path), (("X-HTTP-Method-Override", ("POST",)),))


def framing() -> Iterator[Bad]:
    """What is refused before a body is read, in the words of each dialect."""
    for path, dialect in DIALECTS.items():

        def bad(id: str, statuses: tuple[int, ...], *fields: tuple[str, tuple[str, ...]], path: str = path, dialect: str = dialect) -> Bad:
            return Bad(f"{id}-{dialect}", b"", statuses, path=path, dialect=dialect, fields=fields)

        yield bad("declared-too-large", (413,), ("Content-Length", ("33554433",)))
        yield bad("declared-huge", (413,), ("Content-Length", ("999999999999999999",)))
        yield bad("declared-nonsense", (400,), ("Content-Length", ("1e3",)))
        yield bad("expectation", (417,), ("Expect", ("200-ok",)))
        yield bad("expectation-list", (417,), ("Expect", ("100-continue, x",)))
        yield bad("many-fields", (431,), *((f"X-{number}", ("y",)) for number in range(101)))
        yield bad("one-field-often", (431,), ("X", ("y",) * 101))
        yield bad("large-field", (431,), ("X", ("y" * 33_000,)))
        yield bad("upgrade-with-a-body", (426,), ("Connection", ("Upgrade",)), ("Upgrade", ("websocket",)), ("Content-Length", ("5",)))
        yield bad("upgrade", (426,), ("Connection", ("Upgrade",)), ("Upgrade", ("h2c",)), ("HTTP2-Settings", ("AA",)))._replace(
            method="GET"
        )
        yield bad("no-host", (400,), ("Host", ()))
        yield bad("two-hosts", (400,), ("Host", ("a.test", "a.test")))
        yield bad("odd-host", (400,), ("Host", ("a.test/evil",)))
        yield bad("coding", (400,), ("Content-Length", ()), ("Transfer-Encoding", ("gzip, chunked",)))
        yield bad("long-target", (431,))._replace(path=path + "?" + "a" * 9000)


def _dialect(path: str) -> str:
    bare = path.partition("?")[0]
    if bare.endswith((":generateContent", ":embedContent")) and bare.startswith("/v1/models/"):
        return "gemini"
    for prefix, dialect in (("/v1/messages", "anthropic"), ("/v1beta", "gemini")):
        if bare == prefix or bare.startswith(prefix + "/"):
            return dialect
    return "openai"
