"""One TOML file and the environment become frozen `Settings`; every mistake is named with file, line and a suggestion.

Precedence: flags > environment (`HALLEY_<SECTION>_<KEY>`) > file > default. Unknown keys are errors. Secrets are references (`env:NAME`,
`file:PATH`) or literals and stay unresolved here; the control process resolves them.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: int = 4100
    workers: int = 1
    drain_seconds: float = 300.0
    public_url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    tls_cert: str = ""
    tls_key: str = ""
    cors_origins: tuple[str, ...] = ()
    # Guards of the listener; each has a heading in docs/settings.md.
    head_bytes: int = 32768
    head_fields: int = 100
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    body_rate: int = 16384
    idle_seconds: float = 75.0
    write_stall_seconds: float = 30.0


class Upstream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    connect_seconds: float = 5.0
    first_byte_seconds: float = 600.0
    idle_seconds: float = 120.0
    pool_idle_seconds: float = 50.0
    pool_size: int = 1024


class Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str = ""


class Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    master_key: str = ""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    json_bytes: int = 33554432
    upload_bytes: int = 536870912
    redis: str = ""


class Billing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    after_break: Literal["nothing", "delivered"] = "nothing"
    default_output_cap: int | None = None
    markup: str = "1"


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    log_days: int = 30
    responses_days: int = 30
    tasks_days: int = 30
    files_days: int = 7
    audit_days: int = 365


class Egress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    proxy: str = ""
    ca_file: str = ""


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    kind: str
    base_url: str = ""
    api_key: str = ""
    api_keys: tuple[str, ...] = ()
    enabled: bool = True
    cancel: Literal["stops_billing", "bills_to_end"] | None = None


class Offer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    provider: str
    model: str = ""
    weight: int = 1
    priority: int = 0
    cost: dict[str, str] = {}


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    aliases: tuple[str, ...] = ()
    context: int | None = None
    max_output: int | None = None
    modalities: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    offers: tuple[Offer, ...] = ()
    price: dict[str, str] = {}
    hidden: bool = False


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    usd: str
    reset: str = ""


class Account(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    credit: Literal["prepaid", "unlimited"] = "prepaid"
    budget: Budget | None = None


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    account: str = "default"
    key: str = ""
    models: tuple[str, ...] | None = None
    budget: Budget | None = None
    rpm: int | None = None
    tpm: int | None = None
    concurrency: int | None = None
    ips: tuple[str, ...] | None = None
    expires: str | None = None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    server: Server = Server()
    upstream: Upstream = Upstream()
    store: Store = Store()
    secrets: Secrets = Secrets()
    limits: Limits = Limits()
    billing: Billing = Billing()
    retention: Retention = Retention()
    egress: Egress = Egress()
    providers: tuple[Provider, ...] = ()
    models: tuple[Model, ...] = ()
    accounts: tuple[Account, ...] = ()
    keys: tuple[Key, ...] = ()


class Launch(msgspec.Struct, frozen=True):
    """What the supervisor hands to each child as JSON on its standard input.

    `home` is HALLEY_HOME; `run` the 0700 directory of the node's sockets (`link.sock`, `web.sock`, `admin.sock`); `local_url` the base
    URL of the embedded upstream (`http://127.0.0.1:PORT/v1`), empty when it is not running.
    """

    settings: Settings
    home: str
    run: str
    local_url: str = ""
