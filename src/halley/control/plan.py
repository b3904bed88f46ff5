"""What the control process is told to run: the configuration as far as this layer reads it, with secrets resolved. Plain values."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

import msgspec

from halley.exchanges import CALLABLE, EXCHANGES
from halley.policy.catalogue import FileModel
from halley.policy.snapshot import ProviderRow
from halley.secret import SecretBytes
from halley.store.values import SCOPES, FileAccount, FileBudget, FileKey, FileTeam


class PaymentWay(msgspec.Struct, frozen=True):
    """Who tells of payments, and the keys that sign what it tells: one, or two while it is being changed."""

    name: str
    keys: tuple[SecretBytes, ...]


class Place(msgspec.Struct, frozen=True):
    """Where alerts go, signed under each of the keys. `private` lets it be an address of this machine or network, and plain HTTP."""

    url: str
    keys: tuple[SecretBytes, ...]
    private: bool = False


class Plan(msgspec.Struct, frozen=True):
    """`run` is the directory of the sockets; `detect` asks for a look at model servers on loopback. A hold that is open for longer
    than `hold_seconds` belongs to no request that could still run; callers may go on from an answer for `answers_kept_s`,
    and an Idempotency-Key is known for `claims_kept_s`."""

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
    answers_kept_s: float = 30 * 86400.0
    claims_kept_s: float = 86400.0
    payments: tuple[PaymentWay, ...] = ()
    alerts: Place | None = None
    ledger_check_s: float = 86400.0
    teams: tuple[FileTeam, ...] = ()
    budgets: tuple[FileBudget, ...] = ()


def networks(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Addresses and networks as they are, once each has been read. Raises ValueError."""
    for name in names or ():
        ip_network(name, strict=False)
    return names


def callable_routes(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """What a key may be used for, once each is known as an exchange or a path of one. Raises ValueError."""
    for name in names or ():
        if name not in CALLABLE:
            raise ValueError(f"{name!r} is neither a path that calls a model nor one of {', '.join(each.name for each in EXCHANGES)}")
    return names


def known_scopes(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Scopes as they are, once each is known. Raises ValueError."""
    for name in names or ():
        if name not in SCOPES:
            raise ValueError(f"{name!r} is not a scope; there are {', '.join(SCOPES)}")
    return names


def expiry(text: str) -> float:
    """An ISO date or time to Unix seconds; without a zone it is UTC. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an ISO date or time such as 2027-01-31 or 2027-01-31T12:00:00Z") from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
