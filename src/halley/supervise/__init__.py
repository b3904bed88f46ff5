"""What keeps a node up: `supervisor` (the loop), `child` (one process), `doors` (socket, lock, directories), `lifeline` (in the child).

It never serves a request, opens the store, or reads configuration: it is handed a `Launch` and an open socket.
"""
