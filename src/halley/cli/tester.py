"""What `halley smoke` and `halley contract` share: the options of a run, where its key comes from, the run itself, and records in files.

No flag takes a key. Data goes to standard output, talk and progress to standard error.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shlex
import sys
import textwrap
import tomllib
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO, TypeVar

import click
import msgspec

from halley import config
from halley.contract import addresses, drift, extra, findings, keep, profiles, reports, runner
from halley.contract.drift import Baseline
from halley.contract.findings import Finding
from halley.contract.proxies import VARIABLES
from halley.contract.records import Run, lines, yaml
from halley.contract.session import Plan
from halley.contract.surroundings import MOCK
from halley.redaction import Redactor, is_variable
from halley.secret import Secret

KEY_VARIABLES = ("COMETAPI_KEY", "COMET_API_KEY", "HALLEY_API_KEY")
OTHER_VARIABLES = ("COMETAPI_BASE_URL", "COMETAPI_MODEL", "HALLEY_CONTRACT_SUPPORT_URL", "HALLEY_CONTRACT_DOCS_URL", "HALLEY_HOME")
SHAPES = ("rows", "yaml", "jsonl", "junit", "markdown", "html")
INTERRUPTED = 130
"""The exit code of a run that a person stopped, as shells have it."""
KINDS = ("text", "embeddings", "image", "speech", "transcription", "video")
F = TypeVar("F", bound=Callable[..., Any])


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a run, as given."""

    base_url: str | None = None
    model: str | None = None
    profile: str = "chat"
    contract: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    model_for: tuple[str, ...] = ()
    field: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    key_env: str | None = None
    environment: addresses.Environment | None = None
    expect_provider: str = ""
    record: tuple[str, ...] = ()
    baseline: Path | None = None
    bisect: bool = False
    mock: bool = False
    allow_load: bool = False
    load: int = 40
    parallel: int = 4
    no_capture: bool = False
    timeout: float = 60.0
    task_timeout: float = 300.0
    support_url: str = ""
    docs_url: str = ""


_OPTIONS = (
    click.option("--base-url", envvar="COMETAPI_BASE_URL", help="API address, with or without /v1."),
    click.option("--model", envvar="COMETAPI_MODEL", help="Model id to ask; by default one from the endpoint's own list."),
    click.option("--profile", type=click.Choice(list(profiles.PROFILES)), help="Contracts to check.  [default: chat for smoke, else text]"),
    click.option("--contract", multiple=True, metavar="NAME", help="Check this contract (and what it waits for) instead of a profile."),
    click.option("--without", multiple=True, metavar="NAME", help="Leave a contract out."),
    click.option("--model-for", multiple=True, metavar="KIND=ID", help=f"Model for another kind: {', '.join(KINDS[1:])}."),
    click.option("--field", multiple=True, metavar="NAME=JSON", help="Add an optional field to the chat request, such as temperature=0.2."),
    click.option("--header", multiple=True, metavar="NAME=VALUE", help="Add a header field to each request; env:VARIABLE for a secret."),
    click.option("--key-env", metavar="NAME", help="Variable that holds the key."),
    click.option(
        "--environment", type=click.Choice(["staging", "production", "local"]), help="Recorded; by default local for loopback."
    ),
    click.option("--expect-provider", default="", metavar="NAME", help="Provider that must have answered."),
    click.option("--record", multiple=True, metavar="SHAPE=FILE", help=f"Also write to a file: {', '.join(SHAPES)}."),
    click.option(
        "--baseline", type=click.Path(path_type=Path, dir_okay=False), help="Fingerprints to compare with; written if there are none."
    ),
    click.option("--bisect", is_flag=True, help="If the request is rejected, find the optional field that is refused."),
    click.option("--mock", is_flag=True, help="Check the built-in simulator instead of a base URL: free, offline."),
    click.option("--allow-load", is_flag=True, help="Also send many requests at once, to see the rate limit."),
    click.option("--load", type=click.IntRange(10, 1000), default=40, show_default=True, help="How many requests --allow-load may send."),
    click.option("--parallel", type=click.IntRange(1, 16), default=4, show_default=True, help="Contracts checked at the same time."),
    click.option("--no-capture", is_flag=True, help="Keep no raw reply of a failed check."),
    click.option("--timeout", type=click.FloatRange(0.1, 3600), default=60.0, show_default=True, help="Seconds for each attempt."),
    click.option("--task-timeout", type=click.FloatRange(0.1, 86400), default=300.0, show_default=True, help="Seconds for a task."),
    click.option("--support-url", envvar="HALLEY_CONTRACT_SUPPORT_URL", default="", help="Where to turn to, in reports."),
    click.option("--docs-url", envvar="HALLEY_CONTRACT_DOCS_URL", default="", help="The endpoint's reference, in reports."),
)  # fmt: skip


