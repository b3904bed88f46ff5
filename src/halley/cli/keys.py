"""`halley keys`: create, list, change, rotate and revoke client keys. The text of a key goes to standard output once and is stored
nowhere."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from halley.cli.door import ask

if TYPE_CHECKING:
    from halley.control.asks import NewKey

_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
def keys() -> None:
    """Create, list, change, rotate and revoke keys."""


def _limited(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say what a key may do."""
    for option in reversed(
        (
            click.option("--models", help="Comma-separated model ids; without it, every model."),
            click.option("--routes", help="Comma-separated names such as chat, or paths; without it, everything that calls a model."),
            click.option("--scopes", help="Comma-separated: inference, usage-read, admin; without it, the first two."),
            click.option("--ips", help="Comma-separated addresses or networks that may use it; without it, all."),
            click.option("--rpm", type=click.IntRange(1), help="Requests a minute."),
            click.option("--tpm", type=click.IntRange(1), help="Tokens a minute."),
            click.option("--concurrency", type=click.IntRange(1), help="Requests at the same time."),
            click.option("--team", help="The team of its account whose budget it spends from too."),
            click.option("--expires", help="ISO date or time (UTC unless it says otherwise), such as 2027-01-31."),
        )
    ):
        command = option(command)
    return command


@keys.command()
@click.option("--name", required=True, help="What the key is for; unique among live keys of the account.")
@click.option("--account", default="default", show_default=True, help="Whose credit it spends.")
@_limited
@_JSON
def create(name: str, account: str, as_json: bool, **options: Any) -> None:
    """Make a key and show it, this once."""
    from halley.control.asks import CreateKey, NewKey
    from halley.store.values import Limits

    limits = Limits(**_limits(options))
    _show(ask("keys.create", CreateKey(name, account, limits), NewKey), as_json)


@keys.command()
@click.argument("key")
@click.option("--name", help="Another name.")
@click.option("--enable/--disable", "enabled", default=None, help="Refuse it for a while, or take it into use again.")
@click.option("--lift", help="Comma-separated limits that are lifted, such as rpm,models.")
@_limited
@_JSON
def change(key: str, name: str | None, enabled: bool | None, lift: str | None, as_json: bool, **options: Any) -> None:
    """Change KEY (an id or a name) at every relay, at once; what is not named stays as it is."""
    from halley.control.asks import ChangeKey, Keys, Nothing

    live = [each for each in ask("keys.list", Nothing(), Keys).keys if each.revoked_at is None and key in (each.id, each.name)]
    if len(live) != 1:
        raise click.ClickException(f'{"There is no live key" if not live else "Several accounts have a key named"} "{key}".')
    lifted = ["expires_at" if each == "expires" else each for each in _listed(lift) or ()]
    unknown = set(lifted) - set(live[0].limits.__struct_fields__)
    if unknown:
        raise click.UsageError(f"{', '.join(sorted(unknown))} is no limit; there are {', '.join(live[0].limits.__struct_fields__)}")
    limits = msgspec.structs.replace(live[0].limits, **{**dict.fromkeys(lifted), **_limits(options)})
    disabled = None if enabled is None else not enabled
    (changed,) = ask("keys.change", ChangeKey(live[0].id, name, limits, disabled), Keys).keys
    if as_json:
        click.echo(msgspec.json.encode(changed))
    else:
        click.echo(f"Changed {changed.name} ({changed.id}).", err=True)


@keys.command()
@_JSON
def generate(as_json: bool) -> None:
    """Print the text of a new key for the configuration file; nothing is stored."""
    from halley.store import keytext

    text = keytext.make()
    click.echo(msgspec.json.encode({"key": text}) if as_json else text)


@keys.command()
@click.argument("key")
@click.option("--overlap", type=click.FloatRange(0), default=0.0, show_default=True, help="Seconds for which the old text stays good.")
@_JSON
def rotate(key: str, overlap: float, as_json: bool) -> None:
    """Give KEY (an id or a name) a new text; everything else of it stays."""
    from halley.control.asks import NewKey, RotateKey

    _show(ask("keys.rotate", RotateKey(key, overlap), NewKey), as_json)


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


def _limits(options: dict[str, Any]) -> dict[str, Any]:
    """The fields of `Limits` that were given."""
    from halley.control.plan import callable_routes, expiry, known_scopes, networks

    try:
        found = {
            "models": _listed(options["models"]),
            "ips": networks(_listed(options["ips"])),
            "rpm": options["rpm"],
            "tpm": options["tpm"],
            "concurrency": options["concurrency"],
            "expires_at": expiry(options["expires"]) if options["expires"] is not None else None,
            "routes": callable_routes(_listed(options["routes"])),
            "scopes": known_scopes(_listed(options["scopes"])),
            "team": options["team"],
        }
    except ValueError as fault:
        raise click.UsageError(str(fault)) from None
    return {name: value for name, value in found.items() if value is not None}


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
