"""The `local/*` models as a child of the supervisor: `python -m halley.simulator --local --listen-fd N --channel-fd M`.

No fault script exists in this process. It reads its `Launch` to the end, as every child does, and needs nothing from it.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys

from halley.simulator.assistant import MODEL, Assistant, packaged_docs, read_sections
from halley.simulator.run import run
from halley.simulator.upstream import Upstream

_GRACE_S = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m halley.simulator")
    parser.add_argument("--local", action="store_true", required=True, help="serve the local/* models")
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--channel-fd", type=int, required=True)
    options = parser.parse_args()
    sys.stdin.buffer.read()
    listening = socket.socket(fileno=options.listen_fd)

    def ready(_: Upstream) -> None:
        os.write(options.channel_fd, b"ready\n")
        os.close(options.channel_fd)

    run(Upstream(speakers={MODEL: Assistant(read_sections(packaged_docs()))}), listening, ready, _GRACE_S)


if __name__ == "__main__":
    main()