def options(command: F) -> F:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


class Key(NamedTuple):
    secret: Secret
    source: str
    codes: list[str]
    """Of what is odd about where it came from."""


def take_key(named: str | None) -> Key:
    """From the variable named, else from the first of the known ones that is set, else from standard input."""
    if named and not is_variable(named):
        raise click.UsageError("--key-env takes the name of a variable, such as OPENAI_API_KEY, never the key itself")
    held = [(name, os.environ[name]) for name in ((named,) if named else KEY_VARIABLES) if os.environ.get(name)]
    if held:
        name, text = held[0]
    elif not named and sys.stdin is not None and not sys.stdin.isatty():
        name, text = "stdin", sys.stdin.readline(65536).rstrip("\r\n")
    else:
        name, text = "", ""
    if not text.strip():
        if named:
            raise click.UsageError(f"no key: {named} is not set")
        raise click.UsageError(
            f"no key: set {KEY_VARIABLES[0]} (or {', '.join(KEY_VARIABLES[1:])}), name another variable with --key-env, "
            "or send the key on standard input"
        )
    if any(not " " <= character <= "~" and character != "\t" for character in text):
        raise click.UsageError(f"the key from {name} has a line break or another character that no header may hold")
    return Key(Secret(text), name, ["several-keys"] if len({value for _, value in held}) > 1 else [])


def _targets(values: tuple[str, ...]) -> list[tuple[str, Path]]:
    found: list[tuple[str, Path]] = []
    for value in values:
        shape, equals, path = value.partition("=")
        if shape not in SHAPES or not equals or not path:
            raise click.UsageError(f"--record takes {', '.join(f'{each}=FILE' for each in SHAPES)}")
        if not Path(path).absolute().parent.is_dir():
            raise click.UsageError(f"--record {shape}: the directory of that file does not exist")
        found.append((shape, Path(path)))
    return found


def _fields(values: tuple[str, ...]) -> dict[str, object]:
    found: dict[str, object] = {}
    for value in values:
        name, equals, text = value.partition("=")
        try:
            found[name] = msgspec.json.decode(text)
        except msgspec.DecodeError:
            name = ""
        if not equals or not name:
            raise click.UsageError("--field takes NAME=JSON, such as temperature=0.2 or user='\"me\"'")
    return found


def _models(values: tuple[str, ...]) -> dict[str, str]:
    pairs = [value.partition("=") for value in values]
    if any(kind not in KINDS or not name for kind, _, name in pairs):
        raise click.UsageError(f"--model-for takes KIND=ID with a kind of {', '.join(KINDS)}")
    return {kind: name for kind, _, name in pairs}


_LISTS = ("yaml", "rows", "jsonl")


def _record(path: Path, shape: str, text: str) -> None:
    """Lists grow; a document takes the place of the one before, since two in one file are none. OSError if not all could be written."""
    # One write to a file opened for appending keeps the records of parallel runs whole.
    how, raw = (os.O_APPEND if shape in _LISTS else os.O_TRUNC), text.encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o644)
    try:
        if os.write(descriptor, raw) < len(raw):
            raise OSError("the device is full")
    finally:
        os.close(descriptor)


def render(run: Run, shape: str) -> str:
    match shape:
        case "yaml":
            return "---\n" + yaml(run.smoke_test_run)
        case "rows":
            return lines(run.rows)
        case "jsonl":
            return reports.json_lines(run)
        case "junit":
            return reports.junit(run)
        case "html":
            return reports.html(run)
        case _:
            return reports.markdown(run)


_WIDTH = 100


