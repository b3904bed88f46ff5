"""`halley up`: the node in the foreground. Takes the lock and the socket, hands them to the supervisor, and says where the gateway is."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import click
import msgspec

from halley.cli.settings import read, unmet, without_effect
from halley.config import ConfigError, Launch, Server, Settings, home, run_directory
from halley.simulator.run import raise_file_limit
from halley.supervise.child import Programs
from halley.supervise.doors import base_url, bind, home_directory, listening_socket, lock_home, port_of, private_directory
from halley.supervise.handover import Holdings, receive, rehearses, takes_over
from halley.supervise.supervisor import Supervisor

_BODY = '{"model":"local/docs-assistant","stream":true,"messages":[{"role":"user","content":"How do I create a key?"}]}'


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="The configuration file; else HALLEY_CONFIG, else ./halley.toml.")
@click.option("--host", help="The address to listen on.  [127.0.0.1]")
@click.option("--port", type=int, help="The port to listen on; 0 chooses a free one.  [4100]")
@click.option("--workers", type=int, help="How many relay processes to run.  [1]")
def up(config: Path | None, host: str | None, port: int | None, workers: int | None) -> None:
    """Start the gateway and keep it running until SIGTERM or Ctrl-C. SIGHUP reloads configuration and code without refusing anybody."""
    settings = Settings()
    if not takes_over():  # else the rehearsal has read and checked them
        settings = read(config, {"server.host": host, "server.port": port, "server.workers": workers})
        for setting in without_effect(settings):
            _say(f"halley: {setting} has no effect in this version.")
        if problems := unmet(settings, config):
            raise ConfigError(problems)
    sys.exit(run(Launch(settings, home=str(home(os.environ)), run="")))


def run(asked: Launch, programs: Programs | None = None) -> int:
    """The node until its end; the exit code. Of `asked`, what only the start can know (`run`, `local_url`, the port) is filled in here."""
    programs = programs or Programs()
    if rehearses():
        for module in (programs.control, programs.relay, programs.upstream):
            spec = find_spec(module)
            import_module(f"{module}.__main__" if spec is not None and spec.submodule_search_locations else module)
        sys.stdout.buffer.write(asked.pack())
        return 0
    raise_file_limit()  # the children inherit it: a stream at a relay is two descriptors
    place = Path(asked.home)
    before = receive(os.environ)
    if before is None:
        holdings = _hold(place, asked.settings.server)
    else:
        asked = msgspec.structs.replace(asked, settings=before.settings)
        holdings = Holdings.of(before.held)
    directory = run_directory(place)
    private_directory(directory)
    server = asked.settings.server
    url = base_url(holdings.listening, "https" if server.tls_cert else "http")
    port = port_of(holdings.listening)
    if server.port not in (0, port) and (before is not None or holdings.passed):
        _say(f"halley: the gateway stays on {url}; another port takes a new start.")
    launch = msgspec.structs.replace(
        asked,
        settings=msgspec.structs.replace(asked.settings, server=msgspec.structs.replace(server, port=port)),
        run=str(directory),
        local_url=f"{base_url(holdings.upstream, 'http')}/v1",
    )
    announce = _announcement(url, place / "starter-key")
    return Supervisor(launch, holdings, url=url, say=_say, announce=announce, before=before, programs=programs).run()


def _hold(place: Path, server: Server) -> Holdings:
    home_directory(place)
    lock = lock_home(place)
    listening, passed = listening_socket(server.host, server.port, os.environ)
    return Holdings(listening, passed, bind("127.0.0.1", 0), lock, os.pipe())


def _say(line: str) -> None:
    # Whoever read our lines may have left (a closed terminal, the end of a pipe); the node goes on.
    with contextlib.suppress(OSError):
        click.echo(line, err=True)


def _announcement(url: str, starter: Path) -> Callable[[], None]:
    halley = commands()

    def announce() -> None:
        _say(f"Halley serves on {url}/v1")
        _say(f"Commands: {halley}, such as {halley} keys create --name NAME")
        if not starter.exists():
            return
        key = f"$(cat {shlex.quote(str(starter))})"
        _say(f"The starter key is in {starter}. Try:\n")
        _say(f"""curl -N {url}/v1/chat/completions -H "Authorization: Bearer {key}" -H 'Content-Type: application/json' -d '{_BODY}'\n""")

    return announce


def commands() -> str:
    """How a reader of these lines calls Halley: a virtual environment's script is seldom on the PATH."""
    script = Path(sys.executable).with_name("halley")
    if not script.exists():
        return f"{shlex.quote(sys.executable)} -m halley.cli.main"
    found = shutil.which("halley")
    if found and os.path.samefile(found, script):
        return "halley"
    return shlex.quote(str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script))
