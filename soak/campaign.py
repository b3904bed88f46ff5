"""What a campaign is, and the table of all there are. A module of `soak.campaigns` holds one; nothing is registered anywhere else."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from soak import campaigns as packaged
from tests.harness.postgres import Server

Figures = Mapping[str, float | int | str]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of it: `rounds` of whatever the campaign repeats, `seconds` of whatever it keeps up, and the seed of every choice. Stores
    are in `postgres` where it is there, else in SQLite."""

    rounds: int = 1
    seconds: float = 0.0
    seed: int = 1
    postgres: Server | None = None


@dataclass(frozen=True, slots=True)
class Campaign:
    """`run` works in an empty directory, asserts what must hold (its message names what a reader needs), and returns what it saw.

    `short` is what continuous integration affords (about a minute), `full` is the size that the goal names. With `on_postgres`
    it can also be run on stores in PostgreSQL.
    """

    name: str
    goal: str
    about: str
    short: Effort
    full: Effort
    run: Callable[[Path, Effort], Figures]
    on_postgres: bool = False


class Unavailable(Exception):
    """A program that the campaign needs is not installed; the message names the package."""


def campaigns() -> dict[str, Campaign]:
    found = [importlib.import_module(f"{packaged.__name__}.{module.name}").CAMPAIGN for module in pkgutil.iter_modules(packaged.__path__)]
    return {campaign.name: campaign for campaign in sorted(found, key=lambda each: each.name)}


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
