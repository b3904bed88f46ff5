"""The `halley` command: a table of commands whose modules are imported when they are called, never before.

`halley --help` reads the table only, so that it answers at once and works where the server's dependencies are not installed.
"""

from __future__ import annotations

import importlib
import sys
from typing import NamedTuple

import click

from halley import __version__
from halley.errors import HalleyError


class Entry(NamedTuple):
    """One line of the table: the module under `halley.cli`, the click command in it, and what `--help` says."""

    module: str
    attribute: str
    help: str


COMMANDS: dict[str, Entry] = {
    "up": Entry("up", "up", "Start the gateway and keep it running."),
    "reload": Entry("reload", "reload", "Let the running gateway take up changes."),
    "keys": Entry("keys", "keys", "Create, list, change, rotate and revoke keys."),
    "teams": Entry("teams", "teams", "Put keys together, for a budget together."),
    "budgets": Entry("budgets", "budgets", "Limit what accounts, teams, keys and end users spend."),
    "users": Entry("users", "users", "Say who may act for an account."),
    "tokens": Entry("tokens", "tokens", "Create, list and revoke personal access tokens."),
    "accounts": Entry("accounts", "accounts", "Create and show accounts."),
    "credit": Entry("credit", "credit", "Give an account credit, or make it unlimited."),
    "balance": Entry("balance", "balance", "Show what an account can still spend."),
    "logs": Entry("logs", "logs", "Show requests and what became of them."),
    "models": Entry("models", "models", "List the models in force and their prices."),
    "smoke": Entry("smoke", "smoke", "Prove that an API keeps the chat contract."),
    "contract": Entry("contract", "contract", "Prove every surface of an API; tell two runs or endpoints apart."),
    "doctor": Entry("doctor", "doctor", "Look for what would keep Halley from working."),
    "config": Entry("config", "config", "Check the configuration."),
    "secrets": Entry("secrets", "secrets", "Rotate the master key of the store."),
    "import": Entry("imports", "imports", "Take over what another gateway is configured with."),
    "ledger": Entry("ledger", "ledger", "Prove that ledger entries and balances agree."),
    "migrate": Entry("migrate", "migrate", "Bring the store to this version's schema."),
    "backup": Entry("backup", "backup", "Copy the store while it is in use, and prove the copy."),
    "move": Entry("move", "move", "Move the store from SQLite to PostgreSQL."),
    "simulate": Entry("simulate", "simulate", "Run a scripted upstream for tests."),
}


class Commands(click.Group):
    """A click group over the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        try:
            module = importlib.import_module(f"halley.cli.{entry.module}")
        except ModuleNotFoundError as fault:
            raise click.ClickException(_missing(cmd_name, fault.name or "")) from None
        command: click.Command = getattr(module, entry.attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


def _missing(command: str, module: str) -> str:
    if module.startswith("halley"):
        return f"`halley {command}` is not part of this installation ({module} is missing)."
    return f'`halley {command}` needs the server\'s dependencies ({module} is missing): install "halley[server]" or use script/server.'


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="halley")
def halley() -> None:
    """One key and one base URL for every AI model, with exact accounting."""


def main() -> None:
    """The console entry: what Halley raises on purpose becomes a line on standard error and exit code 1. Keys in it are hidden."""
    from halley import logs

    logs.adopt()
    try:
        halley.main(prog_name="halley")
    except HalleyError as fault:
        for line in str(fault).splitlines():
            click.echo(f"halley: {line}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
