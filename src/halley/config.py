"""One TOML file and the environment become frozen `Settings`; every mistake is named with file, line and a suggestion.

Precedence: flags > environment (`HALLEY_<SECTION>_<KEY>`) > file > default. Unknown keys are errors. Secrets are references (`env:NAME`,
`file:PATH`) or literals and stay unresolved here; `config_secrets` resolves them. The values stand first, the doors (`home`,
`run_directory`, `find`, `load`) at the end; how an untyped document becomes a struct is `config_build`.
"""

from __future__ import annotations

import hashlib
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal, cast

import msgspec
from msgspec import Meta
from msgspec import inspect as shape

from halley.config_build import ConfigError, Mistake, build, explain, from_text, suggestion
from halley.config_checks import NOTHING_KNOWN, Known, contradictions
from halley.pricelist import NOTHING, Factor, Written
from halley.secret import Secret, hidden, revealed
from halley.toml_lines import Address, positions

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Days = Annotated[int, Meta(ge=0, le=36500)]
Hours = Annotated[int, Meta(ge=0, le=720)]
Seconds = Annotated[float, Meta(gt=0, le=86400)]
Name = Annotated[str, Meta(extra={"spelling": "name"})]
ModelId = Annotated[str, Meta(extra={"spelling": "model"})]
Url = Annotated[str, Meta(extra={"spelling": "url"})]
Usd = Annotated[str, Meta(extra={"spelling": "usd"})]
Date = Annotated[str, Meta(extra={"spelling": "date"})]
Network = Annotated[str, Meta(extra={"spelling": "network"})]
Reference = Annotated[Secret, Meta(extra={"spelling": "reference"})]
Pointer = Annotated[str, Meta(extra={"spelling": "pointer"})]


class Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: Port = 4100
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    drain_seconds: Seconds = 300.0
    drain_notice_seconds: Annotated[float, Meta(ge=0, le=3600)] = 1.0
    public_url: Url = ""
    trusted_proxies: tuple[Network, ...] = ()
    tls_cert: str = ""
    tls_key: str = ""
    cors_origins: tuple[str, ...] = ()
    # Guards of the listener; each has a heading in docs/settings.md.
    head_bytes: Annotated[int, Meta(ge=1024, le=1048576)] = 32768
    head_fields: Count = 100
    head_seconds: Seconds = 10.0
    body_seconds: Seconds = 28.0
    body_rate: Count = 16384
    idle_seconds: Seconds = 73.0
    write_stall_seconds: Seconds = 30.0
    heartbeat_seconds: Annotated[float, Meta(ge=0, le=3600)] = 15.0
    max_connections: Count = 16384
    shed_lag_ms: Annotated[int, Meta(ge=10, le=60000)] = 200
    shed_memory_mb: Count | None = None


