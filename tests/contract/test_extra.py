"""Headers that the operator adds: sent with every request of the run, their names recorded, their values nowhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from halley.contract.extra import BadHeader, command, header
from tests.contract.gateways import gateway
from tests.contract.servers import GOOD_KEY, reply, serving
from tests.contract.test_contract import cli

SECRET = "tuesday-marmalade-violin"


def test_a_header_goes_with_every_request_and_only_its_name_is_recorded(tmp_path: Path) -> None:
    seen: list[bytes] = []

    def answer(request: bytes) -> bytes | None:
        seen.append(request)
        if b"x-provider: openai\r\n" not in request or f"x-provider-key: {SECRET}\r\n".encode() not in request:
            return reply(400, {"error": {"message": "x-provider is required"}})
        if b"chat/completions" in request and b"sk-invalid" not in request and GOOD_KEY.encode() in request:
            return reply(400, {"error": {"message": f"{SECRET} for openai"}}, extra=f"Server: {SECRET}\r\n")
        return gateway()(request)

    headers = ("--header", "x-provider=openai", "--header", "x-provider-key=env:PROVIDER_KEY")
    with serving(answer) as url:
        result = cli(
            tmp_path, "run", "--base-url", url, "--model", "m", "--contract", "chat", *headers, "--json",
            "--record", f"markdown={tmp_path}/md", PROVIDER_KEY=SECRET,
        )  # fmt: skip
    assert result.exit_code == 1, result.output
    run = json.loads(result.stdout)
    assert [each["code"] for each in run["findings"]] == ["request-rejected"]
    assert {"x-provider", "x-provider-key"} <= set(run["surroundings"]["headers_sent"])
    assert "PROVIDER_KEY" in run["surroundings"]["variables_read"] and len(seen) >= 4
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 3 and not [each for each in (*files, result.output.encode()) if SECRET.encode() in each]


@pytest.mark.parametrize(
    "text, told",
    [
        ("x-provider", "takes NAME=VALUE"),
        ("x provider=a", "takes NAME=VALUE"),
        ("Authorization=Basic x", "the tester sets this field itself"),
        ("X-API-Key=env:PROVIDER_KEY", "the tester sets this field itself"),
        ("content-length=0", "the tester sets this field itself"),
        (f"x-provider-key={GOOD_KEY}", "x-provider-key=env:VARIABLE"),
        ("x-provider-key=env:NOT_THERE", "NOT_THERE is not set"),
        ("x-provider-key=env:sk-abc", "wants the name of a variable"),
        ("x-provider=a\r\nx-evil: b", "no header may hold"),
    ],
)
def test_what_cannot_be_sent_is_refused_and_its_value_not_repeated(text: str, told: str) -> None:
    with pytest.raises(BadHeader, match=told) as caught:
        header(text, {"PROVIDER_KEY": SECRET})
    assert GOOD_KEY not in str(caught.value) and "sk-abc" not in str(caught.value)


def test_a_command_is_kept_without_the_values_of_headers_and_the_texts_of_fields() -> None:
    words = ["run", "--header", "x-a=plain words", "--header=x-b=other", "--header", "x-c=env:PROVIDER_KEY", "--field", "temperature=0.2"]
    assert command([*words, "--field", 'messages=[{"content":"secret plans"}]', '--field=user="me"', "--model", "m"]) == [
        "run", "--header", "x-a=[redacted]", "--header=x-b=[redacted]", "--header", "x-c=env:PROVIDER_KEY", "--field", "temperature=0.2",
        "--field", "messages=[redacted]", '--field=user="me"', "--model", "m",
    ]  # fmt: skip
