"""Rows of other gateways that can be installed without a container. Each is set up as its makers advise for production.

They are installed into a cache directory outside the checkout, once; none of them is a dependency of Halley.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench import nginx
from bench.http import Door, serves
from bench.processes import NotReady, Program, descendants, pinned
from bench.rows import CONNECTIONS, Place, Started

LITELLM = "1.106.2"
PORTKEY = "1.15.2"
_START_S = 120.0


def cache() -> Path:
    path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "halley-bench"
    path.mkdir(parents=True, exist_ok=True)
    return path


def _install(command: list[str], where: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, cwd=where)
    if done.returncode:
        raise NotReady(f"{' '.join(command[:4])} … failed: {done.stderr[-500:]}")


@dataclass
class LitellmRow:
    """LiteLLM's proxy, one worker, production mode, compiled, no database: a key check and routing, no accounting."""

    place: Place
    port: int
    name: str = "litellm"
    note: str = f"LiteLLM {LITELLM}, 1 worker, LITELLM_MODE=PRODUCTION, no database: master key only, no accounting; SSE with 4 connections"
    exact: bool = False
    checks_keys: bool = True
    warm_up: int = 200
    connections: Mapping[str, int] = field(default_factory=lambda: {"json": 64, "sse": 4})
    patience: int = 4
    _program: Program | None = field(default=None, init=False)
    _key: str = field(default_factory=lambda: "sk-" + secrets.token_hex(24), init=False)

    def start(self) -> Started:
        python = self._installed()
        path = self.place.directory / "litellm.yaml"
        path.write_text(json.dumps(self._configuration()))
        environment = dict(os.environ) | {
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOG": "ERROR",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_MASTER_KEY": self._key,
            "LITELLM_TELEMETRY": "False",
            "NO_DOCS": "True",
        }
        options = ["--config", str(path), "--host", "127.0.0.1", "--port", str(self.port), "--num_workers", "1", "--telemetry", "False"]
        command = pinned(self.place.gateway_core, [str(python.parent / "litellm"), *options])
        self._program = Program(command, self.place.directory / "litellm.log", environment, self.place.directory)
        return Started(self._program.wait_until(lambda: serves(self._url, "/health/liveliness"), _START_S))

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def doors(self) -> Mapping[str, Door]:
        door = Door(f"{self._url}{nginx.PATH}", {"Authorization": f"Bearer {self._key}"})
        return dict.fromkeys(self.place.upstreams, door)

    def parts(self) -> Mapping[str, list[int]]:
        return {"litellm": descendants(self._program.pid)} if self._program else {}

    def bystanders(self) -> Mapping[str, list[int]]:
        return {}

    def check_total(self, answers: Mapping[str, int]) -> None:
        """Without a database it keeps no books."""

    def check_books(self) -> None:
        """Without a database it keeps no books."""

    def stop(self) -> None:
        if self._program:
            self._program.stop()

    def _installed(self) -> Path:
        where = cache() / f"litellm-{LITELLM}"
        python = where / "bin" / "python"
        if not (where / "complete").exists():
            _install([sys.executable, "-m", "venv", str(where)], cache())
            _install([str(python), "-m", "pip", "install", "-q", "--only-binary", ":all:", f"litellm[proxy]=={LITELLM}"], cache())
            subprocess.run([python, "-m", "compileall", "-q", str(where / "lib")], capture_output=True, check=False)
            (where / "complete").touch()
        return python

    def _configuration(self) -> dict[str, object]:
        models = [
            {
                "model_name": f"bench-{kind}",
                "litellm_params": {"model": f"openai/bench-{kind}", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": "sk-upstream"},
            }
            for kind, port in self.place.upstreams.items()
        ]
        return {"model_list": models, "litellm_settings": {"set_verbose": False, "telemetry": False, "request_timeout": 600}}


@dataclass
class PortkeyRow:
    """Portkey's gateway on Node: a router without key check, limits or usage."""

    place: Place
    port: int
    name: str = "portkey"
    note: str = f"Portkey gateway {PORTKEY}, unpatched; no key check, limit or usage"
    exact: bool = False
    checks_keys: bool = False
    warm_up: int = 200
    connections: Mapping[str, int] = field(default_factory=lambda: CONNECTIONS)
    patience: int = 2
    _program: Program | None = field(default=None, init=False)

    def start(self) -> Started:
        where = self._installed()
        server = where / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
        command = pinned(self.place.gateway_core, ["node", str(server), f"--port={self.port}", "--headless"])
        self._program = Program(command, self.place.directory / "portkey.log", dict(os.environ) | {"NODE_ENV": "production"}, where)
        return Started(self._program.wait_until(lambda: serves(self._url, "/"), _START_S))

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def doors(self) -> Mapping[str, Door]:
        return {kind: Door(f"{self._url}{nginx.PATH}", self._fields(port)) for kind, port in self.place.upstreams.items()}

    @staticmethod
    def _fields(upstream: int) -> dict[str, str]:
        host = f"http://127.0.0.1:{upstream}/v1"
        return {"x-portkey-provider": "openai", "x-portkey-custom-host": host, "Authorization": "Bearer sk-upstream"}

    def parts(self) -> Mapping[str, list[int]]:
        return {"portkey": descendants(self._program.pid)} if self._program else {}

    def bystanders(self) -> Mapping[str, list[int]]:
        return {}

    def check_total(self, answers: Mapping[str, int]) -> None:
        """It keeps no books."""

    def check_books(self) -> None:
        """It keeps no books."""

    def stop(self) -> None:
        if self._program:
            self._program.stop()

    def _installed(self) -> Path:
        where = cache() / f"portkey-{PORTKEY}"
        if not (where / "complete").exists():
            where.mkdir(exist_ok=True)
            _install(["npm", "install", "--ignore-scripts", "--silent", "--no-audit", "--no-fund", f"@portkey-ai/gateway@{PORTKEY}"], where)
            (where / "complete").touch()
        return where
