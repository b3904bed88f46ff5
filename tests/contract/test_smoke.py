"""The smoke tester against scripted servers: exit code, findings, both records, and no canary anywhere."""

from __future__ import annotations

import gzip
import importlib.util
import json
import ssl
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from halley.cli.smoke import smoke
from halley.contract import keep
from halley.contract.findings import TABLE
from halley.contract.records import Row, SmokeTestRun
from halley.redaction import Redactor

_spec = importlib.util.spec_from_file_location("smoke_servers", Path(__file__).with_name("servers.py"))
assert _spec and _spec.loader
servers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(servers)
ANSWER, CANARY, GOOD_KEY, REFUSAL = servers.ANSWER, servers.CANARY, servers.GOOD_KEY, servers.REFUSAL
reply, script, serving = servers.reply, servers.script, servers.serving

HTML = reply(502, f"<html>{CANARY}</html>", kind="text/html", extra="Server: nginx/1.25\r\n")
GOOD = reply(200, ANSWER)
TABLE_OF_SERVERS = {
    "good gateway": (script(GOOD), 0, set()),
    "good gateway, chunked": (script(reply(200, ANSWER, framing="chunked")), 0, set()),
    "good gateway, ended by close": (script(reply(200, ANSWER, framing="eof")), 0, set()),
    "100 Continue first": (script(b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD), 0, set()),
    "interim replies without end": (script(b"HTTP/1.1 103 Hints\r\n\r\n" * 2000), 5, {"misframed"}),
    "bad key gets 429": (script(GOOD, reply(429, REFUSAL)), 0, set()),
    "no model list": (lambda r: reply(404, REFUSAL) if r.startswith(b"GET") else script(GOOD)(r), 0, {"model-list-missing"}),
    "takes any key": (script(GOOD, GOOD), 6, {"bad-key-accepted"}),
    "takes any key with an error in 200": (script(GOOD, reply(200, REFUSAL)), 6, {"bad-key-accepted"}),
    "takes any key, huge reply": (script(GOOD, reply(200, b" " * 1500000)), 6, {"bad-key-accepted"}),
    "HTML proxy": (lambda r: HTML, 5, {"html-page"}),
    "HTML for bad keys": (script(GOOD, reply(200, "<!doctype html>", kind="text/html")), 5, {"html-page"}),
    "5xx for bad keys": (script(GOOD, reply(503, REFUSAL)), 5, {"server-error"}),
    "empty choices": (script(reply(200, {"choices": []})), 1, {"empty-choices"}),
    "no choices": (script(reply(200, {"ok": CANARY})), 1, {"no-choices"}),
    "content null": (script(reply(200, {"choices": [{"message": {"content": None}}]})), 1, {"content-missing"}),
    "event stream": (script(reply(200, f"data: {CANARY}\n\n", kind="text/event-stream")), 1, {"event-stream"}),
    "200 with error": (script(reply(200, {**ANSWER, **REFUSAL})), 1, {"error-with-200"}),
    "JSON as text": (script(reply(200, ANSWER, kind="text/plain")), 1, {"content-type"}),
    "bad JSON": (script(reply(200, "{nope")), 5, {"not-json"}),
    "redirect": (script(reply(301, "", extra=f"Location: https://elsewhere.test/{CANARY}\r\n")), 5, {"redirected"}),
    "content in a refusal": (script(GOOD, reply(401, {**REFUSAL, **ANSWER})), 1, {"content-in-error"}),
    "refusal without shape": (script(GOOD, reply(401, {"detail": CANARY})), 1, {"error-shape"}),
    "good key refused": (script(reply(403, REFUSAL)), 4, {"key-refused"}),
    "rate limit": (script(reply(429, REFUSAL)), 3, {"rate-limited"}),
    "unknown model": (script(reply(404, {"error": {"message": CANARY, "code": "model_not_found"}})), 1, {"model-rejected"}),
    "wrong path": (script(reply(404, REFUSAL)), 1, {"wrong-base-url"}),
    "huge body": (script(reply(200, b" " * 1500000)), 3, {"reply-too-large"}),
    "gzip": (script(reply(200, gzip.compress(b"{}"), extra="Content-Encoding: gzip\r\n")), 5, {"compressed-reply"}),
    "cut body": (script(GOOD[:-5]), 5, {"cut"}),
    "not HTTP": (script(b"SSH-2.0-x\r\n\r\n"), 5, {"protocol"}),
    "worst of all wins": (script(reply(403, REFUSAL), GOOD), 6, {"key-refused", "bad-key-accepted"}),
}


def run(home: Path, url: str, *flags: str, key: str | None = GOOD_KEY, model: str = "m", stdin: str | None = None) -> Result:
    blank = {name: None for name in ("COMET_API_KEY", "HALLEY_API_KEY", "COMETAPI_BASE_URL", "COMETAPI_MODEL", "HTTP_PROXY", "HTTPS_PROXY")}
    environment = {**blank, "HALLEY_HOME": str(home), "COMETAPI_KEY": key, "http_proxy": None, "https_proxy": None}
    return CliRunner().invoke(smoke, ["--base-url", url, "--model", model, *flags], env=environment, input=stdin)


def assert_no_canary(text: str) -> None:
    for canary in (CANARY, GOOD_KEY, "Respond with", "invalid-token"):
        assert canary not in text


