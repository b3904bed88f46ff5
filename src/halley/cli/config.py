"""`halley config`: says whether the configuration can be used. It never shows a value that may be a secret."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import msgspec

from halley.cli.settings import read, unmet, without_effect
from halley.config import ConfigError, find


class Verdict(msgspec.Struct, frozen=True):
    """What `--json` prints. `file` is empty when there is none; `problems` are lines for a person."""

    ok: bool
    file: str
    problems: tuple[str, ...]


@click.group()
def config() -> None:
    """Check the configuration."""


@config.command()
@click.option("--config", "path", type=click.Path(path_type=Path), help="The file to check instead of the one that `halley up` would read.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(path: Path | None, as_json: bool) -> None:
    """Read file and environment as `halley up` would and name every mistake. Exit code 0 when there is none, else 1."""
    file = str(path or os.environ.get("HALLEY_CONFIG", ""))
    try:
        file = str(find(path, os.environ, Path.cwd()) or "")
        settings = read(path)
        problems = unmet(settings, path)
        for setting in without_effect(settings):
            click.echo(f"note: {setting} has no effect in this version.", err=True)
    except ConfigError as fault:
        problems = fault.problems
    if as_json:
        click.echo(msgspec.json.encode(Verdict(not problems, file, problems)))
    else:
        for problem in problems:
            click.echo(problem)
        source = file or "no file, environment and defaults only"
        click.echo(f"{source}: {'ok' if not problems else f'{len(problems)} to put right'}", err=True)
    sys.exit(1 if problems else 0)
