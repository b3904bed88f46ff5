"""What a row is: a gateway that can be started, asked, and held to account. nginx, the reference, is here; others have their own files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench import nginx
from bench.http import Door
from bench.processes import Program, descendants

CONNECTIONS = {"json": 64, "sse": 32}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run happens: its directory, the pinned cores, and the ports of the fake upstream by kind of answer."""

    directory: Path
    gateway_core: int
    load_core: int
    upstreams: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Started:
    """Seconds from the start of the process to the first answer: with nothing on disk, and again where that makes a difference."""

    first_s: float
    again_s: float | None = None


class Row(Protocol):
    """A gateway under test. `start` and every `check_*` raise Wrong or NotReady; a row that raises does not count."""

    name: str
    note: str
    exact: bool  # answers pass byte for byte; otherwise the same text and usage are demanded
    checks_keys: bool
    warm_up: int  # requests before anything is measured
    connections: Mapping[str, int]  # of a full load, by kind of answer
    patience: int  # a slow row is loaded this many times longer, or it would complete nothing

    def start(self) -> Started: ...
    def doors(self) -> Mapping[str, Door]:
        """Where it takes requests, by kind of answer."""
        ...

    def parts(self) -> Mapping[str, list[int]]:
        """The processes whose CPU time counts, by what they do."""
        ...

    def bystanders(self) -> Mapping[str, list[int]]:
        """Processes that belong to it, take memory, and do not work on these requests."""
        ...

    def check_total(self, answers: Mapping[str, int]) -> None:
        """Holds its own books against exactly these answers, the only ones so far."""
        ...

    def check_books(self) -> None:
        """Whether its books are in order after all the load."""
        ...

    def stop(self) -> None: ...


@dataclass
class NginxRow:
    """nginx as reverse proxy, one worker, kept upstream connections: no key, no usage, no limits, no log. A yardstick, not a peer."""

    place: Place
    ports: Mapping[str, int]
    name: str = "nginx"
    note: str = "reverse proxy with kept connections and buffers of 64 KiB; no key, limit, usage or log"
    buffers: str = nginx.WIDE
    exact: bool = True
    checks_keys: bool = False
    warm_up: int = 20
    connections: Mapping[str, int] = field(default_factory=lambda: CONNECTIONS)
    patience: int = 1
    _program: Program | None = field(default=None, init=False)

    def start(self) -> Started:
        configuration = nginx.proxy_configuration(self.place.directory, self.name, self.ports, self.place.upstreams, self.buffers)
        probe = f"http://127.0.0.1:{self.ports['json']}"
        self._program, seconds = nginx.start(self.name, configuration, self.place.directory, self.place.gateway_core, probe)
        return Started(seconds)

    def doors(self) -> Mapping[str, Door]:
        return {kind: Door(f"http://127.0.0.1:{port}{nginx.PATH}", {}) for kind, port in self.ports.items()}

    def parts(self) -> Mapping[str, list[int]]:
        return {"nginx": descendants(self._program.pid)} if self._program else {}

    def bystanders(self) -> Mapping[str, list[int]]:
        return {}

    def check_total(self, answers: Mapping[str, int]) -> None:
        """It keeps no books."""

    def check_books(self) -> None:
        """It keeps no books."""

    def stop(self) -> None:
        if self._program:
            self._program.stop()
