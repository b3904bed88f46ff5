"""How far a request has come. Names instead of members, because a member look-up is not free and every read makes several."""

from __future__ import annotations

from enum import Enum


class Stage(Enum):
    ADMISSION = 0
    CREDIT = 1
    STARTING = 2
    HEAD = 3
    STREAM = 4
    WHOLE = 5
    ENDING = 6
    OVER = 7
    RECALLING = 8


ADMISSION, CREDIT, STARTING, HEAD, STREAM, WHOLE, ENDING, OVER, RECALLING = Stage
# Nothing is recorded yet: control is asked for something first.
ASKING = frozenset({CREDIT, RECALLING})
