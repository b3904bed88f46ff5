"""The real gateway for process tests: `halley up` with a configuration of the test's, on a free port, in a home of its own.

with Gateway(tmp_path, toml) as gateway:
    gateway.client().ask("POST", "/v1/chat/completions", {...}, key=gateway.key())
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.harness import books, commands
from tests.harness.http import Client
from tests.harness.process import HALLEY, LIMIT_S, environment, until


class Gateway:
    """Starts on entry and has ended on exit. `toml` is the whole configuration file; `workers` goes on the command line, None
    leaves it to the file; `environ` is what
    the next start and every command get."""

    def __init__(self, place: Path, toml: str = "", *, workers: int | None = 1, environ: Mapping[str, str] | None = None) -> None:
        self.place = place
        self.home = place / "home"
        self.config = place / "halley.toml"
        self.log = place / "gateway.log"
        # Second names of journals, which control deletes when they are in the ledger: the auditor reads them.
        self.journals = place / "journals"
        self._toml = toml
        self._workers = workers
        self.environ = environment(self.home, environ)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Gateway:
        self.home.mkdir(exist_ok=True)
        self.config.write_text(self._toml)
        try:
            self.start()
        except BaseException:
            self._end_hard()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            # Twice: a test that is over does not wait for its open streams. SIGINT, because nobody needs the notice that SIGTERM gives.
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(2.0)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGTERM)
        try:
            if self._process is not None:
                self._process.wait(LIMIT_S)
        finally:
            self._end_hard()

    def start(self) -> None:
        """Starts it (again) and waits until it serves."""
        (self.home / "up.json").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            arguments = ["up", "--config", str(self.config), "--port", "0", *(("--workers", str(self._workers)) if self._workers else ())]
            self._process = subprocess.Popen([*HALLEY, *arguments], stdout=log, stderr=log, env=self.environ, cwd=self.place)
        self.wait_ready()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends the signal to the supervisor and waits for its end; the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self.wait_end()

    def wait_end(self) -> int:
        """Waits until the supervisor has ended, of itself or by an earlier signal; the exit code."""
        assert self._process is not None
        return self._process.wait(LIMIT_S)

    def wait_ready(self) -> None:
        """Until every child serves, also after one of them was killed."""
        assert self._process is not None
        process = self._process
        wanted = {"upstream", "control", *(f"relay-{index}" for index in range(self._workers or 1))}

        def serving() -> bool:
            assert process.poll() is None, f"the gateway ended with {process.returncode}:\n{self.logs()}"
            return (self.home / "up.json").exists() and wanted <= self.children().keys()

        until(serving, lambda: f"the gateway is not ready:\n{self.logs()}")
        books.keep(self.home, self.journals)

    def status(self) -> dict[str, Any]:
        return json.loads((self.home / "up.json").read_text())

    def children(self) -> dict[str, int]:
        return self.status()["children"]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        """The root, without `/v1`."""
        return self.status()["url"]

    def key(self) -> str:
        """The starter key."""
        return (self.home / "starter-key").read_text().strip()

    def client(self, limit_s: float = LIMIT_S) -> Client:
        return Client(self.url, limit_s)

    def cli(self, *arguments: str, check: bool = True, limit_s: float = LIMIT_S) -> subprocess.CompletedProcess[str]:
        """Runs `halley ARGUMENTS` on this home."""
        done = commands.run(arguments, self.environ, self.place, limit_s)
        assert done.returncode == 0 or not check, f"halley {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    def cli_json(self, *arguments: str) -> Any:
        return json.loads(self.cli(*arguments, "--json").stdout)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Sends a child the signal; its process id. After one that kills, returns when the supervisor has noticed."""
        pid = self.children()[name]
        os.kill(pid, number)
        if number == signal.SIGKILL:
            until(lambda: self.children().get(name) != pid, lambda: f"nobody noticed the end of {name}:\n{self.logs()}")
        return pid

    def logs(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _end_hard(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()  # its children follow
            self._process.wait()
