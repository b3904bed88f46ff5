"""The one way in which every command reads the settings of this node: the file that is found, the environment, and the flags given.

And what those settings ask of the machine: secrets that are there, keys that relays accept, certificates that can be used.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from halley.config import ConfigError, Settings, find, load, located
from halley.config_build import Mistake
from halley.config_checks import Known
from halley.config_secrets import client_key, resolve_secret
from halley.exchanges import CALLABLE
from halley.policy import webhooks
from halley.policy.catalogue import packaged
from halley.providers import credentials
from halley.providers.compatible import KINDS
from halley.secret import Secret
from halley.toml_lines import Address

# Part of the fixed interface of the file, but not served by this version: said aloud, so that nobody relies on it.
_WITHOUT_EFFECT = (
    ("server", "cors_origins"),
    ("limits", "redis"),
    ("limits", "upload_bytes"),
    ("retention", "log_days"),
    ("retention", "tasks_days"),
    ("retention", "files_days"),
    ("retention", "audit_days"),
)


def without_effect(settings: Settings) -> list[str]:
    """The settings that were changed and that this version does not act on yet."""
    plain = Settings()
    return [
        f"[{section}] {key}"
        for section, key in _WITHOUT_EFFECT
        if getattr(getattr(settings, section), key) != getattr(getattr(plain, section), key)
    ]


def read(config: Path | None = None, flags: Mapping[str, object] | None = None) -> Settings:
    """Settings as `halley up` would run with. Raises ConfigError; `flags` maps `section.key` to a value, None meaning not given."""
    # Only variables that hold a key for nothing else: a token that somebody has for other reasons makes no provider.
    well_known = {kind.env: name for name, kind in KINDS.items() if kind.base_url and kind.env.endswith("_KEY")}
    known = Known(
        kinds=KINDS.keys(),
        free=[name for name, kind in KINDS.items() if kind.free],
        packaged={(model.id, model.kind) for model in packaged().models},
        routes=CALLABLE,
    )
    return load(find(config, os.environ, Path.cwd()), os.environ, flags or {}, well_known=well_known, known=known)


def unmet(settings: Settings, config: Path | None = None) -> tuple[str, ...]:
    """What the settings ask of this machine and it does not have: secrets that lead nowhere, keys of a shape that no relay accepts,
    certificates that cannot be used. One line each, none of which shows a secret."""
    return located([*_references(settings), *_certificates(settings)], find(config, os.environ, Path.cwd()))


def _references(settings: Settings) -> Iterable[Mistake]:
    references: list[tuple[Address, Secret]] = [(("secrets", "master_key"), Secret(settings.secrets.master_key))]
    for index, provider in enumerate(settings.providers):
        if provider.enabled:
            references.append((("providers", index, "api_key"), provider.api_key))
            references += [(("providers", index, "api_keys", place), each) for place, each in enumerate(provider.api_keys)]
    for index, payment in enumerate(settings.payments):
        references += [(("payments", index, "secrets", place), each) for place, each in enumerate(payment.secrets)]
    for address, reference in references:
        if reference:
            try:
                secret = resolve_secret(reference, os.environ)
            except ConfigError as fault:
                yield Mistake(address, str(fault))
            else:
                yield from _unfit(settings, address, secret)
    for index, key in enumerate(settings.keys):
        try:
            client_key(key.key, os.environ)
        except ConfigError as fault:
            yield Mistake(("keys", index, "key"), str(fault))


def _unfit(settings: Settings, address: Address, secret: Secret) -> Iterable[Mistake]:
    """A secret that is none of the kind that is needed there."""
    match address:
        case ("providers", int(index), *_):
            provider = settings.providers[index]
            wrong = credentials.fault(KINDS[provider.kind], secret, provider.base_url, provider.region)
            if wrong is not None:
                yield Mistake(address, wrong)
        case ("payments", *_):
            try:
                webhooks.read_secret(secret)
            except webhooks.BadSecret as fault:
                yield Mistake(address, str(fault))
        case _:
            return


def _certificates(settings: Settings) -> Iterable[Mistake]:
    server, authority = settings.server, settings.egress.ca_file
    files = [(("server", "tls_cert"), server.tls_cert), (("server", "tls_key"), server.tls_key), (("egress", "ca_file"), authority)]
    unread = [Mistake(address, f"{name}: {fault}") for address, name in files if name and (fault := _unreadable(Path(name)))]
    if unread or not (server.tls_cert or authority):
        yield from unread
        return
    # Only who uses certificates waits for the import.
    import ssl

    if server.tls_cert:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(server.tls_cert, server.tls_key, password="")
        except (OSError, ValueError) as fault:
            reason = f" ({fault.reason})" if isinstance(fault, ssl.SSLError) and fault.reason else ""
            message = f"{server.tls_cert} and {server.tls_key} are not a PEM certificate chain and its unencrypted private key{reason}"
            yield Mistake(("server", "tls_cert"), message)
    if authority:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(authority)
        except OSError:
            yield Mistake(("egress", "ca_file"), f"{authority} holds no certificate in PEM")


def _unreadable(path: Path) -> str:
    try:
        path.read_bytes()
    except OSError as fault:
        return fault.strerror or type(fault).__name__
    return ""
