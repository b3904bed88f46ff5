"""Several nodes on one database, as an operator has them: a home each, one master key, one configuration file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.harness.gateway import Gateway
from tests.harness.postgres import Server


@contextmanager
def nodes(place: Path, toml: str, workers: Sequence[int], server: Server | None) -> Iterator[list[Gateway]]:
    """With so many relays each, on a new database of the server; without a server there can be one node only."""
    assert server is not None or len(workers) == 1
    made = [Gateway(place / f"{number}", toml, workers=count) for number, count in enumerate(workers)]
    database = server.create() if server is not None else ""
    with ExitStack() as stack:
        for node in made:
            node.home.mkdir(parents=True)
            if server is not None:
                server.hold(node, database)
            if node is not made[0]:
                shutil.copy(made[0].home / "master.key", node.home)
            stack.enter_context(node)
        yield made


def knows(node: Gateway, key: str) -> bool:
    """Whether a relay of the node takes the key."""
    with node.client() as client:
        reply = client.ask("GET", "/v1/models", key=key)
        reply.body()
        return reply.status == 200
