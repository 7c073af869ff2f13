"""`python -m hunt`: look for ways out of the sandbox; 1 when one was seen, 2 when nobody can look here."""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from confined.hosts import HOSTS
from hunt.hunting import CHOICES, Hunt
from hunt.outside import stage
from hunt.ways import RUNGS


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="hunt", description=__doc__)
    length_s = float(os.environ.get("HUNT_S", "600"))
    parser.add_argument("--seconds", type=float, default=length_s, help="how long (HUNT_S, or ten minutes)")
    parser.add_argument("--seed", type=int, help="of another run, to repeat its choices")
    parser.add_argument("--rung", choices=[way.rung for way in RUNGS], action="append")
    parser.add_argument("--host", choices=HOSTS, help="confine nono as this one does (make test-confined)")
    parser.add_argument("--sweep", choices=CHOICES, action="append", help="only these of them")
    parser.add_argument(
        "--keep", type=Path, default=Path(tempfile.gettempdir(), "nono-hunt"), metavar="FOLDER"
    )
    parser.add_argument("--plant", action="store_true", help="grant the canaries, which has to be seen")
    parser.add_argument("--replay", action="store_true", help="run what was once found, and nothing else")
    parser.add_argument(
        "--control", action="store_true", help="attack without a sandbox, which has to be seen"
    )
    given = parser.parse_args(argv)
    seed = random.randrange(1 << 32) if given.seed is None else given.seed
    given.keep.mkdir(parents=True, exist_ok=True)
    keep = os.open(given.keep, os.O_PATH)  # the machine has a /tmp of its own
    try:
        packets = stage.enter()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"hunt: no machine of its own can be made here: {error}", file=sys.stderr)
        return 2
    print(f"hunt: {given.seconds:.0f} s, seed {seed}", flush=True)
    hunt = Hunt(packets, random.Random(seed), time.monotonic() + given.seconds, given.rung, given.sweep)
    hunt.is_planted = given.plant
    hunt.host = HOSTS.get(given.host)
    if given.control:
        hunt.control()
    elif given.replay:
        hunt.replay()
    else:
        hunt.run()
    return hunt.report(Path(f"/proc/self/fd/{keep}"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
