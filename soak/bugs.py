"""Bugs on purpose: a campaign lays this file into a gateway's path as `sitecustomize`; what fails then has a secret in its words.

A chat request whose text says `trigger-bug`, `trigger-task` or `trigger-callback` ends in an exception of that kind at the relay;
`halley models` in one at the control process.
"""

from __future__ import annotations

import asyncio
import builtins
import os
import sys
from collections.abc import Callable
from typing import Any

_plain_import = builtins.__import__


def _break_admission(admit: Any) -> None:
    def bug(run: Any) -> None:
        words = f"{run.request.body.decode()} {run.request.fields.get(b'authorization')} {os.environ['HALLEY_BUG']}"
        loop = asyncio.get_running_loop()
        if "trigger-bug" in words:
            raise ValueError(words)
        if "trigger-task" in words:
            loop.create_task(_fail(words))  # noqa: RUF006 - that nobody holds it is the bug
        if "trigger-callback" in words:
            loop.call_soon(_fail_now, words)

    admit.AFTER_READING = (*admit.AFTER_READING, bug)


def _break_office(office: Any) -> None:
    def bug(desk: Any, asked: object) -> None:
        raise ValueError(desk.store.pepper.reveal(), desk.plan, asked, os.environ["HALLEY_BUG"])

    office.OPERATIONS["models"] = office.OPERATIONS["models"]._replace(run=bug)


async def _fail(words: str) -> None:
    raise KeyError(words)


def _fail_now(words: str) -> None:
    raise RuntimeError(words)


# Module, what it has once it is complete, and what is done to it then.
_PLANS: dict[str, tuple[str, Callable[[Any], None]]] = {
    "halley.serve.admit": ("AFTER_READING", _break_admission),
    "halley.control.office": ("OPERATIONS", _break_office),
}


def _import(name: str, *rest: Any, **more: Any) -> Any:
    module = _plain_import(name, *rest, **more)
    for target, (ready, change) in list(_PLANS.items()):
        if hasattr(sys.modules.get(target), ready):
            del _PLANS[target]
            change(sys.modules[target])
    return module


if os.environ.get("HALLEY_BUG"):
    builtins.__import__ = _import
