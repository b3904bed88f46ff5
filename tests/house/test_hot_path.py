"""What may not run for a request that succeeds: no log line, no task, future, timer or coroutine, no costly library, no clock per chunk.

Every call of such a kind in `serve/` and `net/` is either in `MAY` with its reason, or an error: a microsecond here is paid by every
request.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.tree import functions, modules, name, parsed

SPEAKING = {"info", "warning", "error", "exception", "debug", "critical", "log"}
TASKS = {
    "create_task",
    "ensure_future",
    "run_in_executor",
    "to_thread",
    "gather",
    "TaskGroup",
    "Task",
    "start_new_thread",
    "Thread",
    "submit",
}
FUTURES = {"create_future", "Future", "Event", "Condition", "Semaphore"}
TIMERS = {"call_later", "call_at", "call_soon", "call_soon_threadsafe", "timeout", "timeout_at", "wait_for", "sleep", "Timer"}
CLOCKS = {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "now", "utcnow"}
LIBRARIES = {
    "logging",
    "json",
    "prometheus_client",
    "opentelemetry",
    "structlog",
    "statsd",
    "datetime",
    "uuid",
    "copy",
    "inspect",
    "threading",
}

START = "start and end of the process"
MAY: dict[tuple[str, str, str], str] = {
    ("serve/__main__.py", "*", "*"): START,
    ("serve/ending.py", "*", "*"): "the end of the process",
    ("serve/orders.py", "*", "*"): "signals of the process",
    ("serve/crashes.py", "*", "*"): "imported by a relay that is about to kill itself",
    ("net/listener.py", "accept", "coroutine"): "opens the listener, once",
    ("net/listener.py", "take_the_rest", "coroutine"): "closes the listener, once",
    ("serve/link.py", "*", "*"): "the connection to control, one per process",
    ("serve/gateway.py", "__init__", "clock"): "the beginning of this process's request ids",
    ("serve/gateway.py", "__init__", "future"): "readiness, one event per process",
    ("serve/pressure.py", "*", "*"): "the loop's lag, a fixed number of times a second",
    ("net/clock.py", "*", "*"): "the one timer and the one clock that everything shares",
    ("serve/faults.py", "shielded", "log"): "a bug, and the one place that sees it",
    ("net/server.py", "_pump", "clock"): "input that came faster than it was served",
    ("net/server.py", "_rest", "timer"): "input that came faster than it was served",
    ("serve/doorways.py", "doorway", "log"): "a provider whose credential is none of its scheme",
    ("serve/doorways.py", "call", "timer"): "a call to such a provider",
    ("serve/doorways.py", "denied", "log"): "an access token that could not be had",
    ("serve/keeping.py", "keep", "log"): "an answer that its caller counts on and that has no id",
    ("serve/lectern.py", "_next", "clock"): "a body over half a mebibyte",
    ("serve/lector.py", "*", "*"): "the process that reads such bodies",
    ("net/client.py", "place", "task"): "a new upstream connection, which requests then share",
    ("net/client.py", "_dial", "coroutine"): "a new upstream connection",
    ("net/client.py", "_dial", "timer"): "a new upstream connection",
    ("net/client.py", "_connect", "coroutine"): "a new upstream connection",
    ("net/client.py", "_wait", "timer"): "a call that no connection is free for",
    ("net/egress.py", "*", "*"): "a URL that a caller named is fetched, which takes a task of its own",
    ("net/lookups.py", "*", "*"): "the name in such a URL is looked up, which takes a thread of its own",
    ("serve/journal.py", "append", "timer"): "one call per loop iteration, however many records",
    ("serve/journal.py", "note", "timer"): "one call per loop iteration, however many records",
    # The row of a request says how long it took, so the exact clock is read at these moments and not between them.
    ("serve/relay.py", "started", "clock"): "the attempt begins, once",
    ("serve/relay.py", "_head", "clock"): "the upstream's head came, once",
    ("serve/settle.py", "conclude", "clock"): "the request ends, once",
}


def kind_of(node: ast.AST) -> str | None:
    """What of the forbidden a node is; None for everything else."""
    match node:
        case ast.AsyncFunctionDef() | ast.Await() | ast.AsyncFor() | ast.AsyncWith():
            return "coroutine"
        case ast.Call(func=ast.Attribute(attr=attribute, value=receiver)):
            place = ast.unparse(receiver).lower()
            if attribute in SPEAKING and ("log" in place or "warnings" in place):
                return "log"
        case ast.Call(func=ast.Name(id=attribute)):
            if attribute in ("print", "warn"):
                return "log"
        case _:
            return None
    for what, words in (("task", TASKS), ("future", FUTURES), ("timer", TIMERS), ("clock", CLOCKS)):
        if attribute in words:
            return what
    return None


def costs(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    """Function, kind and line of everything forbidden in a module."""
    for inside, node in functions(tree):
        what = kind_of(node)
        if what is not None:
            yield inside, what, node.lineno  # type: ignore[attr-defined]


def row(module: str, inside: str, what: str) -> tuple[str, str, str] | None:
    """The row of `MAY` that covers it."""
    return next((each for each in ((module, inside, what), (module, "*", "*")) if each in MAY), None)


@pytest.mark.parametrize("path", modules("net", "serve"), ids=name)
def test_a_request_that_succeeds_pays_for_nothing_but_itself(path: Path) -> None:
    found = [f"{what} in {inside}, line {line}" for inside, what, line in costs(parsed(path)) if row(name(path), inside, what) is None]
    assert not found, f"not for a request that succeeds, or a row of MAY with the reason: {found}"


def test_no_permission_is_left_over() -> None:
    used = {row(name(path), inside, what) for path in modules("net", "serve") for inside, what, _ in costs(parsed(path))}
    assert not MAY.keys() - used, "remove these rows of MAY"


@pytest.mark.parametrize("path", modules("net", "serve"), ids=name)
def test_a_relay_uses_no_library_that_costs_more_than_it_does(path: Path) -> None:
    imported = {alias.name.split(".")[0] for node in ast.walk(parsed(path)) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {(node.module or "").split(".")[0] for node in ast.walk(parsed(path)) if isinstance(node, ast.ImportFrom)}
    assert not imported & LIBRARIES


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("_log.info('x')", "log"),
        ("self.log.warning('x', status=1)", "log"),
        ("print('x')", "log"),
        ("asyncio.create_task(x)", "task"),
        ("loop.create_task(x)", "task"),
        ("asyncio.ensure_future(x)", "task"),
        ("loop.run_in_executor(None, x)", "task"),
        ("loop.create_future()", "future"),
        ("asyncio.Future()", "future"),
        ("Future()", "future"),
        ("loop.call_later(1, x)", "timer"),
        ("self._loop.call_soon(x)", "timer"),
        ("time.time()", "clock"),
        ("monotonic()", "clock"),
        ("loop.time()", "clock"),
        ("self.gateway.monotonic()", "clock"),
        ("datetime.now()", "clock"),
        ("async def f(): pass", "coroutine"),
    ],
)
def test_the_rule_knows_what_it_forbids(line: str, what: str) -> None:
    found = {kind_of(node) for node in ast.walk(ast.parse(line))} - {None}
    assert found == {what}


def test_the_rule_lets_the_rest_be() -> None:
    for line in ("transport.write(x)", "now = clock.now", "msgspec.json.encode(x)", "self._log(x)", "math.log(x)", "queue.append(x)"):
        assert {kind_of(node) for node in ast.walk(ast.parse(line))} == {None}, line
