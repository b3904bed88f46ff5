"""What a relay looks things up in: callers by key digest, models by name, upstreams by provider; built from each snapshot.

Counters of limits, leases, breakers and connection pools outlive a snapshot: they belong to the key, account, offer or provider, not to
the row.
"""

from __future__ import annotations

import hmac
import ssl
from ipaddress import ip_network

import msgspec

from halley import __version__, pricelist
from halley.dialects import SPOKEN, Dialect
from halley.exchanges import EXCHANGES
from halley.exchanges.kept import KEPT, Deed
from halley.money import Price
from halley.net.client import Origin
from halley.policy.health import Breaker
from halley.policy.limits import Limits
from halley.policy.pricing import Tariff, Worst, is_free, metered
from halley.policy.snapshot import KeyRow, ModelRow, OfferRow, ProviderRow, Snapshot
from halley.pricelist import MILLION
from halley.providers import credentials
from halley.providers.auth import SCHEMES
from halley.providers.compatible import KINDS
from halley.providers.row import bases, beside, filled, paths
from halley.providers.tweaks import moved
from halley.serve.budgets import Budgets, Lease, Levels
from halley.serve.doorways import Doorway, PoolFactory, doorway
from halley.serve.echo import Echo

DEFAULT_OUTPUT_CAP = 32_768
_CREDENTIAL_CACHE = 10_000
FREE = Price()
UNITS = {exchange.name: exchange.units for exchange in EXCHANGES}
SURFACES = [surface for exchange in EXCHANGES for surface in exchange.surfaces]


class Account(Lease):
    """An account at this relay."""

    __slots__ = ("id", "unlimited")

    def __init__(self, account: str) -> None:
        super().__init__()
        self.id = account
        self.unlimited = False


class Caller:
    """One key, ready for admission."""

    __slots__ = ("account", "expires_at", "key", "levels", "limits", "models", "networks", "routes")

    def __init__(self, row: KeyRow, account: Account, limits: Limits, levels: Levels | None, until: float | None = None) -> None:
        """`until`: when the text by which it calls ends, if that is before the key does."""
        self.key = row.id
        self.levels = levels
        self.account = account
        self.limits = limits
        self.models = frozenset(row.models) if row.models is not None else None
        self.networks = tuple(ip_network(network, strict=False) for network in row.ips) if row.ips is not None else None
        ends = [each for each in (row.expires_at, until) if each is not None]
        self.expires_at = min(ends, default=None)
        self.routes = frozenset(row.routes) if row.routes is not None else None


class Way:
    """One dialect at one provider: where it is spoken, and what every request in it begins with. Paths have `{model}` where it stands."""

    __slots__ = ("_call", "_prefix", "_stream", "_tail", "carried", "dialect", "moved", "tweaks")

    def __init__(self, dialect: Dialect, base_url: str, call: str, stream: str, tail: bytes, tweaks: tuple[str, ...] = ()) -> None:
        """`tweaks`: what of a body in the dialect this host wants otherwise, names of `providers.tweaks`. Of the client's head `carried`
        goes along, and `moved` into the body."""
        self.dialect = dialect
        self.tweaks = tweaks
        self.moved = moved(tweaks)
        inside = {row.field.encode("ascii") for row in self.moved}
        self.carried = tuple(name for name in dialect.carried if name not in inside)
        self._prefix = b"POST " + _base_path(base_url).encode("ascii")
        self._call = call
        self._stream = stream
        self._tail = tail

    def asking(self, method: bytes, answer: str, query: bytes) -> bytes:
        """The same by another method, for an answer that the provider keeps: its id stands where a model's name would."""
        path = filled(self._call, answer).encode("ascii")
        if query:
            path += (b"&" if b"?" in path else b"?") + query
        return method + self._prefix.removeprefix(b"POST") + path + self._tail

    def head(self, model: str, *, stream: bool) -> bytes:
        """Written from the provider table alone: what a dialect carries over from its client is added to it."""
        return self._prefix + filled(self._stream if stream else self._call, model).encode("ascii") + self._tail


