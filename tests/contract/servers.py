"""Small scripted servers over real sockets: raw reply bytes per request, and no HTTP beyond finding the end of one."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

GOOD_KEY = "sk-canaryKEY0123456789abcdef"
CANARY = "CANARYbodyzebra"


def reply(status: int, body: object, *, kind: str = "application/json", extra: str = "", framing: str = "length") -> bytes:
    raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nX-Trace: {CANARY}\r\nSet-Cookie: a={CANARY}\r\n{extra}"
    match framing:
        case "chunked":
            half = len(raw) // 2
            parts = b"".join(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in (raw[:half], raw[half:]))
            return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + parts + b"0\r\n\r\n"
        case "eof":
            return head.encode() + b"\r\n" + raw
        case _:
            return head.encode() + f"Content-Length: {len(raw)}\r\n\r\n".encode() + raw


ANSWER = {"choices": [{"message": {"role": "assistant", "content": CANARY}}]}
REFUSAL = {"error": {"message": f"bad key {CANARY}", "type": "invalid_request_error"}}
MODELS = reply(200, {"data": [{"id": "m"}]})


def script(happy: bytes, refusal: bytes | None = None) -> Callable[[bytes], bytes | None]:
    """Answers like a gateway, with `happy` to the good key and `refusal` to any other."""

    def answer(request: bytes) -> bytes | None:
        if request.startswith(b"GET"):
            return MODELS
        return happy if f"Bearer {GOOD_KEY}".encode() in request else (refusal or reply(401, REFUSAL))

    return answer


def whole(request: bytes) -> bool:
    head, blank, body = request.partition(b"\r\n\r\n")
    length = next((line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b"0")
    return bool(blank) and len(body) >= int(length)


def _serve(connection: socket.socket, answer: Callable[[bytes], bytes | None], context: ssl.SSLContext | None) -> None:
    connection.settimeout(10)
    try:
        stream = context.wrap_socket(connection, server_side=True) if context else connection
        with stream:
            request = b""
            while not whole(request):
                data = stream.recv(65536)
                if not data:
                    return
                request += data
                if request[:1] == b"\x16":  # a TLS handshake at a door that speaks HTTP
                    return stream.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
            raw = answer(request)
            if raw is None:
                stream.recv(1)  # says nothing until the other side gives up
            else:
                stream.sendall(raw)
    except OSError:
        connection.close()


@contextmanager
def serving(answer: Callable[[bytes], bytes | None], context: ssl.SSLContext | None = None) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                _serve(connection, answer, context)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http{'s' if context else ''}://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(12)