@pytest.mark.parametrize("name", TABLE_OF_SERVERS)
def test_each_server_gets_its_exit_code_findings_and_records(name: str, tmp_path: Path) -> None:
    answer, code, findings = TABLE_OF_SERVERS[name]
    with serving(answer) as url:
        result = run(tmp_path, url, "--json", "--record", f"rows={tmp_path}/rows", "--record", f"yaml={tmp_path}/yaml")
    document = json.loads(result.stdout)
    assert (result.exit_code, {f["code"] for f in document["findings"]}) == (code, findings), result.output
    assert tuple(document["smoke_test_run"]) == SmokeTestRun.__struct_fields__ and len(document["smoke_test_run"]) == 15
    assert [tuple(row) for row in document["rows"]] == [Row.__struct_fields__] * 3
    assert [row["test_case"] for row in document["rows"]] == ["happy_path", "error_path", "error_path"]
    assert document["smoke_test_run"]["pass_fail"] == ("FAIL" if code else "PASS")
    assert [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()] == document["rows"]
    assert (tmp_path / "yaml").read_text().startswith("---\nsmoke_test_run:\n  run_id: ")
    assert_no_canary(result.output + (tmp_path / "rows").read_text() + (tmp_path / "yaml").read_text())
    kept = list((tmp_path / "evidence").rglob("*.txt"))
    assert bool(kept) == any(row["outcome"] == "fail" for row in document["rows"])
    for path in kept:
        assert path.stat().st_mode & 0o777 == 0o600 and GOOD_KEY not in path.read_text("latin-1")


def test_proxy_and_redirect_host_are_named(tmp_path: Path) -> None:
    with serving(lambda r: HTML) as url:
        assert "nginx/1.25 answered 502" in run(tmp_path, url).stdout
    with serving(TABLE_OF_SERVERS["redirect"][0]) as url:
        assert "redirects to elsewhere.test" in run(tmp_path, url).stdout


def test_a_refused_connection_exits_5(tmp_path: Path) -> None:
    with serving(script(GOOD)) as url:
        pass
    result = run(tmp_path, url, "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 5 and {f["code"] for f in document["findings"]} == {"connection-refused"}
    assert document["smoke_test_run"]["http_status"] is None


def test_a_silent_server_times_out(tmp_path: Path) -> None:
    with serving(lambda r: None) as url:
        result = run(tmp_path, url, "--json", "--timeout", "0.3")
    assert result.exit_code == 5 and '"timeout"' in result.stdout


def test_an_untrusted_certificate_is_a_tls_finding(tmp_path: Path) -> None:
    pem = tmp_path / "pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
        "-keyout",
        pem,
        "-out",
        f"{pem}.crt",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{pem}.crt", pem)
    with serving(script(GOOD), context) as url:
        result = run(tmp_path, url, "--json")
    assert result.exit_code == 5 and '"tls"' in result.stdout


def test_no_capture_keeps_nothing(tmp_path: Path) -> None:
    with serving(lambda r: HTML) as url:
        run(tmp_path, url, "--no-capture")
    assert not list((tmp_path / "evidence").rglob("*.txt"))


def test_the_key_may_come_from_standard_input_and_the_url_may_end_in_v1(tmp_path: Path) -> None:
    with serving(script(GOOD)) as url:
        assert run(tmp_path, f"{url}/v1/", key=None, stdin=GOOD_KEY + "\n").exit_code == 0


def test_a_trailing_blank_in_the_key_is_said(tmp_path: Path) -> None:
    with serving(script(GOOD)) as url:
        result = run(tmp_path, url, key=GOOD_KEY + " ")
    assert result.exit_code == 0 and result.stderr.startswith("key-blank:")


@pytest.mark.parametrize(
    "url", ["nonsense", "http://a..b", "http://u:p@h", "http://h?key=1", "http://h/v1/chat/completions", "https://h/api/text/chat"]
)
def test_a_bad_base_url_is_a_usage_error(url: str, tmp_path: Path) -> None:
    assert run(tmp_path, url).exit_code == 2


def test_a_missing_key_is_a_usage_error(tmp_path: Path) -> None:
    assert run(tmp_path, "http://127.0.0.1:1", key=None, stdin="").exit_code == 2


def test_a_home_that_cannot_hold_evidence_exits_3(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert run(tmp_path / "file", "http://127.0.0.1:1").exit_code == 3


def test_runs_started_together_get_different_numbers(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: keep.reserve_run(tmp_path), range(40)))
    assert sorted(i[-3:] for i in ids) == [f"{n:03}" for n in range(1, 41)]


def test_a_key_cut_by_the_cap_is_masked(tmp_path: Path) -> None:
    assert GOOD_KEY[:12].encode() not in keep.mask(b"x" + GOOD_KEY[:12].encode(), GOOD_KEY)


def test_every_finding_has_a_heading_in_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs" / "smoke.md").read_text()
    assert [code for code in TABLE if f"### `{code}`" not in text] == []


def test_a_key_pasted_as_model_or_echoed_by_a_server_is_masked(tmp_path: Path) -> None:
    with serving(lambda r: reply(502, REFUSAL, extra=f"Server: {GOOD_KEY}\r\n")) as url:
        result = run(tmp_path, f"{url}/{GOOD_KEY}", model=GOOD_KEY)
    assert result.exit_code == 5
    assert GOOD_KEY not in result.output


def test_strange_text_stays_one_quoted_yaml_scalar(tmp_path: Path) -> None:
    with serving(script(GOOD)) as url:
        result = run(tmp_path, url, model='m": x\n- y\x85\U000e0001')
    assert '  model_id_used: "m\\": x\\n- y\\U00000085\\U000e0001"\n' in result.stdout


def test_no_sentence_of_a_finding_looks_like_a_key_to_the_redactor_of_standard_error() -> None:
    for code, (_, cause, fix) in TABLE.items():
        assert Redactor().clean(f"{code}: {cause}. Fix: {fix}.") == f"{code}: {cause}. Fix: {fix}."


def test_every_finding_is_provoked_by_some_test() -> None:
    texts = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [code for code in TABLE if f'"{code}"' not in texts] == []
