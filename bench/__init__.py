"""The benchmark: a gateway on one pinned core, a fake upstream and the load on another, and a row only after its answers were checked."""
