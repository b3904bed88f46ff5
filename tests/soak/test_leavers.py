"""The cast of the campaign of hang-ups: every place, dialect, cancel rule and way of telling usage, twenty times, and all ways to go."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

from soak.leavers import CUTS, configuration, leavers
from tests.harness.crowd import WAYS
from tests.harness.dialects import CLIENTS


def test_everything_that_the_goal_names_is_there_twenty_times() -> None:
    cast = [leaver for cut in CUTS for leaver in leavers(cut, random.Random(1), range(20))]
    kinds = Counter((leaver.cut.name, leaver.dialect, leaver.cancel, leaver.usage) for leaver in cast)
    assert len(CUTS) == 12 and len(cast) == 5760
    assert len(kinds) == 12 * 4 * 2 * 3 and set(kinds.values()) == {20}
    assert len({leaver.name for leaver in cast}) == len(cast)
    ways: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for leaver in cast:
        ways[leaver.cut.name, leaver.dialect, leaver.cancel, leaver.usage].add(leaver.way)
    assert all(found == set(WAYS) for found in ways.values())
    crossings = {(leaver.dialect, leaver.upstream) for leaver in cast}
    assert crossings == {(dialect, upstream) for dialect in CLIENTS for upstream in CLIENTS}
    # Five turns are on the way at once, and 64 answers are read for nobody.
    assert sum(not leaver.cancels for leaver in leavers(CUTS[3], random.Random(1), range(5))) <= 64
    toml = configuration("http://h", cast)
    assert all(f'id = "{leaver.model}"' in toml and f'model = "{leaver.theirs}"' in toml for leaver in cast)


def test_who_leaves_while_it_sends_has_not_sent_all() -> None:
    for cut in CUTS[:3]:
        for leaver in leavers(cut, random.Random(1), range(1)):
            head, blank, body = leaver.request("sk-key").partition(b"\r\n\r\n")
            assert (bool(blank), body.endswith(b"}")) == {"head": (False, False), "body": (True, False), "whole": (True, True)}[cut.sent]
            assert b"sk-key" in head or cut.sent == "head"
