"""`halley contract`: kept runs and what differs between two, two endpoints side by side, baselines, and every form of a report."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from halley.cli.contract import contract
from halley.contract.details import COLUMNS
from halley.contract.profiles import CONTRACTS
from halley.contract.records import Row, SmokeTestRun
from halley.contract.shapes import changes
from tests.contract.gateways import CHAT, HEALTHY, REFUSED, gateway
from tests.contract.servers import CANARY, GOOD_KEY, reply, serving

OTHER_KEY = "sk-otherKEY0123456789abcdef"


def cli(home: Path, *arguments: str, stdin: str | None = None, **more: str | None) -> Result:
    blank = dict.fromkeys(("COMET_API_KEY", "HALLEY_API_KEY", "COMETAPI_BASE_URL", "COMETAPI_MODEL", "HTTPS_PROXY", "https_proxy"))
    environment = {**blank, "HALLEY_HOME": str(home), "COMETAPI_KEY": GOOD_KEY, **more}
    return CliRunner().invoke(contract, list(arguments), env=environment, input=stdin)


def kept(home: Path) -> list[str]:
    return sorted(path.parent.name for path in (home / "evidence").glob("*/run.json"))


def test_a_run_is_summed_up_for_a_person_and_kept_for_later(tmp_path: Path) -> None:
    with serving(gateway(messages=HEALTHY["nothing"])) as url:
        result = cli(tmp_path, "run", "--base-url", url, "--model", "m", "--model-for", "embeddings=m")
    assert result.exit_code == 0, result.output
    assert re.search(r"^ok +chat +happy path +200$", result.stdout, re.MULTILINE)
    assert "messages is not served here (404)" in result.stdout
    assert result.stdout.endswith(f"run {kept(tmp_path)[0]}, verdict: go\n")
    assert (tmp_path / "evidence" / kept(tmp_path)[0] / "run.json").stat().st_mode & 0o777 == 0o600


def test_a_failure_is_explained_where_it_is_seen(tmp_path: Path) -> None:
    with serving(gateway(chat=reply(200, {**CHAT, "choices": []}))) as url:
        result = cli(tmp_path, "run", "--base-url", url, "--model", "m")
    assert result.exit_code == 1
    assert "empty-choices: the choices array is empty\n  fix: report it" in result.stdout


def test_a_run_knows_its_surroundings_by_name_and_not_by_value(tmp_path: Path) -> None:
    proxy = "http://user:pa55word@proxy.test:3128"
    with serving(gateway()) as url:
        made = cli(tmp_path, "run", "--base-url", url, "--model", "m", "--json", https_proxy=proxy, SSL_CERT_FILE=None)
    seen = json.loads(made.stdout)["surroundings"]
    assert (seen["base_url"], seen["resolved_address"], seen["key_from"]) == (url, "127.0.0.1", "COMETAPI_KEY")
    assert (seen["proxy_variables"], seen["proxy_hosts"], seen["proxy_used"]) == (["https_proxy"], ["proxy.test:3128"], "")
    assert {"authorization", "x-api-key", "x-goog-api-key", "anthropic-version"} <= set(seen["headers_sent"])
    assert {"COMETAPI_KEY", "HALLEY_HOME"} <= set(seen["variables_read"]) and seen["halley"] and seen["python"] and seen["openssl"]
    assert "pa55word" not in made.output and GOOD_KEY not in made.output


def test_diff_names_the_first_difference_of_two_runs(tmp_path: Path) -> None:
    with serving(gateway()) as url:
        cli(tmp_path, "run", "--base-url", url, "--model", "m", "--contract", "chat")
        cli(tmp_path, "run", "--base-url", f"{url}/v1", "--model", "m", "--contract", "chat", COMETAPI_KEY=None, COMET_API_KEY=GOOD_KEY)
        cli(tmp_path, "run", "--base-url", url, "--model", "m", "--contract", "chat")
    first, second, third = kept(tmp_path)
    told = cli(tmp_path, "diff", first, second)
    assert told.exit_code == 1
    assert told.stdout.startswith(f"first difference: base_url\n  {first}: {url}\n  {second}: {url}/v1\n")
    assert "COMET_API_KEY" in told.stdout
    same = cli(tmp_path, "diff", first, third)
    assert (same.exit_code, same.stdout) == (0, "no difference\n")
    told = json.loads(cli(tmp_path, "diff", "previous", "last", "--json").stdout)
    assert [each["what"] for each in told][:2] == ["base_url", "key_from"]


def test_two_runs_against_the_mock_are_the_same(tmp_path: Path) -> None:
    for _ in range(2):
        assert cli(tmp_path, "run", "--mock", "--contract", "chat").exit_code == 0
    assert cli(tmp_path, "diff", "previous", "last").stdout == "no difference\n"


def test_diff_names_an_outcome_where_the_surroundings_agree(tmp_path: Path) -> None:
    replies = {"chat": HEALTHY["chat"]}
    with serving(lambda request: gateway(**replies)(request)) as url:
        cli(tmp_path, "run", "--base-url", url, "--model", "m", "--contract", "chat")
        replies["chat"] = reply(503, REFUSED)
        cli(tmp_path, "run", "--base-url", url, "--model", "m", "--contract", "chat")
    told = cli(tmp_path, "diff", *kept(tmp_path))
    assert told.stdout.startswith("first difference: chat: happy path, outcome\n")
    assert "fail (server-error)" in told.stdout and "200" in told.stdout


def test_a_run_that_is_not_there_is_a_usage_error_that_says_which_are(tmp_path: Path) -> None:
    result = cli(tmp_path, "diff", "nope", "last")
    assert result.exit_code == 2 and "none is kept" in result.stderr


def test_compare_shows_two_endpoints_side_by_side(tmp_path: Path) -> None:
    other = gateway(responses=HEALTHY["nothing"], chat=reply(200, {**CHAT, "extra": 1}))
    with serving(gateway()) as a, serving(lambda r: other(r.replace(OTHER_KEY.encode(), GOOD_KEY.encode()))) as b:
        result = cli(tmp_path, "compare", a, b, "--model", "m", "--key-env-b", "OTHER_KEY", "--profile", "text", OTHER_KEY=OTHER_KEY)
    assert result.exit_code == 1, result.output
    assert re.search(r"^= +chat: happy path +200 pass +200 pass$", result.stdout, re.MULTILINE)
    assert re.search(r"^! +responses: happy path +200 pass +404 not served$", result.stdout, re.MULTILINE)
    assert re.search(r"^chat: happy path, field \.extra +absent +number$", result.stdout, re.MULTILINE)
    assert GOOD_KEY not in result.output and OTHER_KEY not in result.output


def test_compare_takes_one_key_from_standard_input_for_both(tmp_path: Path) -> None:
    with serving(gateway()) as a, serving(gateway()) as b:
        result = cli(tmp_path, "compare", a, b, "--model", "m", "--contract", "chat", stdin=f"{GOOD_KEY}\n", COMETAPI_KEY=None)
    assert (result.exit_code, "A go, B go" in result.stdout) == (0, True), result.output


def test_a_baseline_is_written_once_and_drift_is_named_field_by_field(tmp_path: Path) -> None:
    replies = {"chat": HEALTHY["chat"]}
    asked = ("run", "--model", "m", "--contract", "chat", "--baseline", str(tmp_path / "baseline.json"), "--json", "--base-url")
    with serving(lambda request: gateway(**replies)(request)) as url:
        assert cli(tmp_path, *asked, url).exit_code == 0
        assert cli(tmp_path, *asked, url).exit_code == 0
        replies["chat"] = reply(200, {**CHAT, "id": 7, "usage": None, "news": ""})
        grown = json.loads(cli(tmp_path, *asked, url).stdout)
    codes = {(each["code"], each["cause"]) for each in grown["findings"]}
    assert codes == {
        ("contract-drift", "differs from the baseline: chat happy path: .id was string, is number"),
        ("contract-grew", "new since the baseline: chat happy path: .news was absent, is string"),
    }
    assert (grown["exit"], grown["diagnosis"], grown["smoke_test_run"]["pass_fail"]) == (1, "contract-drift", "FAIL")
    assert GOOD_KEY not in (tmp_path / "baseline.json").read_text()


def test_a_file_that_is_no_baseline_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("{}")
    with serving(gateway()) as url:
        result = cli(tmp_path, "run", "--base-url", url, "--model", "m", "--contract", "chat", "--baseline", str(tmp_path / "file"))
    assert result.exit_code == 2 and "it is not a baseline" in result.stderr


@pytest.mark.parametrize(
    "before, now, fields",
    [
        ((".a: string",), (".a: number",), [".a"]),
        ((".a: string", ".a: null"), (".a: null",), []),
        (("$: object", ".a: array"), ("$: object", ".a: array", ".a[]: string"), []),
        (("$: object", ".a: array", ".a[]: object", ".a[].b: string"), ("$: object", ".a: array"), []),
        (("$: object", ".a: null"), ("$: object", ".a: object", ".a.b: string"), []),
        (("$: object", ".a: object", ".a.b: string"), ("$: object", ".a: object"), [".a.b"]),
        (("event ping $: object", "event ping .type: string"), (), ["event ping $"]),
    ],
)
def test_what_was_empty_or_null_says_nothing_of_its_type(before: tuple[str, ...], now: tuple[str, ...], fields: list[str]) -> None:
    assert [each.field for each in changes(before, now)] == fields


def test_the_list_names_every_contract_with_its_profiles(tmp_path: Path) -> None:
    listed = json.loads(cli(tmp_path, "list", "--json").stdout)
    assert [each["contract"] for each in listed] == list(CONTRACTS)
    assert listed[0]["profiles"] == "chat, text, media, full"
    assert cli(tmp_path, "list").stdout.startswith("contract")


def whole_run(home: Path, *flags: str) -> tuple[Result, str]:
    """A run in which things pass, fail, are missing and are not run, with every record it can make."""
    shapes = ("rows", "yaml", "jsonl", "junit", "markdown", "html")
    records = tuple(word for shape in shapes for word in ("--record", f"{shape}={home}/{shape}.out"))
    broken = gateway(chat_stream=reply(200, {CANARY: CANARY, "error": CANARY}), responses=HEALTHY["nothing"], embeddings=reply(500, CANARY))
    with serving(broken) as url:
        result = cli(home, "run", "--base-url", url, "--model", "m", "--model-for", "embeddings=m", *records, *flags)
    return result, url


def test_every_record_has_the_fields_of_its_template_and_none_is_empty(tmp_path: Path) -> None:
    result, _ = whole_run(tmp_path, "--support-url", "https://help.test/x", "--docs-url", "https://docs.test/chat")
    assert result.exit_code == 1, result.output
    rows = [json.loads(line) for line in (tmp_path / "rows.out").read_text().splitlines()]
    assert {tuple(row) for row in rows} == {Row.__struct_fields__} and {row["outcome"] for row in rows} == {"pass", "fail"}
    yaml = (tmp_path / "yaml.out").read_text()
    assert re.findall(r"^  (\w+): ", yaml, re.MULTILINE) == list(SmokeTestRun.__struct_fields__)
    lines = [json.loads(line) for line in (tmp_path / "jsonl.out").read_text().splitlines()]
    assert {line["event"] for line in lines} == {"case", "not_run", "run"} and lines[-1]["verdict"] == "contract_broken"
    suite = ET.fromstring((tmp_path / "junit.out").read_text())
    assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure")) == 2
    assert int(suite.attrib["tests"]) == len(suite.findall("testcase")) and suite.findall("testcase/skipped")
    html = (tmp_path / "html.out").read_text()
    assert "<script" not in html and "Contract details to verify" in html


def test_the_report_hands_over_all_that_the_next_person_needs(tmp_path: Path) -> None:
    whole_run(tmp_path, "--support-url", "https://help.test/x", "--docs-url", "https://docs.test/chat")
    text = (tmp_path / "markdown.out").read_text()
    assert f"| {' | '.join(COLUMNS)} |" in text
    table = text.partition("## Contract details to verify")[2].partition("\n## ")[0]
    areas = [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[4:] if line.startswith("|")]
    assert areas == [
        "Base URL", "Endpoint path", "HTTP method", "Authentication", "Required request fields", "Optional request fields",
        "Response shape", "Error shape", "Responses path and method", "Responses shape", "Compatibility scope", "Support escalation",
    ]  # fmt: skip
    assert table.count("https://docs.test/chat") == 12 and "https://help.test/x" in table
    for part in (
        "| Command | ",
        "| Version | halley ",
        "## Contracts run",
        "## Contracts not run, and why",
        "## What this run does not prove",
    ):
        assert part in text
    assert "responses-stream | responses comes first and did not pass" in text
    kept_run = cli(tmp_path, "report", "last", "--shape", "markdown").stdout
    assert kept_run == text


def test_no_key_prompt_or_body_is_in_any_output_or_record_and_no_key_in_any_file(tmp_path: Path) -> None:
    result, _ = whole_run(tmp_path)
    texts = [result.output, *((tmp_path / f"{shape}.out").read_text() for shape in ("rows", "yaml", "jsonl", "junit", "markdown", "html"))]
    texts += [path.read_text() for path in (tmp_path / "evidence").rglob("run.json")]
    for text in texts:
        for canary in (GOOD_KEY, CANARY, "Respond with", "get_weather\\", "invalid-token"):
            assert canary not in text
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".txt" for path in files)
    assert not [path for path in files if GOOD_KEY.encode() in path.read_bytes()]


@pytest.mark.parametrize("spelled", ["plain", "quoted", "base64", "split"])
def test_a_key_that_the_server_echoes_is_masked_however_it_is_spelled(spelled: str, tmp_path: Path) -> None:
    import base64

    forms = {
        "plain": GOOD_KEY, "quoted": GOOD_KEY.replace("-", "%2D"), "base64": base64.b64encode(f"u:{GOOD_KEY}".encode()).decode(),
        "split": f"{GOOD_KEY[:13]}\n{GOOD_KEY[13:]}",
    }  # fmt: skip
    with serving(gateway(chat=reply(400, {"error": {"message": forms[spelled], "param": forms[spelled]}}))) as url:
        result = cli(tmp_path, "run", "--base-url", url, "--model", "m", "--contract", "chat")
    (file,) = (tmp_path / "evidence").rglob("*.txt")
    assert forms[spelled] not in result.output + file.read_text() and GOOD_KEY[:13] not in file.read_text()


def test_the_support_address_comes_from_the_configuration_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "halley.toml").write_text('[contract]\nsupport_url = "https://help.test/y"\n')
    monkeypatch.chdir(tmp_path)
    with serving(gateway()) as url:
        cli(tmp_path, "run", "--base-url", url, "--model", "m", "--contract", "chat")
    assert "https://help.test/y" in cli(tmp_path, "report").stdout


def test_the_command_is_kept_without_what_looks_like_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["halley", "contract", "run", "--field", f"user={GOOD_KEY}", "--model", "m"])
    with serving(gateway()) as url:
        made = json.loads(cli(tmp_path, "run", "--base-url", url, "--model", "m", "--contract", "chat", "--json").stdout)
    assert made["command"].startswith("halley contract run --field ") and GOOD_KEY not in made["command"]


@pytest.mark.parametrize(
    "flags, told",
    [
        (("--contract", "nope"), "there is no contract 'nope'"),
        (("--model-for", "image"), "--model-for takes KIND=ID"),
        (("--field", "temperature=hot"), "--field takes NAME=JSON"),
        (("--record", "pdf=x"), "--record takes rows=FILE"),
        (("--key-env", "sk-abc"), "--key-env takes the name of a variable"),
        (("--without", "chat", "--profile", "chat"), "nothing is left to check"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_is_sent(flags: tuple[str, ...], told: str, tmp_path: Path) -> None:
    result = cli(tmp_path, "run", "--base-url", "http://127.0.0.1:1", "--model", "m", *flags)
    assert result.exit_code == 2 and told in result.stderr and not kept(tmp_path)
