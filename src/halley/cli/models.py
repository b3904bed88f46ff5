"""`halley models`: the catalogue in force, with what is charged."""

from __future__ import annotations

import click
import msgspec

from halley.cli.door import ask


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def models(as_json: bool) -> None:
    """List the models in force and their prices in USD per million tokens."""
    from halley.control.asks import Models, Nothing

    found = ask("models", Nothing(), Models)
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    for model in found.models:
        price = f"{model.prices.get('input', '0')} in, {model.prices.get('output', '0')} out"
        click.echo(f"{model.id}  {price}  via {', '.join(model.providers) or 'nobody'}")
    if not found.models:
        click.echo("No model is in force: configure a provider, or start the gateway for its local models.", err=True)
