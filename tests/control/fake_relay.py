"""A scripted relay process: takes its lock, writes the journal it is told to, and lives until it is killed."""

from __future__ import annotations

import sys
import time

sys.dont_write_bytecode = True

if __name__ == "__main__":
    import fcntl
    import os

    stem, text = sys.argv[1], sys.stdin.buffer.read()
    lock = os.open(stem + ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    file = os.open(stem + ".0.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(file, text)
    print("written", flush=True)
    time.sleep(60)
