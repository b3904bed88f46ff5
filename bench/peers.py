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
from bench.processes import NotReady, Program, descendants, free_ports, pinned
from bench.rows import CONNECTIONS, Place, Started

LITELLM = "1.106.2"
PORTKEY = "1.15.2"
VLLM_ROUTER = "0.1.17"
_START_S = 120.0


def cache() -> Path:
    path = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "halley-bench"
    path.mkdir(parents=True, exist_ok=True)
    return path


def _environment(name: str, requirement: str) -> Path:
    """The interpreter of an environment with that package, compiled; of Debian's Python where there is one."""
    debian = Path("/usr/bin/python3")
    base = debian if debian.exists() and not subprocess.run([debian, "-c", "import venv, ensurepip"], check=False).returncode else None
    where = cache() / (f"{name}-debian" if base else name)
    python = where / "bin" / "python"
    if not (where / "complete").exists():
        _install([str(base or sys.executable), "-m", "venv", str(where)], cache())
        _install([str(python), "-m", "pip", "install", "-q", "--only-binary", ":all:", requirement], cache())
        subprocess.run([python, "-m", "compileall", "-q", str(where / "lib")], capture_output=True, check=False)
        (where / "complete").touch()
    return python


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
        python = _environment(f"litellm-{LITELLM}", f"litellm[proxy]=={LITELLM}")
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
class VllmRouterRow:
    """vLLM's router, in Rust: chooses among servers of one model. A process for each kind of answer, because it knows no other models."""

    place: Place
    ports: Mapping[str, int]
    name: str = "vllm-router"
    note: str = f"vLLM router {VLLM_ROUTER} (Rust), one process per model: load balancing only; no key, limit, usage or log"
    exact: bool = True
    checks_keys: bool = False
    warm_up: int = 200
    connections: Mapping[str, int] = field(default_factory=lambda: CONNECTIONS)
    patience: int = 1
    _programs: list[Program] = field(default_factory=list[Program], init=False)

    def start(self) -> Started:
        python = _environment(f"vllm-router-{VLLM_ROUTER}", f"vllm-router=={VLLM_ROUTER}")
        seconds = 0.0
        for kind, port in self.ports.items():
            options = ["--worker-urls", f"http://127.0.0.1:{self.place.upstreams[kind]}", "--host", "127.0.0.1", "--port", str(port)]
            options += ["--policy", "round_robin", "--log-level", "error", "--max-concurrent-requests", "16384", "--prometheus-port"]
            options += [str(free_ports(1)[0])]
            command = pinned(self.place.gateway_core, [str(python.parent / "vllm-router"), *options])
            self._programs.append(Program(command, self.place.directory / f"vllm-router-{kind}.log", None, self.place.directory))
            url = f"http://127.0.0.1:{port}"
            seconds = max(seconds, self._programs[-1].wait_until(lambda url=url: serves(url, "/health"), _START_S))
        return Started(seconds)

    def doors(self) -> Mapping[str, Door]:
        doors = {kind: Door(f"http://127.0.0.1:{port}{nginx.PATH}", {}) for kind, port in self.ports.items()}
        return doors | {"idle": doors["paced"]}

    def parts(self) -> Mapping[str, list[int]]:
        return {"vllm-router": [pid for program in self._programs for pid in descendants(program.pid)]}

    def bystanders(self) -> Mapping[str, list[int]]:
        return {}

    def check_total(self, answers: Mapping[str, int]) -> None:
        """It keeps no books."""

    def check_books(self) -> None:
        """It keeps no books."""

    def stop(self) -> None:
        for program in self._programs:
            program.stop()


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