class Host:
    """One provider at this relay: its connections, and the dialects in which it can be spoken to, its own first."""

    __slots__ = (
        "_others",
        "cancel",
        "cancels",
        "cap_field",
        "echo",
        "exact_ids",
        "exchanges",
        "kept",
        "name",
        "pool",
        "service_tier",
        "takes_urls",
        "ways",
    )

    def __init__(self, row: ProviderRow, origin: Origin, pools: PoolFactory) -> None:
        kind = KINDS[row.kind]
        self.name = row.name
        self.cancel = row.cancel
        self.cancels = row.cancel == "stops_billing"
        self.service_tier = row.service_tier
        self.cap_field = kind.cap_field
        self.takes_urls = kind.takes_urls
        self.exact_ids = kind.exact_ids
        self.echo = Echo(*credentials.pieces(kind, row.api_key))
        default_port = 443 if origin.scheme == "https" else 80
        name = f"[{origin.host}]" if ":" in origin.host else origin.host
        authority = name if origin.port == default_port else f"{name}:{origin.port}"
        self.pool: Doorway = doorway(row, kind, pools(origin), authority, pools, self.echo.guard)
        common = (
            f" HTTP/1.1\r\nhost: {authority}\r\nuser-agent: halley/{__version__}\r\naccept: application/json, text/event-stream\r\n"
            "accept-encoding: identity\r\ncontent-type: application/json\r\n"
        ).encode("latin-1")
        self.ways: dict[str, Way] = {}
        self.kept: dict[Deed, Way] = {}  # where the answers are that it keeps itself
        for key, url in bases(kind, row.base_url).items():
            if key in SPOKEN:
                scheme = SCHEMES.get(kind.scheme(key))  # none: its requests get theirs in the doorway
                dialect, credential = SPOKEN[key], b"" if scheme is None else scheme(row.api_key)
                tail = common + credential + (b"" if dialect.preset in credential else dialect.preset)
                self.ways[dialect.name] = Way(dialect, url, *paths(kind, key), tail, kind.speaks[key].tweaks)
                for surface in SURFACES:
                    if surface.beside == key and (place := beside(kind, key, surface.path)):
                        self.ways[surface.dialect.name] = Way(surface.dialect, url, place, place, tail)
                for deed, path in KEPT.places.items() if key == KEPT.beside else ():
                    if place := beside(kind, key, path):
                        self.kept[deed] = Way(dialect, url, place, place, tail)
        # Per exchange, in whose words this provider is asked when it does not speak the client's: the first of the tables.
        self._others: dict[str, Way] = {}
        for way in self.ways.values():
            self._others.setdefault(way.dialect.exchange, way)
        self.exchanges = frozenset(self._others)

    def way(self, client: Dialect) -> Way | None:
        """How to speak with this provider for such a client: in the client's own dialect if the provider has it; None when it serves
        nothing of the kind."""
        return self.ways.get(client.name) or self._others.get(client.exchange)


class Offer:
    """One provider serving one model, with its health and its counters. `cost` is what the provider charges, None where nobody said."""

    __slots__ = ("breaker", "by_status", "cost", "fields", "heads", "host", "model", "priority", "row", "weight")

    def __init__(self, row: OfferRow, host: Host, breaker: Breaker, by_status: dict[tuple[int, str], int]) -> None:
        self.row = row
        self.host = host
        self.model = row.model
        self.cost = None if row.cost is None else Tariff(row.cost)
        self.priority = row.priority
        self.weight = row.weight
        self.breaker = breaker
        self.by_status = by_status
        self.heads: dict[tuple[str, bool], bytes] = {}
        self.fields = f"x-halley-provider: {host.name}\r\nx-halley-attempts: ".encode("latin-1")

    def head(self, way: Way, *, stream: bool) -> bytes:
        """What every request to this offer begins with."""
        key = (way.dialect.name, stream)
        head = self.heads.get(key)
        if head is None:
            head = self.heads[key] = way.head(self.model, stream=stream)
        return head


