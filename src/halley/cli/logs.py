"""`halley logs`: what was asked, and what became of it; `--follow` goes on showing requests as they end."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click
import msgspec

from halley.cli.door import ask
from halley.money import show as dollars

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from halley.control.asks import Log, Logged
    from halley.store.values import Entry

# A request that was running when it was first looked for began at most so long before.
_LONGEST_S = 7200.0
# What a relay has written is read a little later, and of two relays in any order: a request may appear behind one that began so much later.
_LATE_S = 60.0
_ROUND_S = 1.0
# As many as one ask brings.
_PAGE = 1000
# A search goes so far back, and takes so long, unless it is told otherwise: what is looked for may be nowhere.
_BACK_S = 30 * 86400.0
_SEARCH_S = 10.0


@click.command()
@click.argument("request", required=False)
@click.option("--account", default="default", show_default=True, help="Whose requests.")
@click.option("--key", help="Of one key, by its name or id.")
@click.option("--model", help="Of one model.")
@click.option("--status", type=int, help="With one status, such as 429.")
@click.option("--since", metavar="TIME", help="From an ISO time on, or so long ago: 90s, 15m, 24h, 7d.")
@click.option("--until", metavar="TIME", help="Begun before it, written like --since.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="At most so many, the newest.")
@click.option("--follow", is_flag=True, help="Go on, and show requests as they end.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def logs(
    request: str | None,
    account: str,
    key: str | None,
    model: str | None,
    status: int | None,
    since: str | None,
    until: str | None,
    limit: int,
    follow: bool,
    as_json: bool,
) -> None:
    """Show requests, the oldest of them first; with the id of a REQUEST that one alone, and all that is known of it."""
    from halley.control.asks import Log, Logged

    if follow and until is not None:
        raise click.UsageError("--follow goes on for ever, and --until ends")
    before = None if until is None else (_moment(until), "")
    since_s = _moment(since) if since is not None else 0.0
    wanted = Log(account, since_s, key, model, status, requests=() if request is None else (request,), limit=limit, before=before)
    if request is not None:
        found = ask("logs", wanted, Logged).entries
        if not found:
            raise click.ClickException(f'The account "{account}" has no request {request}.')
        click.echo(msgspec.json.encode(found[0]) if as_json else _all(found[0]))
        return
    # What ended before the first look is old; what that look shows is not shown again.
    follower = Follower(wanted) if follow else None
    found = newest(wanted, searches=(key, model, status) != (None, None, None))
    _print(found, as_json)
    if follower is None:
        return
    follower.skip(found)
    try:
        while True:
            time.sleep(_ROUND_S)
            _print(follower.ended(), as_json)
    except KeyboardInterrupt:
        return


class Follower:
    """Finds each request that ends from now on, once, however long it ran and however many others end meanwhile."""

    def __init__(self, wanted: Log) -> None:
        # One that runs has no status yet, so the status is looked at when it has ended.
        self._wanted = msgspec.structs.replace(wanted, status=None, limit=_PAGE)
        self._status = wanted.status
        self._newest = time.time()
        found = self._pages(self._newest - _LONGEST_S, running=True)
        found += self._pages(self._newest - _LATE_S)
        self._running = {each.id for each in found if each.ending is None}
        self._known = {each.id: each.at for each in found}

    def skip(self, shown: Iterable[Entry]) -> None:
        ended = [each for each in shown if each.ending is not None]
        self._known.update((each.id, each.at) for each in ended)
        self._running.difference_update(each.id for each in ended)

    def ended(self) -> list[Entry]:
        """Those that ended since the last time, in the order in which they ended."""
        new = [each for each in self._pages(self._newest - _LATE_S) if each.id not in self._known]
        self._newest = max([self._newest, *(each.at for each in new)])
        self._known = {request: at for request, at in self._known.items() if at >= self._newest - _LATE_S}
        self._known.update((each.id, each.at) for each in new)
        ended = [each for each in [*self._again(), *new] if each.ending is not None]
        self._running.update(each.id for each in new)
        self._running.difference_update(each.id for each in ended)
        chosen = [each for each in ended if self._status in (None, each.status)]
        return sorted(chosen, key=lambda each: (each.ended_at or each.at, each.at))

    def _again(self) -> list[Entry]:
        """Those that ran at the last look."""
        ids = sorted(self._running)
        parts = [tuple(ids[at : at + _PAGE]) for at in range(0, len(ids), _PAGE)]
        return [each for part in parts for page in _pages(msgspec.structs.replace(self._wanted, requests=part)) for each in page.entries]

    def _pages(self, since: float, running: bool = False) -> list[Entry]:
        """All that began from `since` on."""
        asked = msgspec.structs.replace(self._wanted, since=max(self._wanted.since, since), running=running)
        return [each for page in _pages(asked) for each in page.entries]


def newest(wanted: Log, *, searches: bool) -> list[Entry]:
    """The newest of what is wanted, the oldest of them first. A search that was ended says on stderr how far it came."""
    reached: float | None = None
    if searches and not wanted.since:
        reached = (time.time() if wanted.before is None else wanted.before[0]) - _BACK_S
        wanted = msgspec.structs.replace(wanted, since=reached)
    ends_at = time.monotonic() + _SEARCH_S
    found: list[Entry] = []
    for page in _pages(wanted):
        found += page.entries
        if len(found) >= wanted.limit:
            reached = None
            break
        if page.stopped is not None and time.monotonic() >= ends_at:
            reached = page.stopped[0]
            break
    if reached is not None:
        click.echo(f"Looked back to {_time(reached)}; --since and --until look elsewhere.", err=True)
    return found[: wanted.limit][::-1]


def _pages(asked: Log) -> Iterator[Logged]:
    """Page by page, the newest first, so that control does something else in between."""
    from halley.control.asks import Logged

    while True:
        page = ask("logs", asked, Logged)
        yield page
        if page.stopped is None:
            return
        asked = msgspec.structs.replace(asked, before=page.stopped)


def _print(entries: list[Entry], as_json: bool) -> None:
    for each in entries:
        click.echo(msgspec.json.encode(each) if as_json else _line(each))


def _line(entry: Entry) -> str:
    at = _time(entry.at)
    if entry.ending is None:
        return f"{at}  {entry.id}  {entry.model}  {entry.key_name}  running"
    used = entry.usage
    tokens = f"{used.input}+{used.output}" if used is not None else "-"
    cost = dollars(entry.charge or 0)
    return (
        f"{at}  {entry.id}  {entry.status}  {entry.ending:<10}  {entry.model}  {entry.key_name}  {tokens} tokens  {cost} USD"
        f"  {entry.total_ms or 0:.0f} ms"
    )


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _all(entry: Entry) -> str:
    values = msgspec.to_builtins(entry)
    return "\n".join(f"{name:<20} {_shown(name, value)}" for name, value in values.items() if value not in (None, (), [], ""))


def _shown(name: str, value: object) -> str:
    if name in ("hold", "charge", "loss") and isinstance(value, int):
        return f"{dollars(value)} USD"
    if name in ("at", "ended_at") and isinstance(value, float):
        return datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds")
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _moment(text: str) -> float:
    """Unix seconds of an ISO time, or of so long ago."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if text[-1:] in units and text[:-1].isdecimal() and text.isascii():
        return time.time() - int(text[:-1]) * units[text[-1]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"{text!r} is neither an ISO time such as 2026-11-26T12:00 nor so long ago, such as 15m") from None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
