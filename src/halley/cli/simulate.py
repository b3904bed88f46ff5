"""`halley simulate`: the scripted upstream on a port of its own, for tests of gateways and clients."""

from __future__ import annotations

import json
from pathlib import Path

import click

from halley.simulator.run import run
from halley.simulator.script import Scripts, read_file
from halley.simulator.upstream import Upstream, listen


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=4199, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option("--script", type=click.Path(path_type=Path, exists=True, dir_okay=False), help='TOML file with [models."NAME"] tables.')
@click.option("--require-key", metavar="KEY", help="Refuse every other key.")
@click.option("--json", "as_json", is_flag=True, help='Print {"url": …} in one line when ready (the default prints the same).')
def simulate(host: str, port: int, script: Path | None, require_key: str | None, as_json: bool) -> None:
    """Run a scripted upstream for tests. Faults are spelled in the model's name: sim/tokens-200+slow-50ms+cut-at-512."""
    upstream = Upstream(scripts=Scripts(read_file(script) if script is not None else {}), require_key=require_key)
    try:
        listening = listen(host, port)
    except OSError as fault:
        raise click.ClickException(f"Cannot listen on {host}:{port}: {fault.strerror}. Another --port may be free.") from fault

    def ready(serving: Upstream) -> None:
        click.echo(json.dumps({"url": serving.url}))
        if not as_json:
            click.echo("Serving sim/* models; Ctrl-C ends it.", err=True)

    run(upstream, listening, ready, grace_s=0.0)
