"""What the control process is told to run: the configuration as far as this layer reads it, with secrets resolved. Plain values."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import msgspec

from halley.policy.catalogue import FileModel
from halley.policy.snapshot import ProviderRow
from halley.store.values import FileAccount, FileKey


class Plan(msgspec.Struct, frozen=True):
    """`run` is the directory of the sockets; `detect` asks for a look at model servers on loopback. A hold that is open for longer
    than `hold_seconds` belongs to no request that could still run."""

    home: Path
    run: Path
    store_url: str = ""
    master_key: str = ""
    accounts: tuple[FileAccount, ...] = ()
    keys: tuple[FileKey, ...] = ()
    providers: tuple[ProviderRow, ...] = ()
    models: tuple[FileModel, ...] = ()
    markup: str = "1"
    after_break: str = "nothing"
    default_output_cap: int | None = None
    public_url: str = ""
    detect: bool = False
    hold_seconds: float = 7200.0


def networks(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Addresses and networks as they are, once each has been read. Raises ValueError."""
    for name in names or ():
        ip_network(name, strict=False)
    return names


def expiry(text: str) -> float:
    """An ISO date or time to Unix seconds; without a zone it is UTC. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an ISO date or time such as 2027-01-31 or 2027-01-31T12:00:00Z") from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
