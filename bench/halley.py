"""The row of Halley, with all that a paying caller meets: a key with limits, a prepaid account, holds, journal, usage, ledger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench import nginx
from bench.arithmetic import charge
from bench.canned import CACHED_TOKENS, CHUNKS, PRICE_TEXTS, PRICES, PROMPT_TOKENS, Wrong
from bench.http import Door, serves
from bench.processes import Program, pinned
from bench.rows import CONNECTIONS, Place, Started
from halley.chat.usage import Usage
from halley.store.journal import End, decode

_ROOT = Path(__file__).parent.parent
_HALLEY = (sys.executable, "-P", "-m", "halley.cli.main")
_ACCOUNT = "bench"
_CREDIT_USD = 1_000_000
_START_S = 30.0
_BOOKED_WITHIN_S = 10.0

_PROVIDER = """
[[providers]]
name = "bench-{kind}"
kind = "openai-compatible"
base_url = "http://127.0.0.1:{port}/v1"
api_key = "sk-upstream-0123456789abcdefghijklmnopqrstuv"

[[models]]
id = "bench-{kind}"
context = 128000
max_output = 16384
offers = [{{ provider = "bench-{kind}", model = "bench-{kind}" }}]
price = {{ {price} }}
"""


def configuration(upstreams: Mapping[str, int]) -> str:
    price = ", ".join(f'{name} = "{text}"' for name, text in PRICE_TEXTS.items())
    rows = [_PROVIDER.format(kind=kind, port=port, price=price) for kind, port in upstreams.items()]
    return f'[[accounts]]\nname = "{_ACCOUNT}"\ncredit = "prepaid"\n' + "".join(rows)


@dataclass
class HalleyRow:
    """One relay and its control process on the gateway's core; the CPU of both counts."""

    place: Place
    port: int
    name: str = "halley"
    note: str = "one relay and control; key with rpm, tpm and concurrency limits, prepaid account, hold, journal, usage, ledger"
    exact: bool = True
    checks_keys: bool = True
    warm_up: int = 50
    connections: Mapping[str, int] = field(default_factory=lambda: CONNECTIONS)
    patience: int = 1
    _program: Program | None = field(default=None, init=False)
    _key: str = field(default="", init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def home(self) -> Path:
        return self.place.directory / "halley"

    def start(self) -> Started:
        """Starts twice: with an empty directory, where a store is made, and again, which is what a restart costs."""
        (self.place.directory / "halley.toml").write_text(configuration(self.place.upstreams))
        first_s = self._up()
        limits = ["--rpm", "1000000000", "--tpm", "1000000000000", "--concurrency", "100000"]
        self._key = json.loads(self._cli("keys", "create", "--name", "bench", "--account", _ACCOUNT, *limits, "--json"))["key"]
        self._cli("credit", _ACCOUNT, str(_CREDIT_USD))
        self.stop()
        return Started(first_s, self._up())

    def doors(self) -> Mapping[str, Door]:
        door = Door(f"{self.url}{nginx.PATH}", {"Authorization": f"Bearer {self._key}"})
        return dict.fromkeys(self.place.upstreams, door)

    def parts(self) -> Mapping[str, list[int]]:
        children = self._children()
        relays = [pid for name, pid in children.items() if name.startswith("relay")]
        return {"relay": relays, "control": [children["control"]]}

    def bystanders(self) -> Mapping[str, list[int]]:
        others = {name: [pid] for name, pid in self._children().items() if name != "control" and not name.startswith("relay")}
        return {"supervisor": [self._program.pid], **others} if self._program else others

    def check_total(self, answers: Mapping[str, int]) -> None:
        """Every answer has one ending with the canned usage in the journal, and the account paid exactly for all of them."""
        count = sum(answers.values())
        expected = {"input": PROMPT_TOKENS * count, "cache_read": CACHED_TOKENS * count, "output": CHUNKS * count}
        ends = list(self._charged())
        found = {name: sum(getattr(usage, name) for usage in ends) for name in expected}
        if len(ends) != count or found != expected:
            raise Wrong(f"the journal has {len(ends)} endings with {found} for {count} answers with {expected}")
        owed = charge(PROMPT_TOKENS, CACHED_TOKENS, CHUNKS, PRICES) * count
        end = time.monotonic() + _BOOKED_WITHIN_S
        while (spent := self._spent()) != owed:
            if time.monotonic() > end:
                raise Wrong(f"the account was charged {spent} nano-dollars for {count} answers that cost {owed}")
            time.sleep(0.1)

    def check_books(self) -> None:
        self._cli("ledger", "verify")

    def stop(self) -> None:
        if self._program:
            self._program.stop()

    def _up(self) -> float:
        options = ["--config", self.place.directory / "halley.toml", "--port", self.port, "--workers", 1]
        command = pinned(self.place.gateway_core, [*_HALLEY, "up", *map(str, options)])
        self._program = Program(command, self.place.directory / "halley.log", self._environment(), _ROOT)
        return self._program.wait_until(lambda: serves(self.url, "/readyz"), _START_S)

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HALLEY_")}
        return kept | {"HALLEY_HOME": str(self.home), "PYTHONPATH": str(_ROOT / "src")}

    def _cli(self, *arguments: str) -> str:
        command = pinned(self.place.load_core, [*_HALLEY, *arguments])
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, timeout=120, check=False, cwd=_ROOT)
        if done.returncode:
            raise Wrong(f"halley {' '.join(arguments[:2])} failed: {(done.stderr or done.stdout)[-500:]}")
        return done.stdout

    def _children(self) -> dict[str, int]:
        return json.loads((self.home / "up.json").read_text())["children"]

    def _charged(self) -> Iterator[Usage]:
        """The usage of every ending in the journal that cost something."""
        for path in sorted((self.home / "journal").glob("*.jsonl")):
            for record in map(decode, path.read_bytes().splitlines()):
                if type(record) is End and record.charge:
                    yield record.usage

    def _spent(self) -> int:
        """Nano-dollars that the ledger has booked as spent: what was paid in, less what is free and what is lent to relays."""
        account = json.loads(self._cli("accounts", "show", _ACCOUNT, "--json"))
        return _CREDIT_USD * 10**9 - account["available_nano"] - account["held_nano"]
