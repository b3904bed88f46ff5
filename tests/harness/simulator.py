"""The scripted upstream for process tests: `halley simulate` on a free port, its bill, its state and its scripts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from tests.harness.http import ask
from tests.harness.process import HALLEY, LIMIT_S, environment, until


class Simulator:
    """Starts on entry and has ended on exit. `url` is the root, without `/v1`."""

    def __init__(self, place: Path, *arguments: str) -> None:
        self.place = place
        self.url = ""
        self._arguments = arguments
        self._log = place / "simulator.log"
        self._said = place / "simulator.out"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Simulator:
        with self._said.open("wb") as said, self._log.open("ab") as log:
            self._process = self._spawn(said, log)
        process = self._process
        try:
            until(lambda: self._said.read_bytes().endswith(b"\n") or process.poll() is not None, self._what)
            assert process.poll() is None, self._what()
            self.url = json.loads(self._said.read_text().splitlines()[0])["url"].removesuffix("/").removesuffix("/v1")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _spawn(self, said: IO[bytes], log: IO[bytes]) -> subprocess.Popen[bytes]:
        command = [*HALLEY, "simulate", "--port", "0", "--json", *self._arguments]
        return subprocess.Popen(command, stdout=said, stderr=log, env=environment(self.place), cwd=self.place)

    def _what(self) -> str:
        return f"the simulator did not start:\n{self._log.read_text(errors='replace')}"

    def bill(self) -> Any:
        """One row per attempt that it was asked for."""
        return self._ask("GET", "/sim/bill")

    def state(self) -> Any:
        """Open streams, connections dialled, requests."""
        return self._ask("GET", "/sim/state")

    def reset(self) -> None:
        self._ask("POST", "/sim/reset")

    def script(self, model: str, script: Mapping[str, object]) -> None:
        """What a model does from now on."""
        self._ask("PUT", f"/sim/script/{quote(model, safe='')}", dict(script))

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        status, answer = ask(self.url, method, path, body)
        assert status < 300, f"{method} {path}: {status} {answer!r}"
        return json.loads(answer) if answer else None
