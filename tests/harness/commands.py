"""Commands of Halley in processes of their own that need not load it anew: one process loads it once and forks for each command.

A command costs what it does, not the quarter of a second of CPU that its modules take to load. What a command loads is held by
tests/cli/test_main.py, which starts the program as a user does.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from tests.harness.process import LIMIT_S, ROOT

_lock = threading.Lock()
_loaded: list[subprocess.Popen[str]] = []


def run(arguments: tuple[str, ...], environ: Mapping[str, str], place: Path, limit_s: float = LIMIT_S) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run` would give for `halley ARGUMENTS`, as texts. Raises TimeoutExpired."""
    with _lock, tempfile.TemporaryDirectory() as scratch:
        out, err = Path(scratch, "out"), Path(scratch, "err")
        server = _server()
        assert server.stdin is not None and server.stdout is not None
        print(json.dumps([arguments, dict(environ), str(place), str(out), str(err)]), file=server.stdin, flush=True)
        with selectors.DefaultSelector() as selector:
            selector.register(server.stdout, selectors.EVENT_READ)
            if not selector.select(limit_s):
                _loaded.clear()
                os.killpg(server.pid, 9)
                server.wait()
                raise subprocess.TimeoutExpired(["halley", *arguments], limit_s, out.read_bytes(), err.read_bytes())
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(["halley", *arguments], code, out.read_text(), err.read_text())


@atexit.register
def _end() -> None:
    for server in _loaded:
        server.communicate()  # closes its input


def _server() -> subprocess.Popen[str]:
    if not _loaded:
        _loaded.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.harness.commands"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
                start_new_session=True,
            )
        )
    return _loaded[0]


def _serve() -> None:
    """Until its owner has ended, which closes its input."""
    from halley.cli.main import COMMANDS

    for entry in COMMANDS.values():
        import_module(f"halley.cli.{entry.module}")
    for name in ("halley.control.__main__", "halley.control.asks", "halley.control.desk", "halley.control.office"):
        import_module(name)
    while line := sys.stdin.readline():
        child = os.fork()
        if child == 0:
            _command(*json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _command(arguments: list[str], environ: dict[str, str], place: str, out: str, err: str) -> None:
    """Runs it and ends the process."""
    code: object = 0
    try:
        for descriptor, path in ((0, os.devnull), (1, out), (2, err)):
            opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            os.dup2(opened, descriptor)
            os.close(opened)
        os.environ.clear()
        os.environ.update(environ)
        os.chdir(place)
        sys.argv[1:] = arguments
        from halley.cli.main import main

        main()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    _serve()
