"""`halley import`: what another gateway is configured with, as a configuration file of this one. It shows; it writes only when told to."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from halley.errors import HalleyError

if TYPE_CHECKING:
    from halley.cli.carried import Carried

# Some hundred times what people write.
_MOST_BYTES = 4 << 20

_TO = click.option(
    "--write", "target", type=click.Path(path_type=Path), help="Write the file, with the keys of providers; it must not exist yet."
)


@click.group(name="import")
def imports() -> None:
    """Take over providers, models and prices from another gateway."""


@imports.command()
@click.argument("config", type=click.Path(path_type=Path))
@_TO
def litellm(config: Path, target: Path | None) -> None:
    """From a config.yaml of litellm's proxy, or the same as JSON."""
    from halley.cli import from_litellm, yaml_subset

    try:
        text = _text(config)
        document: object = json.loads(text, parse_float=Decimal) if config.suffix == ".json" else yaml_subset.read(text)
    except OSError as fault:
        raise HalleyError(f"{config} cannot be read: {fault.strerror}.") from None
    except (ValueError, RecursionError) as fault:
        raise HalleyError(f"{config} cannot be read: {fault}.") from None
    _give(from_litellm.carry(document), config, target)


@imports.command(name="new-api")
@click.argument("database", type=click.Path(path_type=Path))
@_TO
def new_api(database: Path, target: Path | None) -> None:
    """From the SQLite database of new-api or one-api."""
    from halley.cli import from_new_api
    from halley.store import foreign

    _give(from_new_api.carry(foreign.rows(database)), database, target)


def _text(config: Path) -> str:
    """Raises OSError, ValueError."""
    if config.exists() and not config.is_file():
        raise ValueError("it is no file")
    with config.open("rb") as file:
        whole = file.read(_MOST_BYTES + 1)
    if len(whole) > _MOST_BYTES:
        raise ValueError(f"it is larger than {_MOST_BYTES} bytes")
    return whole.decode("utf-8-sig")


def _give(found: Carried, source: Path, target: Path | None) -> None:
    from halley.cli.carried import text
    from halley.store import drafts

    if target is None:
        click.echo(text(found, source.name, secrets=False))
    else:
        with drafts.draft(target) as draft:
            draft.write_text(text(found, source.name, secrets=True), encoding="utf-8")
    for line in found.lost:
        click.echo(f"not carried: {line}", err=True)
    done = f"{len(found.providers)} providers, {len(found.models)} models, {len(found.accounts)} accounts; {len(found.lost)} remarks."
    click.echo(done + ("" if target else " Nothing was written; --write FILE does, with the keys of the providers."), err=True)
