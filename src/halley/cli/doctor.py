"""`halley doctor`: looks for what would keep Halley from working and says how to put it right. It changes nothing, sends no credential."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import msgspec

from halley.cli.probes import Finding, gateway_findings, provider_findings
from halley.cli.settings import read, unmet
from halley.config import ConfigError, Settings, find, home, run_directory
from halley.supervise.doors import status

SERVER_PACKAGES = ("uvloop", "httptools", "uvicorn", "starlette", "sqlalchemy", "pg8000", "alembic", "cryptography", "markdown-it-py")
PRIVATE_FILES = ("master.key", "starter-key")
_GIB = 1024**3


class Diagnosis(msgspec.Struct, frozen=True):
    """What `--json` prints; `ok` is false when one finding has the state "fail"."""

    ok: bool
    findings: tuple[Finding, ...]


@click.command()
@click.option("--config", "path", type=click.Path(path_type=Path), help="The configuration file, as for `halley up`.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def doctor(path: Path | None, as_json: bool) -> None:
    """Check installation, home, configuration, port, processes, providers, clock and disk. Exit code 1 when something would fail."""
    diagnosis = diagnose(path)
    if as_json:
        click.echo(msgspec.json.encode(diagnosis))
    else:
        for finding in diagnosis.findings:
            click.echo(f"{finding.state:<5} {finding.check:<14} {finding.detail}")
            if finding.fix:
                click.echo(f"{'':<20} -> {finding.fix}")
    sys.exit(0 if diagnosis.ok else 1)


def diagnose(path: Path | None) -> Diagnosis:
    place = home(os.environ)
    findings = [*_python(), *_packages(), *_home(place), *_disk(place)]
    try:
        settings = read(path)
    except ConfigError as fault:
        findings += [Finding("configuration", "fail", problem, "see docs/settings.md") for problem in fault.problems]
    else:
        findings += [*_configuration(path, settings), *_gateway(place, settings), *provider_findings(settings)]
    return Diagnosis(all(finding.state != "fail" for finding in findings), tuple(findings))


def _gateway(place: Path, settings: Settings) -> Iterator[Finding]:
    """The gateway of this home, which may have been started with another port than the one that is configured here."""
    serving = status(place)
    if serving is not None:
        settings = msgspec.structs.replace(settings, server=msgspec.structs.replace(settings.server, port=serving.port))
    yield from gateway_findings(settings, run_directory(place))


def _python() -> Iterator[Finding]:
    # No comparison: on an older Python this module would not have been imported. The version is here for whoever reads a report.
    yield Finding("python", "ok", f"{'.'.join(map(str, sys.version_info[:3]))} at {sys.executable}")


def _packages() -> Iterator[Finding]:
    versions: dict[str, str] = {}
    for package in SERVER_PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            yield Finding("packages", "fail", f"{package} is not installed", 'run script/server, or install "halley[server]"')
    if len(versions) == len(SERVER_PACKAGES):
        yield Finding("packages", "ok", ", ".join(f"{package} {version}" for package, version in versions.items()))


def _home(place: Path) -> Iterator[Finding]:
    if not place.is_dir():
        parent = next(each for each in place.parents if each.exists())
        if parent.is_dir() and os.access(parent, os.W_OK):
            yield Finding("home", "ok", f"{place} will be made at the first start")
        else:
            yield Finding("home", "fail", f"{place} cannot be made: {parent} is not writable", "set HALLEY_HOME to a directory of your own")
        return
    yield from _privacy(place, 0o700)
    for name in PRIVATE_FILES:
        if (place / name).exists():
            yield from _privacy(place / name, 0o600)


def _privacy(path: Path, wanted: int) -> Iterator[Finding]:
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if not os.access(path, os.R_OK | (os.W_OK if path.is_dir() else 0)):
        yield Finding("home", "fail", f"{path} is not accessible for this user", f"run as its owner (uid {status.st_uid})")
    elif mode & ~wanted:
        yield Finding("home", "fail", f"{path} is open to others (mode {mode:o})", f"chmod {wanted:o} {path}")
    else:
        yield Finding("home", "ok", f"{path} (mode {mode:o})")


def _disk(place: Path) -> Iterator[Finding]:
    near = next(each for each in (place, *place.parents) if each.exists())
    free = shutil.disk_usage(near).free
    detail = f"{free / _GIB:.1f} GiB free at {near}"
    if free < _GIB // 10:
        yield Finding("disk", "fail", detail, "the journal cannot be written on a full disk: make room")
    elif free < _GIB:
        yield Finding("disk", "warn", detail, "make room before the journal and the store need it")
    else:
        yield Finding("disk", "ok", detail)


def _configuration(path: Path | None, settings: Settings) -> Iterable[Finding]:
    broken = [Finding("configuration", "fail", problem, "see docs/settings.md") for problem in unmet(settings, path)]
    source = find(path, os.environ, Path.cwd()) or "no file, environment and defaults only"
    enabled = [provider.name for provider in settings.providers if provider.enabled]
    summary = f"{source}; providers: {', '.join(enabled) or 'none, the local models only'}"
    return broken or [Finding("configuration", "ok", summary)]
