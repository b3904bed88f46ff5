"""The control process: reads its launch settings, opens the store, serves the node's sockets, folds to the end on SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from halley import crash, logs
from halley.chat.usage import tier_named
from halley.config import Budget, Launch, Provider, Settings
from halley.config_secrets import client_key, resolve_secret
from halley.control.plan import PaymentWay, Place, Plan, callable_routes, expiry, networks
from halley.control.process import Control
from halley.errors import HalleyError
from halley.money import usd
from halley.policy import webhooks
from halley.policy.budgets import LevelName, read_reset
from halley.policy.catalogue import LOCAL, FileModel, FileOffer
from halley.policy.snapshot import ProviderRow
from halley.providers.compatible import KINDS
from halley.secret import Secret
from halley.store.values import FileAccount, FileBudget, FileKey, FileTeam, Limits


def plan_of(launch: Launch, environ: Mapping[str, str]) -> Plan:
    """What the settings ask of control, with secrets resolved. Raises ConfigError, ValueError."""
    settings = launch.settings
    providers = tuple(_provider(each, environ) for each in settings.providers if each.enabled)
    if launch.local_url:
        providers += (ProviderRow(LOCAL, LOCAL, launch.local_url, Secret("")),)
    return Plan(
        Path(launch.home),
        Path(launch.run),
        settings.store.url,
        settings.secrets.master_key,
        tuple(FileAccount(each.name, each.credit == "unlimited") for each in settings.accounts),
        _keys(settings, environ),
        providers,
        tuple(_model(settings)),
        settings.billing.markup,
        settings.billing.after_break,
        settings.billing.default_output_cap,
        settings.server.public_url,
        detect=not settings.providers and environ.get("HALLEY_DETECT") != "0",
        teams=tuple(FileTeam(each.account, each.name) for each in settings.teams),
        budgets=tuple(_budgets(settings)),
        hold_seconds=2 * settings.upstream.total_seconds,
        answers_kept_s=settings.retention.responses_days * 86400.0,
        payments=tuple(_payments(settings, environ)),
        alerts=_place(settings, environ),
        ledger_check_s=settings.alerts.ledger_check_hours * 3600.0,
        claims_kept_s=settings.retention.idempotency_hours * 3600.0,
    )


def _provider(provider: Provider, environ: Mapping[str, str]) -> ProviderRow:
    kind = KINDS[provider.kind]
    reference = next((each for each in (provider.api_key, *provider.api_keys) if each), None)  # the configuration refuses a second one
    key = resolve_secret(reference, environ) if reference else Secret("")
    if reference:
        logs.guard(key)
    url, cancel = provider.base_url or kind.base_url, provider.cancel or kind.cancel
    return ProviderRow(provider.name, provider.kind, url, key, cancel, provider.region, tier_named(provider.service_tier))


def _payments(settings: Settings, environ: Mapping[str, str]) -> Iterator[PaymentWay]:
    for each in settings.payments:
        secrets = [resolve_secret(reference, environ) for reference in each.secrets]
        logs.guard(*secrets)
        yield PaymentWay(each.name, tuple(webhooks.read_secret(secret) for secret in secrets))


def _place(settings: Settings, environ: Mapping[str, str]) -> Place | None:
    alerts = settings.alerts
    if not alerts.webhook_url:
        return None
    secrets = [resolve_secret(reference, environ) for reference in alerts.webhook_secrets]
    logs.guard(*secrets)
    return Place(alerts.webhook_url, tuple(webhooks.read_secret(secret) for secret in secrets), alerts.allow_private)


def _keys(settings: Settings, environ: Mapping[str, str]) -> tuple[FileKey, ...]:
    keys: list[FileKey] = []
    for each in settings.keys:
        secret = client_key(each.key, environ)
        logs.guard(secret)
        expires_at = expiry(each.expires) if each.expires is not None else None
        allowed = (callable_routes(each.routes), each.scopes)
        limits = Limits(each.models, networks(each.ips), each.rpm, each.tpm, each.concurrency, expires_at, *allowed, each.team)
        keys.append(FileKey(each.name, each.account, secret, limits))
    return tuple(keys)


def _budgets(settings: Settings) -> Iterator[FileBudget]:
    for account in settings.accounts:
        yield from _budget(account.name, "account", account.name, account.budget)
        yield from _budget(account.name, "user", "", account.end_user_budget)
    for team in settings.teams:
        yield from _budget(team.account, "team", team.name, team.budget)
    for key in settings.keys:
        yield from _budget(key.account, "key", key.name, key.budget)


def _budget(account: str, level: LevelName, subject: str, written: Budget | None) -> Iterator[FileBudget]:
    if written is not None:
        anchor = int(expiry(written.anchor)) if written.anchor is not None else None
        yield FileBudget(account, level, subject, usd(written.usd), read_reset(written.reset), anchor)


def _model(settings: Settings) -> list[FileModel]:
    return [
        FileModel(
            each.id,
            each.aliases,
            each.context,
            each.max_output,
            each.modalities,
            each.features,
            tuple(FileOffer(offer.provider, offer.model, offer.weight, offer.priority, offer.cost) for offer in each.offers),
            each.price,
            each.hidden,
        )
        for each in settings.models
    ]


async def serve(plan: Plan, environ: Mapping[str, str], channel_fd: int) -> None:
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def terminate() -> None:
        (hurry if stop.is_set() else stop).set()

    loop.add_signal_handler(signal.SIGTERM, terminate)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the supervisor decides
    control = Control(plan, environ)
    await control.start()
    # What is there now stays: the collector need not walk through it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)
    os.write(channel_fd, b"ready\n")
    os.close(channel_fd)
    await stop.wait()
    await control.stop(hurry)


def main() -> None:
    parser = argparse.ArgumentParser(prog="halley.control")
    parser.add_argument("--channel-fd", type=int, required=True)
    options = parser.parse_args()
    launch = Launch.unpack(sys.stdin.buffer.read())
    try:
        crash.arm("control", launch.home, os.environ)
        coroutine = serve(plan_of(launch, os.environ), os.environ, options.channel_fd)
        try:
            import uvloop
        except ImportError:
            asyncio.run(coroutine)
        else:
            uvloop.run(coroutine)
    except (HalleyError, ValueError) as fault:
        print(f"halley: {fault}", file=sys.stderr)
        sys.exit(1)
    # Everything is closed. To take the interpreter apart would take longer than the rest of the end, and a successor waits for the store.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
