"""`halley reload`: asks the running gateway of this home to read its configuration and code anew, and waits for what comes of it."""

from __future__ import annotations

import os
import signal
import sys
import time

import click

from halley.config import home
from halley.errors import HalleyError
from halley.supervise.doors import status

_PATIENCE_S = 120.0


class NoGateway(HalleyError):
    """There is none to reload, or none that answers."""


@click.command()
def reload() -> None:
    """Let the running gateway take up a changed configuration and a new version, one relay after the other. Exit code 1 when it refuses."""
    place = home(os.environ)
    before = status(place)
    if before is None:
        raise NoGateway(f"No gateway runs on {place}; start one with `halley up`, or set HALLEY_HOME to that of the running one.")
    try:
        os.kill(before.pid, signal.SIGHUP)
    except PermissionError:
        raise NoGateway(f"The gateway belongs to another user; run this command as the user who runs process {before.pid}.") from None
    patience = time.monotonic() + _PATIENCE_S
    while (now := status(place)) is None or now.reloads == before.reloads:
        if now is None and not (place / "up.json").exists():
            raise NoGateway("The gateway has ended.")
        if time.monotonic() > patience:
            raise NoGateway(f"The gateway has not finished in {_PATIENCE_S:g} s; its own output says what it waits for.")
        time.sleep(0.05)
    if now.refused:
        click.echo(now.refused, err=True)
        click.echo("The reload was refused; everything goes on as before.", err=True)
        sys.exit(1)
    click.echo(f"Reloaded: {now.url}", err=True)