class Learned:
    """How many bytes of request and of answer make a token of this model, learned from reported usage; first guess 4.

    `answer_tokens` is how long its answers are. The first reports teach it each, later ones now and then: `curious` says whether this one
    is wanted.
    """

    __slots__ = ("_reports", "answer_tokens", "input_bytes", "output_bytes")

    def __init__(self) -> None:
        self.input_bytes = 4.0
        self.output_bytes = 4.0
        self.answer_tokens = 0.0
        self._reports = 0

    @property
    def curious(self) -> bool:
        self._reports += 1
        return self._reports <= 64 or not self._reports % 16

    def learn(self, body: int, prompt: int, delivered: int, output: int) -> None:
        if prompt > 0:
            self.input_bytes += 0.1 * (_credible(body / prompt) - self.input_bytes)
        if output > 0:
            self.answer_tokens += 0.1 * (output - self.answer_tokens) if self.answer_tokens else output
        if output > 0 and delivered > 0:
            self.output_bytes += 0.1 * (_credible(delivered / output) - self.output_bytes)


def _credible(ratio: float) -> float:
    """A report that is wrong teaches little: no token is a fraction of a byte, and a picture's are not a kilobyte each."""
    return min(max(ratio, 0.5), 1024.0)


class Model:
    """One model, ready for admission."""

    # fmt: off
    __slots__ = (
        "_unbilled", "context", "default_cap", "exchanges", "free", "id", "learned", "max_output", "offers", "row", "tariff",
        "unasked_tier", "version", "worst",
    )
    # fmt: on

    def __init__(self, row: ModelRow, offers: tuple[Offer, ...], learned: Learned, default_cap: int | None) -> None:
        self.row = row
        self.id = row.id
        self.tariff = Tariff(row.price)
        self.worst = Worst.of(row.price)
        self.free = is_free(row.price)
        self.version = row.version
        self.context = row.context
        self.max_output = row.max_output
        self.default_cap = default_cap
        self.offers = offers
        # Of those in which its providers answer a request that names none, the dearest.
        factors = row.price.service_tiers
        self.unasked_tier = max((offer.host.service_tier for offer in offers), key=lambda tier: factors.get(tier, MILLION), default="")
        self.learned = learned
        served = frozenset[str]().union(*(offer.host.exchanges for offer in offers))
        self.exchanges = frozenset(name for name in served if metered(row.price, UNITS[name]))
        self._unbilled: Model | None = None

    @property
    def unbilled(self) -> Model:
        """The same for requests that cost nothing."""
        found = self._unbilled
        if found is None:
            row = msgspec.structs.replace(self.row, price=FREE, version=pricelist.version(FREE))
            found = self._unbilled = Model(row, self.offers, self.learned, self.default_cap)
        return found