class Upstream(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    connect_seconds: Seconds = 5.0
    first_byte_seconds: Seconds = 600.0
    idle_seconds: Seconds = 120.0
    total_seconds: Seconds = 3600.0
    pool_idle_seconds: Seconds = 50.0
    pool_size: Count = 16384
    pool_waiting: Annotated[int, Meta(ge=0)] = 1024
    answer_bytes: Count = 67108864
    abandoned_streams: Annotated[int, Meta(ge=0)] = 64
    abandoned_seconds: Seconds = 120.0


class Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    url: str = ""


class Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    master_key: Pointer = ""


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    json_bytes: Count = 33554432
    upload_bytes: Count = 536870912
    redis: str = ""


class Billing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    after_break: Literal["nothing", "delivered"] = "nothing"
    default_output_cap: Count | None = None
    markup: Factor = "1"
    journal_lag_seconds: Seconds = 120.0


class Retention(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    log_days: Days = 30
    responses_days: Days = 30
    idempotency_hours: Hours = 24
    tasks_days: Days = 30
    files_days: Days = 7
    audit_days: Days = 365


class Egress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    proxy: Url = ""
    ca_file: str = ""
    # Caps of the fetches of URLs that callers name.
    fetch_bytes: Count = 20971520
    fetch_connect_seconds: Seconds = 5.0
    fetch_first_byte_seconds: Seconds = 10.0
    fetch_total_seconds: Seconds = 30.0
    fetches: Count = 16
    fetch_plain_http: bool = False


class Alerts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    webhook_url: Url = ""
    webhook_secrets: tuple[Reference, ...] = ()
    allow_private: bool = False
    ledger_check_hours: Annotated[float, Meta(gt=0, le=8760)] = 24.0


class Contract(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    support_url: Url = ""
    docs_url: Url = ""


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    kind: str
    base_url: Url = ""
    api_key: Reference = Secret("")
    api_keys: tuple[Reference, ...] = ()
    enabled: bool = True
    cancel: Literal["stops_billing", "bills_to_end"] | None = None
    region: Annotated[str, Meta(pattern="^[a-z0-9-]{0,32}$")] = ""
    service_tier: Annotated[str, Meta(pattern="^[a-z0-9_-]{0,32}$")] = ""


class Offer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    provider: str
    model: str = ""
    weight: Annotated[int, Meta(ge=1, le=1000)] = 1
    priority: int = 0
    cost: Written = NOTHING


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: ModelId
    aliases: tuple[ModelId, ...] = ()
    context: Count | None = None
    max_output: Count | None = None
    modalities: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    offers: tuple[Offer, ...] = ()
    price: Written = NOTHING
    hidden: bool = False


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    usd: Usd
    reset: str = ""
    anchor: Date | None = None


class Account(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    credit: Literal["prepaid", "unlimited"] = "prepaid"
    budget: Budget | None = None
    end_user_budget: Budget | None = None


class Team(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    account: Name = "default"
    budget: Budget | None = None


class Payment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    secrets: Annotated[tuple[Reference, ...], Meta(min_length=1)]


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    key: Reference
    account: Name = "default"
    team: Name | None = None
    models: tuple[ModelId, ...] | None = None
    budget: Budget | None = None
    rpm: Count | None = None
    tpm: Count | None = None
    concurrency: Count | None = None
    ips: tuple[Network, ...] | None = None
    expires: Date | None = None
    routes: tuple[str, ...] | None = None
    scopes: tuple[Literal["inference", "usage-read", "admin"], ...] | None = None


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    server: Server = Server()
    upstream: Upstream = Upstream()
    store: Store = Store()
    secrets: Secrets = Secrets()
    limits: Limits = Limits()
    billing: Billing = Billing()
    retention: Retention = Retention()
    egress: Egress = Egress()
    alerts: Alerts = Alerts()
    contract: Contract = Contract()
    providers: tuple[Provider, ...] = ()
    models: tuple[Model, ...] = ()
    accounts: tuple[Account, ...] = ()
    teams: tuple[Team, ...] = ()
    keys: tuple[Key, ...] = ()
    payments: tuple[Payment, ...] = ()


class Launch(msgspec.Struct, frozen=True):
    """What the supervisor hands to each child as JSON on its standard input.

    `home` is HALLEY_HOME; `run` the 0700 directory of the node's sockets (`link.sock`, `web.sock`, `admin.sock`); `local_url` the base
    URL of the embedded upstream (`http://127.0.0.1:PORT/v1`), empty when it is not running.
    """

    settings: Settings
    home: str
    run: str
    local_url: str = ""

    def pack(self) -> bytes:
        """With its secrets, for the child alone."""
        return msgspec.json.encode(self, enc_hook=revealed)

    @classmethod
    def unpack(cls, data: bytes) -> Launch:
        return msgspec.json.decode(data, type=cls, dec_hook=hidden)


def home(environ: Mapping[str, str]) -> Path:
    """HALLEY_HOME, where everything that a node keeps is kept; absolute, and not necessarily there yet."""
    named = environ.get("HALLEY_HOME")
    if named:
        return Path(os.path.abspath(Path(named).expanduser()))
    user = environ.get("HOME")
    return (Path(user) if user else Path.home()) / ".local" / "share" / "halley"


def run_directory(home: Path) -> Path:
    """Where the node's sockets live. A Unix socket's path holds at most 107 bytes, so a long home moves them to the temporary directory."""
    near = home / "run"
    if len(os.fsencode(near)) <= 90:
        return near
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:10]
    owner = os.getuid() if hasattr(os, "getuid") else 0
    import tempfile  # costs a fifth of the start of a command, and is hardly ever needed

    return Path(tempfile.gettempdir()) / f"halley-{owner}-{digest}"


def find(explicit: Path | None, environ: Mapping[str, str], cwd: Path) -> Path | None:
    """The file to read: `--config`, else HALLEY_CONFIG, else `./halley.toml` if it is there. Raises ConfigError for a missing file."""
    for source, named in (("--config", explicit), ("HALLEY_CONFIG", environ.get("HALLEY_CONFIG"))):
        if named:
            path = cwd / Path(named).expanduser()
            if not path.is_file():
                raise ConfigError([f"{source}: there is no file {path}"])
            return path
    here = cwd / "halley.toml"
    return here if here.is_file() else None


def load(
    path: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
    *,
    well_known: Mapping[str, str] | None = None,
    known: Known = NOTHING_KNOWN,
) -> Settings:
    """Settings from flags, environment and file. Raises ConfigError with all mistakes at once.

    `overrides` maps `section.key` to a flag's value, None meaning that the flag was not given. `well_known` maps an environment variable to
    the provider kind that its key is for: when no provider is configured, each variable that is set makes one. `known` is what the settings
    are held against.
    """
    text = _read_file(path) if path else ""
    document = _parse(path, text) if path else {}
    origins: dict[Address, str] = {}
    mistakes: list[Mistake] = []
    _apply_environment(document, environ, origins, mistakes)
    _apply_overrides(document, overrides, origins)
    if not document.get("providers"):
        document["providers"] = _providers_from(environ, well_known or {})
    settings = build(Settings, document, mistakes) or Settings()
    if _whole(document, settings):
        # What is wrong within a table may be why the table does not add up; one line for that is enough.
        wrong = {mistake.address[:end] for mistake in mistakes for end in range(len(mistake.address) + 1)}
        mistakes.extend(each for each in contradictions(settings, known) if each.address not in wrong)
    if mistakes:
        raise ConfigError(explain(mistakes, path.name if path else "", positions(text), origins))
    return settings


def located(mistakes: Iterable[Mistake], path: Path | None) -> tuple[str, ...]:
    """Mistakes that were found after the file was loaded, as lines like those of `load`."""
    return tuple(explain(mistakes, path.name if path else "", positions(_read_file(path)) if path else {}, {}))


def _read_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as fault:
        raise ConfigError([f"{path}: is not UTF-8 text (byte {fault.start})"]) from None
    except OSError as fault:
        raise ConfigError([f"{path}: cannot be read: {fault.strerror}"]) from None


def _parse(path: Path, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        # The parser tells the place only in its message: "... (at line 3, column 5)".
        message, _, place = str(fault).partition(" (at ")
        line = re.match(r"line (\d+)", place)
        number = line.group(1) if line else str(text.count("\n") + 1)
        raise ConfigError([f"{path.name}:{number}: {message[:1].lower()}{message[1:]}"]) from None


def _sections() -> dict[str, dict[str, shape.Type]]:
    """Section to key to type, of the tables that the environment can reach."""
    info = shape.type_info(Settings)
    assert isinstance(info, shape.StructType)
    return {
        section.encode_name: {field.encode_name: field.type for field in section.type.fields}
        for section in info.fields
        if isinstance(section.type, shape.StructType)
    }


def _apply_environment(
    document: dict[str, object], environ: Mapping[str, str], origins: dict[Address, str], mistakes: list[Mistake]
) -> None:
    sections = _sections()
    known = {f"HALLEY_{section}_{key}".upper(): (section, key) for section, keys in sections.items() for key in keys}
    for variable in sorted(environ):
        prefix = variable.split("_", 2)[:2]
        if variable in known:
            section, key = known[variable]
            _put(document, section, key, from_text(sections[section][key], environ[variable]))
            origins[(section, key)] = variable
        elif len(prefix) == 2 and prefix[0] == "HALLEY" and prefix[1].lower() in sections and variable.count("_") > 1:
            address = (variable,)
            origins[address] = variable
            mistakes.append(Mistake(address, f"is not a setting{suggestion(variable, known)}"))


def _apply_overrides(document: dict[str, object], overrides: Mapping[str, object], origins: dict[Address, str]) -> None:
    for name, value in overrides.items():
        if value is not None:
            section, key = name.split(".")
            _put(document, section, key, value)
            origins[(section, key)] = f"--{key.replace('_', '-')}"


def _put(document: dict[str, object], section: str, key: str, value: object) -> None:
    table = document.setdefault(section, {})
    if isinstance(table, dict):
        table[key] = value


def _providers_from(environ: Mapping[str, str], well_known: Mapping[str, str]) -> list[dict[str, object]]:
    """One provider per kind whose key is in the environment; the first variable of a kind wins."""
    found: dict[str, dict[str, object]] = {}
    for variable, kind in well_known.items():
        if environ.get(variable, "").strip():
            found.setdefault(kind, {"name": kind, "kind": kind, "api_key": f"env:{variable}"})
    return list(found.values())


def _whole(document: Mapping[str, object], settings: Settings) -> bool:
    """Whether no element of a list was too wrong to be built: only then do positions in the settings mean positions in the file."""
    names = ("providers", "models", "accounts", "teams", "keys", "payments")
    rows: dict[str, tuple[object, ...]] = {name: getattr(settings, name) for name in names}
    return all(isinstance(listed := document.get(name, []), list) and len(cast("list[object]", listed)) == len(rows[name]) for name in rows)
