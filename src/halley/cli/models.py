"""`halley models`: the catalogue in force, with what is charged."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec

from halley.cli.door import ask
from halley.pricelist import BY_NAME, PER_UNIT, Written

if TYPE_CHECKING:
    from halley.control.asks import PriceHistory


@click.command()
@click.option("--history", metavar="MODEL", help="Show the prices that a model has had instead, the newest first.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def models(history: str | None, as_json: bool) -> None:
    """List the models in force and their prices in USD per million tokens."""
    from halley.control.asks import Models, Named, Nothing, PriceHistory

    if history is not None:
        _show_history(ask("models.history", Named(history), PriceHistory), as_json)
        return
    found = ask("models", Nothing(), Models)
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    for model in found.models:
        flag = "" if model.status == "active" else f"  {model.status.replace('_', ' ')} {model.shutdown}"
        click.echo(f"{model.id}  {_words(model.prices)}  via {', '.join(model.providers) or 'nobody'}{flag}")
    if not found.models:
        click.echo("No model is in force: configure a provider, or start the gateway for its local models.", err=True)


def _show_history(found: PriceHistory, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    for change in found.changes:
        moment = datetime.fromtimestamp(change.effective_at, UTC).isoformat(timespec="seconds")
        click.echo(f"{moment}  {change.version}  {_words(change.price)}  {change.source} {change.source_date or ''}".rstrip())
    if not found.changes:
        click.echo("There is no such model, and there was none.", err=True)


def _words(price: Written) -> str:
    units = [f"{amount} {key.replace('_', ' ')}" for key in PER_UNIT if (amount := getattr(price, key)) is not None]
    units += [f"{amount} per {key} {name}" for key in BY_NAME for name, amount in getattr(price, key).items()]
    beside = [f"{name}: see --json" for name in ("tool", "tier", "service_tier") if name in price.keys]
    return ", ".join([f"{price.input or '0'} in, {price.output or '0'} out", *units, *beside])