def fitted(text: str) -> str:
    """Each line in at most 100 columns, where its words allow it; what goes on is indented."""
    wrap = functools.partial(textwrap.fill, width=_WIDTH, break_long_words=False, break_on_hyphens=False, replace_whitespace=False)
    lines = text.splitlines()
    return "\n".join(
        wrap(line, subsequent_indent=" " * (len(line) - len(line.lstrip()) + 2)) if len(line) > _WIDTH else line for line in lines
    )


def is_terminal(stream: TextIO | None) -> bool:
    """A stream that was closed before the start is None."""
    return stream is not None and stream.isatty()


def say(text: str) -> None:
    """Talk: one line for a log, lines that fit for a person. Where nobody can listen any more, the run goes on."""
    with contextlib.suppress(OSError):
        click.echo(fitted(text) if is_terminal(sys.stderr) else text, err=True)


def put(text: str) -> list[Finding]:
    """Writes a result to standard output. A reader who has read enough is no fault; what could not be written is a finding."""
    try:
        click.echo(text, nl=False)
    except OSError as fault:
        # What is still in the buffer goes nowhere: Python would fail over it once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(fault, BrokenPipeError):
            say("record-failed: standard output could not be written")
            return [findings.finding("record-failed")]
    return []


def explained(run: Run) -> list[str]:
    """What is behind the verdict and what to do about it, as lines; none on a go."""
    found = next((each for each in run.findings if each.code == run.diagnosis), None)
    return [f"{found.code}: {found.cause}", f"  fix: {found.fix}"] if found else []


def progress(done: int, total: int, name: str) -> None:
    """One line that is written over; for people at a terminal that can do that."""
    if is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb" and total > 1:
        click.echo(f"\r\x1b[K[{done}/{total}] {name}" + ("\r\x1b[K" if done == total else ""), err=True, nl=False)


def _settings() -> Mapping[str, object]:
    """`[contract]` of the configuration file, if there is one. A file that cannot be read is the business of `halley config check`."""
    try:
        path = config.find(None, os.environ, Path.cwd())
        return tomllib.loads(path.read_text(encoding="utf-8-sig")).get("contract", {}) if path else {}
    except (config.ConfigError, OSError, ValueError):
        return {}


def plan_of(asked: Asked, key: Key, home: Path, profile: str) -> Plan:
    """Raises click.UsageError for what cannot be run."""
    try:
        base = addresses.check_base(asked.base_url or "")
    except addresses.BadBase as error:
        raise click.UsageError(str(error)) from None
    unknown = [name for name in (*asked.contract, *asked.without) if name not in profiles.CONTRACTS]
    if unknown:
        raise click.UsageError(f"there is no contract {unknown[0]!r}; `halley contract list` names them")
    names = profiles.select(profile, asked.contract, asked.without)
    if not names:
        raise click.UsageError("nothing is left to check")
    try:
        headers = tuple(extra.header(each, os.environ) for each in asked.header)
    except extra.BadHeader as error:
        raise click.UsageError(str(error)) from None
    settings = _settings()
    support, reference = asked.support_url or settings.get("support_url"), asked.docs_url or settings.get("docs_url")
    command = Redactor(key.secret).clean(shlex.join(["halley", *extra.command(sys.argv[1:])]))
    environment = asked.environment or ("local" if addresses.is_local(base) else "production")
    return Plan(
        base=base, key=key.secret, key_source=key.source, environment=environment,
        timeout_s=asked.timeout, home=home, capture=not asked.no_capture,
        profile="named contracts" if asked.contract else profile, contracts=names,
        explicit=bool(asked.contract), model=asked.model or "", named=_models(asked.model_for), fields=_fields(asked.field),
        headers=headers, proxies={} if asked.mock else {name: os.environ[name] for name in VARIABLES if name in os.environ},
        provider=asked.expect_provider, bisect=asked.bisect, allow_load=asked.allow_load, load=asked.load, parallel=asked.parallel,
        task_timeout_s=asked.task_timeout, command=command, support_url=str(support or ""),
        docs_url=str(reference or ""),
        variables=tuple(name for name in (key.source, *(each.variable for each in headers), *OTHER_VARIABLES) if os.environ.get(name)),
    )  # fmt: skip


