"""The command line of the campaigns; `script/soak` calls it in the development environment."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from pathlib import Path

from soak.campaign import Campaign, Effort, Unavailable, campaigns, say
from tests.harness.postgres import NoServer, running


def main() -> int:
    known = campaigns()
    parser = argparse.ArgumentParser(prog="script/soak", description="Campaigns of faults against a whole gateway. No name: all.")
    parser.add_argument("names", nargs="*", metavar="CAMPAIGN", help="one or more of: " + ", ".join(known))
    parser.add_argument("--list", action="store_true", help="say what there is, and stop")
    parser.add_argument("--short", action="store_true", help="the size for continuous integration instead of the full one")
    parser.add_argument("--rounds", type=int, help="rounds instead of the campaign's own number")
    parser.add_argument("--seconds", type=float, help="seconds instead of the campaign's own time")
    parser.add_argument("--seed", type=int, help="the seed of a failed run (default: a new one, which is printed)")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite", help="where stores are (default: sqlite)")
    parser.add_argument("--json", action="store_true", help="print one JSON object with all figures")
    options = parser.parse_args()
    if options.list:
        for campaign in known.values():
            print(f"{campaign.name:14} {campaign.goal:6} {campaign.about}")
        return 0
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"no campaign {', '.join(unknown)}; there are {', '.join(known)}")
    able = [name for name in known if known[name].on_postgres or options.database == "sqlite"]
    if unable := set(options.names) - set(able):
        parser.error(f"{', '.join(sorted(unable))} cannot be run on PostgreSQL; {', '.join(able)} can")
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(running()) if options.database == "postgres" else None
        except NoServer as lack:
            parser.error(str(lack))
        results = {name: _one(known[name], replace(_effort(known[name], options), postgres=server)) for name in options.names or able}
    if options.json:
        print(json.dumps(results, indent=2))
    failed = sum("failed" in result for result in results.values())
    print(f"{len(results) - failed} passed, {failed} failed", file=sys.stderr)
    return 1 if failed else 0


def _effort(campaign: Campaign, options: argparse.Namespace) -> Effort:
    effort = campaign.short if options.short else campaign.full
    given = {name: value for name in ("rounds", "seconds") if (value := getattr(options, name)) is not None}
    return replace(effort, seed=options.seed if options.seed is not None else random.randrange(1 << 32), **given)


def _one(campaign: Campaign, effort: Effort) -> dict[str, object]:
    say(f"{campaign.name} ({campaign.goal}): rounds {effort.rounds}, seconds {effort.seconds:g}, seed {effort.seed}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"halley-soak-{campaign.name}-") as name:
        try:
            figures: dict[str, object] = dict(campaign.run(Path(name), effort))
        except Unavailable as lack:
            # Where everything is promised to be there, a campaign that cannot run has failed.
            figures = {"failed" if os.environ.get("CI") == "true" else "skipped": str(lack)}
        except Exception as fault:  # the next campaign runs all the same
            traceback.print_exc()
            figures = {"failed": f"{type(fault).__name__}: {fault}", "again": f"script/soak {campaign.name} --seed {effort.seed}"}
    figures = {"seed": effort.seed, "seconds": round(time.monotonic() - began, 1), **figures}
    say(f"{campaign.name}: " + ", ".join(f"{key} {value}" for key, value in figures.items()))
    return figures


if __name__ == "__main__":
    sys.exit(main())