class Tables:
    """Everything a request is looked up in. `apply` swaps a snapshot in between two requests."""

    def __init__(self, pools: PoolFactory, workers: int) -> None:
        self._pools = pools
        self._workers = workers
        self.snapshot: Snapshot | None = None
        self.after_break = "nothing"
        self.accounts: dict[str, Account] = {}
        self.models: dict[str, Model] = {}
        self.offers: dict[tuple[str, str, str], Offer] = {}
        self._callers: dict[bytes, Caller] = {}
        self.budgets = Budgets()
        self._limits: dict[str, tuple[tuple[int | None, int | None, int | None], Limits]] = {}
        self._hosts: dict[str, tuple[ProviderRow, Host]] = {}
        self._learned: dict[str, Learned] = {}
        self._ready: dict[str, Model] = {}
        self.known: dict[bytes | None, Caller] = {}

    def apply(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.after_break = snapshot.after_break
        for row in snapshot.accounts:
            self.account(row.id).unlimited = row.unlimited
        self.budgets.apply(snapshot.budgets)
        self._callers = {row.digest: self._caller(row) for row in snapshot.keys}
        for row in snapshot.keys:
            if row.former_digest is not None:
                self._callers.setdefault(row.former_digest, self._caller(row, row.former_until))
        self.known = {}
        self._limits = {row.id: self._limits[row.id] for row in snapshot.keys}
        kept = {row.name: self._host(row) for row in snapshot.providers}
        for name, (_, host) in self._hosts.items():
            if name not in kept or kept[name] is not host:
                host.pool.retire()
        self._hosts = {row.name: (row, kept[row.name]) for row in snapshot.providers}
        offers: dict[tuple[str, str, str], Offer] = {}
        models: dict[str, Model] = {}
        for row in snapshot.models:
            served = tuple(self._offer(row, offer, kept, offers) for offer in row.offers if offer.provider in kept)
            model = self._model(row, served, snapshot.default_output_cap)
            for name in (*row.aliases, row.id):
                models[name] = model
        self._learned = {row.id: self._learned[row.id] for row in snapshot.models}
        self._ready = {row.id: self._ready[row.id] for row in snapshot.models}
        self.offers = offers
        self.models = models

    def account(self, name: str) -> Account:
        account = self.accounts.get(name)
        if account is None:
            account = self.accounts[name] = Account(name)
        return account

    def caller(self, key: bytes) -> Caller | None:
        """The caller of a key: one HMAC, then a look-up by digest, so that timing says nothing about the key."""
        snapshot = self.snapshot
        return self._callers.get(hmac.digest(snapshot.pepper.reveal(), key, "sha256")) if snapshot is not None else None

    def remember(self, header: bytes, caller: Caller) -> None:
        """The next request with exactly this Authorization value costs a dictionary look-up; a new snapshot forgets all of them."""
        if len(self.known) >= _CREDENTIAL_CACHE:
            self.known.clear()
        self.known[header] = caller

    def host(self, name: str) -> Host | None:
        """A provider by its name, while it is configured."""
        found = self._hosts.get(name)
        return None if found is None else found[1]

    def visible(self, caller: Caller) -> list[Model]:
        """The models that a key may use, by name; not those that no route here serves yet."""
        models = {model.id: model for model in self.models.values() if model.exchanges or not model.offers}
        return [model for name, model in sorted(models.items()) if caller.models is None or name in caller.models]

    def _caller(self, row: KeyRow, until: float | None = None) -> Caller:
        return Caller(row, self.account(row.account), self._limits_of(row), self.budgets.over(row), until)

    def _limits_of(self, row: KeyRow) -> Limits:
        wanted = (row.rpm, row.tpm, row.concurrency)
        kept = self._limits.get(row.id)
        if kept is None or kept[0] != wanted:
            share = [None if limit is None else -(-limit // self._workers) for limit in wanted]
            kept = self._limits[row.id] = (wanted, Limits(share[0], share[1], share[2]))
        return kept[1]

    def _host(self, row: ProviderRow) -> Host:
        kept = self._hosts.get(row.name)
        if kept is not None and kept[0] == row:
            return kept[1]
        return Host(row, Origin.parse(row.base_url), self._pools)

    def _model(self, row: ModelRow, served: tuple[Offer, ...], default_cap: int | None) -> Model:
        """What has not changed is kept: a push must not hold up streams for as long as it takes to make ready hundreds of prices."""
        before = self._ready.get(row.id)
        if before is not None and (before.row, before.offers, before.default_cap) == (row, served, default_cap):
            return before
        model = self._ready[row.id] = Model(row, served, self._learned.setdefault(row.id, Learned()), default_cap)
        return model

    def _offer(self, model: ModelRow, row: OfferRow, hosts: dict[str, Host], fresh: dict[tuple[str, str, str], Offer]) -> Offer:
        name = (model.id, row.provider, row.model)
        before = self.offers.get(name)
        if before is not None and before.row == row and before.host is hosts[row.provider]:
            fresh[name] = before
            return before
        breaker = before.breaker if before is not None else Breaker()
        by_status = before.by_status if before is not None else {}
        offer = fresh[name] = Offer(row, hosts[row.provider], breaker, by_status)
        return offer


def _base_path(url: str) -> str:
    _, _, rest = url.partition("://")
    _, slash, path = rest.partition("/")
    return (slash + path).rstrip("/")


def tls_context(ca_file: str) -> ssl.SSLContext:
    """Verification is on and stays on; `ca_file` adds a private authority."""
    context = ssl.create_default_context()
    if ca_file:
        context.load_verify_locations(ca_file)
    return context