def reserve(home: Path) -> str:
    try:
        return keep.reserve_run(home)
    except OSError:
        say("HALLEY_HOME is not writable: a run could not be numbered nor its evidence kept")
        raise SystemExit(findings.MISSING) from None


def carry_out(asked: Asked, profile: str, key: Key | None = None) -> Run:
    """One whole run: endpoint or simulator, the records in files, the kept record. Raises click.UsageError before anything is sent."""
    targets, before = _targets(asked.record), _baseline(asked.baseline)
    if asked.mock:
        return _finish(asked, _awaited(_mocked(asked, profile)), targets, before)
    if not asked.base_url:
        raise click.UsageError("no base URL: give --base-url https://HOST/v1 or set COMETAPI_BASE_URL (or try --mock)")
    home = config.home(os.environ)
    key = key or take_key(asked.key_env)
    plan = plan_of(asked, key, home, profile)
    run_id = reserve(home)
    return _finish(asked, _awaited(runner.run(plan, run_id, say, key.codes, progress)), targets, before)


def _awaited(running: Coroutine[Any, Any, Run]) -> Run:
    """The run, unless a person stops it: half a run is no verdict, whatever was seen by then."""
    try:
        return asyncio.run(running)
    except KeyboardInterrupt:
        say("\ninterrupted: no verdict; nothing of this run is recorded")
        raise SystemExit(INTERRUPTED) from None


async def _mocked(asked: Asked, profile: str) -> Run:
    """The same run against a simulator of its own, whose key nobody else knows."""
    import secrets

    from halley.simulator.script import Scripts
    from halley.simulator.upstream import Upstream, listen

    key = Key(Secret(f"sk-mock-{secrets.token_hex(12)}"), MOCK, [])
    upstream = Upstream(scripts=Scripts({}), require_key=key.secret.reveal())
    await upstream.start(listen("127.0.0.1", 0))
    try:
        model = asked.model or "sim/echo"
        models = (*(f"{kind}={model}" for kind in KINDS), *asked.model_for)
        mocked = msgspec.structs.replace(asked, base_url=upstream.url, model=model, model_for=models)
        home = config.home(os.environ)
        plan = plan_of(mocked, key, home, profile)
        return await runner.run(plan, reserve(home), say, (), progress)
    finally:
        await upstream.close()


def _finish(asked: Asked, run: Run, targets: list[tuple[str, Path]], before: Baseline | None) -> Run:
    """Compares with the baseline, writes the records and keeps the run; what fails here is a finding of the run too."""
    more: list[str] = []
    if asked.baseline is not None:
        run = _against(asked.baseline, before, run)
    for shape, path in targets:
        try:
            _record(path, shape, render(run, shape))
        except OSError:
            more.append("record-failed")
            say(f"record-failed: the {shape} record could not be written")
    try:
        keep.save(config.home(os.environ), run)
    except OSError:
        more.append("record-failed")
        say("record-failed: the run could not be kept under HALLEY_HOME")
    return run.with_findings([findings.finding(code) for code in dict.fromkeys(more)])


def _baseline(path: Path | None) -> Baseline | None:
    """What a run is compared with, None if it is to be written. Raises click.UsageError before anything is sent."""
    if path is None:
        return None
    try:
        return drift.read(path.read_bytes())
    except FileNotFoundError:
        if not path.absolute().parent.is_dir():
            raise click.UsageError(f"--baseline {path}: the directory of that file does not exist") from None
        return None
    except OSError as fault:
        raise click.UsageError(f"--baseline {path}: {fault.strerror}") from None
    except drift.BadBaseline as fault:
        raise click.UsageError(f"--baseline {path}: {fault}") from None


def _against(path: Path, before: Baseline | None, run: Run) -> Run:
    if before is not None:
        found = drift.compare(before, run)
        for each in found:
            say(f"{each.code}: {each.cause}. Fix: {each.fix}.")
        return run.with_findings(found)
    passed = sum(each.result == "pass" for each in run.outcomes)
    if not passed:
        say(f"no baseline is written to {path}: nothing passed")
        return run
    try:
        path.write_bytes(drift.baseline(run))
    except OSError:
        say(f"record-failed: the baseline could not be written to {path}")
        return run.with_findings([findings.finding("record-failed")])
    say(f"the baseline of the {passed} cases that passed is written to {path}")
    return run
