"""The docs assistant: which page a question must lead to, and what the docs do not hold."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from urllib.request import Request, urlopen

import pytest

from halley.simulator.assistant import Assistant, packaged_docs, read_sections

ASSISTANT = Assistant(read_sections(packaged_docs()))

QUESTIONS = {
    "How do I rotate a key?": "authentication",
    "How do I revoke a key?": "authentication",
    "trailing blanks in my key": "authentication",
    "How do I install Halley?": "quickstart",
    "Show me the curl command": "quickstart",
    "How do I use the Python SDK?": "quickstart",
    "Where is the starter key?": "quickstart",
    "How do I stream an answer?": "chat-completions",
    "What does x-halley-provider mean?": "chat-completions",
    "How can I get the usage chunk in a stream?": "chat-completions",
    "How do I list the models?": "models",
    "What is a hold?": "billing",
    "What happens when my credit runs out?": "billing",
    "Am I charged if I disconnect?": "billing",
    "How do I verify the ledger?": "billing",
    "doubled /v1 in base URL": "base-urls",
    "What is /api/text/chat?": "base-urls",
    "requests per minute limit Retry-After": "limits",
    "What happens when control is down?": "operations",
    "journal after a crash": "operations",
    "How do I script a fault in the simulator?": "simulator",
    "Why do I get 504 timeout?": "errors",
}

OFF_TOPIC = (
    "What is the capital of France?",
    "How do I bake bread?",
    "Write a poem about the sea",
    "Who won the world cup in 1998?",
    "What is 17 times 23?",
    "Translate good morning into German",
    "How tall is Mount Everest?",
    "How do I configure a Kubernetes ingress?",
    "Explain quantum entanglement",
    "Hello",
    "",
)


@pytest.mark.parametrize(("question", "page"), QUESTIONS.items())
def test_a_question_about_halley_names_its_page(question: str, page: str) -> None:
    """As the source or beside it: several pages may hold an answer, and a new page must not make an old one unfindable."""
    answer = ASSISTANT.answer(question)
    assert f"Source: {ASSISTANT.find(question)[0].title} (/docs/" in answer
    assert f"/docs/{page}" in answer


@pytest.mark.parametrize("question", OFF_TOPIC)
def test_an_off_topic_question_is_not_in_the_docs(question: str) -> None:
    assert ASSISTANT.answer(question).startswith("Halley's docs do not hold an answer")


@pytest.mark.parametrize("question", ["Who are you?", "what are you", "Are you a language model?", "Which model are you?"])
def test_it_says_that_it_is_not_a_language_model(question: str) -> None:
    assert "I am not a language model" in ASSISTANT.answer(question)


def test_a_comment_in_a_code_block_is_no_heading() -> None:
    assert not any("creates .venv" in section.heading for section in read_sections(packaged_docs()))


def test_the_local_process_serves_the_assistant_and_no_fault_script() -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    read_end, write_end = os.pipe()
    arguments = ["--local", "--listen-fd", str(listening.fileno()), "--channel-fd", str(write_end)]
    child = subprocess.Popen(
        [sys.executable, "-m", "halley.simulator", *arguments],
        stdin=subprocess.PIPE,
        pass_fds=(listening.fileno(), write_end),
    )
    try:
        os.close(write_end)
        assert child.stdin is not None
        child.stdin.write(b'{"settings": {}, "home": "/h", "run": "/r"}')
        child.stdin.close()
        assert os.read(read_end, 16) == b"ready\n"
        root = f"http://127.0.0.1:{listening.getsockname()[1]}"
        listing = json.load(urlopen(f"{root}/v1/models", timeout=10))
        assert [model["id"] for model in listing["data"]] == ["local/docs-assistant"]
        ask = {"model": "local/docs-assistant", "stream": True, "messages": [{"role": "user", "content": "How do I rotate a key?"}]}
        with urlopen(Request(f"{root}/v1/chat/completions", json.dumps(ask).encode()), timeout=10) as reply:
            assert reply.headers["content-type"].startswith("text/event-stream")
            lines = [line for line in reply.read().split(b"\n\n") if line]
        assert lines[-1] == b"data: [DONE]"
        text = "".join(json.loads(line[6:])["choices"][0]["delta"].get("content", "") for line in lines[:-1])
        assert text == ASSISTANT.answer("How do I rotate a key?")
        for path, body in (("/sim/bill", None), ("/v1/chat/completions", json.dumps(ask | {"model": "sim/echo"}).encode())):
            with pytest.raises(OSError, match="404"):
                urlopen(Request(root + path, body), timeout=10)
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 0
    finally:
        child.kill()
        child.wait()
        os.close(read_end)
        listening.close()
