"""`python -m hunt.traffic`: look for what clients of the proxy can learn or do; 1 when something was seen."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from hunt.traffic.campaign import Campaign
from hunt.traffic.ends.stage import stage
from hunt.traffic.hunting import LONG_S, Hunt, real_servers
from hunt.traffic.planted import planted


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="hunt.traffic", description=__doc__)
    length_s = float(os.environ.get("HUNT_S", "600"))
    parser.add_argument("--seconds", type=float, default=length_s, help="how long (HUNT_S, or ten minutes)")
    parser.add_argument("--seed", type=int, help="of another hunt, to repeat its choices")
    parser.add_argument(
        "--keep", type=Path, default=Path(tempfile.gettempdir(), "nono-hunt-traffic"), metavar="FOLDER"
    )
    parser.add_argument("--replay", action="store_true", help="play what was once found, and nothing else")
    parser.add_argument("--all-servers", action="store_true", help="also those that are slow to start")
    parser.add_argument("--no-servers", action="store_true", help="programs alone")
    parser.add_argument(
        "--plant", action="store_true", help="put faults into the proxy, which have to be seen"
    )
    given = parser.parse_args(argv)
    seed = random.randrange(1 << 32) if given.seed is None else given.seed
    print(f"hunt of the proxy: {given.seconds:.0f} s, seed {seed}", flush=True)
    with stage() as where, planted() if given.plant else nullcontext():
        hunt = Hunt(Campaign(where), seed, time.monotonic() + given.seconds)
        if given.replay:
            hunt.replay()
        elif given.no_servers:
            hunt.run()
        else:
            wants_all = given.seconds >= LONG_S or given.all_servers
            with (
                tempfile.TemporaryDirectory() as folder,
                real_servers(Path(folder), all_of_them=wants_all) as servers,
            ):
                hunt.run(servers)
        return hunt.report(given.keep)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
