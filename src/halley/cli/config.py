"""`halley config`: says whether the configuration can be used. It never shows a value that may be a secret."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import click
import msgspec

from halley.cli.settings import read, without_effect
from halley.config import ConfigError, Settings, find, resolve_secret


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
    file = ""
    try:
        file = str(find(path, os.environ, Path.cwd()) or "")
        settings = read(path)
        problems = tuple(unresolved(settings))
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


def unresolved(settings: Settings) -> Iterable[str]:
    """One line for each secret reference of the settings that leads to nothing."""
    references = [
        (f"[[providers]] {each.name} api_key", key) for each in settings.providers if each.enabled for key in (each.api_key, *each.api_keys)
    ]
    references += [(f"[[keys]] {each.name} key", each.key) for each in settings.keys]
    references.append(("[secrets] master_key", settings.secrets.master_key))
    for place, reference in references:
        if reference:
            try:
                resolve_secret(reference, os.environ)
            except ConfigError as fault:
                yield f"{place}: {fault}"
