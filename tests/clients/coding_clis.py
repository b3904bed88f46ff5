"""The coding CLIs under test, as a person would point them at a gateway; nothing here knows what must come of it.

Each runs in a home of its own, without a terminal, a sandbox or an update, and talks to the gateway alone. `script/clients` makes their
environment from `cli/package-lock.json`.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from .environments import environment_of

RUN_SECONDS = 120
# The model for what a CLI asks beside its conversation, at the same provider.
SIDE = "no-tools+echo"


class Gate(NamedTuple):
    """A gateway and a key for it. `url` is its root, without `/v1`."""

    url: str
    key: str


class Tool(NamedTuple):
    """One of the CLI's own: its name, and what the model is to call it with, with a {file} and perhaps a {text} in it."""

    name: str
    arguments: str


class Job(NamedTuple):
    """One run. `resumed`: the last conversation of this home goes on."""

    gate: Gate
    model: str
    home: Path
    prompt: str
    resumed: bool = False

    @property
    def place(self) -> Path:
        """Where the CLI works."""
        return self.home / "work"


class Ran(NamedTuple):
    """What a run left behind. `said` is the model's last words, `error` what the CLI says went wrong."""

    code: int
    said: str
    error: str


class Cli(NamedTuple):
    """`writes` makes a file and `looks` shows a picture to the model. `start` is the command line and the environment, `end` what was said
    and what went wrong, of the two outputs."""

    name: str
    dialect: str
    writes: Tool
    looks: Tool
    start: Callable[[Job], tuple[list[str], dict[str, str]]]
    end: Callable[[Job, str, str], tuple[str, str]]


def _claude(job: Job) -> tuple[list[str], dict[str, str]]:
    command = ["@anthropic-ai/claude-code/cli-wrapper.cjs", "-p", job.prompt, "--allowedTools", "Write,Read", "--output-format", "json"]
    return [*command, *(["--continue"] if job.resumed else [])], {
        "ANTHROPIC_BASE_URL": job.gate.url,
        "ANTHROPIC_AUTH_TOKEN": job.gate.key,
        "ANTHROPIC_MODEL": job.model,
        "ANTHROPIC_DEFAULT_HAIKU_MODEL": f"{job.model.partition('/')[0]}/{SIDE}",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK": "1",
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "DISABLE_AUTOUPDATER": "1",
    }


def _claude_ended(job: Job, out: str, err: str) -> tuple[str, str]:
    found: dict[str, Any] = json.loads(out)
    return (found["result"], "") if not found["is_error"] else ("", found["result"])


CODEX_CONFIG = """
model = "{model}"
model_provider = "halley"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.halley]
name = "Halley"
base_url = "{url}/v1"
env_key = "HALLEY_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
"""


def _codex(job: Job) -> tuple[list[str], dict[str, str]]:
    (job.home / ".codex").mkdir(exist_ok=True)
    (job.home / ".codex" / "config.toml").write_text(CODEX_CONFIG.format(model=job.model, url=job.gate.url))
    flags = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--json", "-o", str(job.home / "last.txt")]
    verb = ["exec", "resume", "--last"] if job.resumed else ["exec"]
    return ["@openai/codex/bin/codex.js", *verb, *flags, job.prompt], {"HALLEY_KEY": job.gate.key}


def _codex_ended(job: Job, out: str, err: str) -> tuple[str, str]:
    last = job.home / "last.txt"
    events = [json.loads(line) for line in out.splitlines()]
    failed = [event["error"]["message"] for event in events if event["type"] == "turn.failed"]
    return last.read_text() if last.exists() else "", "\n".join(failed)


GEMINI_SETTINGS = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "general": {"maxAttempts": 1, "enableAutoUpdate": False},
}


def _gemini(job: Job) -> tuple[list[str], dict[str, str]]:
    (job.home / ".gemini").mkdir(exist_ok=True)
    (job.home / ".gemini" / "settings.json").write_text(json.dumps(GEMINI_SETTINGS))
    command = ["@google/gemini-cli/bundle/gemini.js", "-m", job.model, "--yolo", "-p", job.prompt, "--output-format", "json"]
    command += ["--resume", "latest"] if job.resumed else []
    return command, {"GOOGLE_GEMINI_BASE_URL": job.gate.url, "GEMINI_API_KEY": job.gate.key, "GEMINI_CLI_TRUST_WORKSPACE": "true"}


def _gemini_ended(job: Job, out: str, err: str) -> tuple[str, str]:
    # Its report stands in the one output when all is well, and in the other, behind its warnings, when it is not.
    text = out if out.strip() else err
    found: dict[str, Any] = json.loads(text[text.index("\n{\n") if not text.startswith("{") else 0 :])
    return found.get("response", ""), found.get("error", {}).get("message", "")


_FILE_PATH = '{{"file_path": "{file}"}}'
_FILE_AND_TEXT = '{{"file_path": "{file}", "content": "{text}"}}'
CLIS = (
    Cli("claude", "messages", Tool("Write", _FILE_AND_TEXT), Tool("Read", _FILE_PATH), _claude, _claude_ended),
    Cli(
        "codex",
        "responses",
        Tool("exec_command", '{{"cmd": "printf {text} > {file}"}}'),
        Tool("view_image", '{{"path": "{file}"}}'),
        _codex,
        _codex_ended,
    ),
    Cli("gemini", "gemini", Tool("write_file", _FILE_AND_TEXT), Tool("read_file", _FILE_PATH), _gemini, _gemini_ended),
)


def environment() -> tuple[str, Path]:
    """The Node and the packages that the CLIs run on."""
    runtime, directory = environment_of("cli")
    return runtime, directory / "node_modules"


def run(cli: Cli, job: Job) -> Ran:
    """Lets the CLI do the job, to its end. Never longer than RUN_SECONDS."""
    runtime, packages = environment()
    job.place.mkdir(exist_ok=True)
    (entry, *arguments), variables = cli.start(job)
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [runtime, str(packages / entry), *arguments],
            env={"PATH": f"{Path(runtime).parent}:/usr/bin:/bin", "HOME": str(job.home), "TMPDIR": scratch, "LANG": "C.UTF-8", **variables},
            cwd=job.place,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )
    try:
        said, error = cli.end(job, done.stdout, done.stderr)
    except (ValueError, KeyError) as fault:
        pytest.fail(f"{cli.name} ended with {done.returncode}, {fault!r}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}", pytrace=False)
    return Ran(done.returncode, said, error)
