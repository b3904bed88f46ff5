"""`halley keys`: create, list, rotate and revoke client keys. The text of a key goes to standard output once and is stored nowhere."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec

from halley.cli.door import ask

if TYPE_CHECKING:
    from halley.control.asks import NewKey

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def keys() -> None:
    """Create, list, rotate and revoke keys."""


@keys.command()
@click.option("--name", required=True, help="What the key is for; unique among live keys.")
@click.option("--account", default="default", show_default=True, help="Whose credit it spends.")
@click.option("--models", help="Comma-separated model ids; without it, every model.")
@click.option("--ips", help="Comma-separated addresses or networks that may use it; without it, all.")
@click.option("--rpm", type=click.IntRange(1), help="Requests a minute.")
@click.option("--tpm", type=click.IntRange(1), help="Tokens a minute.")
@click.option("--concurrency", type=click.IntRange(1), help="Requests at the same time.")
@click.option("--expires", help="ISO date or time (UTC unless it says otherwise), such as 2027-01-31.")
@_JSON
def create(
    name: str,
    account: str,
    models: str | None,
    ips: str | None,
    rpm: int | None,
    tpm: int | None,
    concurrency: int | None,
    expires: str | None,
    as_json: bool,
) -> None:
    """Make a key and show it, this once."""
    from halley.control.asks import CreateKey, NewKey
    from halley.control.plan import expiry, networks
    from halley.store.values import Limits

    try:
        expires_at = expiry(expires) if expires is not None else None
        allowed = networks(_listed(ips))
    except ValueError as fault:
        raise click.UsageError(str(fault)) from None
    limits = Limits(_listed(models), allowed, rpm, tpm, concurrency, expires_at)
    _show(ask("keys.create", CreateKey(name, account, limits), NewKey), as_json)


@keys.command()
@_JSON
def generate(as_json: bool) -> None:
    """Print the text of a new key for the configuration file; nothing is stored."""
    from halley.store import keytext

    text = keytext.make()
    click.echo(msgspec.json.encode({"key": text}) if as_json else text)


@keys.command()
@click.argument("key")
@_JSON
def rotate(key: str, as_json: bool) -> None:
    """Replace KEY (an id or a name) by a new one with the same limits; the old one ends at once."""
    from halley.control.asks import Named, NewKey

    _show(ask("keys.rotate", Named(key), NewKey), as_json)


@keys.command()
@click.argument("key")
@_JSON
def revoke(key: str, as_json: bool) -> None:
    """End KEY (an id or a name) at every relay, at once."""
    from halley.control.asks import Keys, Named

    found = ask("keys.revoke", Named(key), Keys)
    if as_json:
        click.echo(msgspec.json.encode(found.keys[0]))
    else:
        click.echo(f"Revoked {found.keys[0].name} ({found.keys[0].id}).", err=True)


@keys.command(name="list")
@click.option("--revoked", is_flag=True, help="Show revoked keys too.")
@_JSON
def list_keys(revoked: bool, as_json: bool) -> None:
    """Show keys, masked."""
    from halley.control.asks import Keys, Nothing

    found = [key for key in ask("keys.list", Nothing(), Keys).keys if revoked or key.revoked_at is None]
    if as_json:
        click.echo(msgspec.json.encode({"keys": found}))
        return
    for key in found:
        ended = ""
        if key.revoked_at is not None:
            ended = f"  revoked {datetime.fromtimestamp(key.revoked_at, UTC):%Y-%m-%d %H:%M}"
        click.echo(f"{key.id}  {key.shown}  {key.account}  {key.name}  {key.source}{ended}")


def _listed(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def _show(made: NewKey, as_json: bool) -> None:
    if as_json:
        # The names of the limits are the configuration file's own.
        limits = msgspec.to_builtins(made.limits)
        click.echo(msgspec.json.encode({"key": made.key, "id": made.id, "account": made.account, "name": made.name, **limits}))
        return
    click.echo(f"The key {made.name} ({made.id}) of account {made.account}; it is not shown again:", err=True)
    click.echo(made.key)
