"""Prints as JSON what undo takes for a tree: python undo.py TREE STATE TURNS.

A first baseline, an end and a second baseline in a fresh state directory; then marks of few changed files,
and the size of what is kept after TURNS of them.
"""

import json
import os
import sys
import time

from nono.undo import baseline, kept
from nono.undo.model.left_out import LeftOut
from nono.undo.model.session import Info
from nono.undo.recording import Limits, Recording

CHANGED = 3  # files in each turn
STARTED, LIMITS = "2026-01-01T00:00:00+00:00", Limits(10, 5 << 30)


def main(tree: str, state: str, turns: int) -> dict[str, float]:
    environ = {"HOME": state, "XDG_STATE_HOME": state}
    files = [os.path.join(tree, f"d{number}/f0") for number in range(CHANGED)]

    def begun(number: int) -> tuple[float, Recording]:
        info = Info(f"{number:016x}", STARTED, number, ("true",), (tree,), LeftOut())
        began = time.perf_counter()
        taken = baseline.begin(environ, info, LIMITS, lambda count: None)
        return time.perf_counter() - began, taken

    first_s, taken = begun(1)
    began = time.perf_counter()
    taken.finish(0)
    end_s = time.perf_counter() - began
    taken.close()
    again_s, taken = begun(2)
    marks_s = []
    for turn in range(turns):
        for file in files:
            with open(file, "a") as changed:
                changed.write(f"turn {turn}\n")
        began = time.perf_counter()
        taken.mark(f"before turn {turn}", files)
        marks_s.append(time.perf_counter() - began)
    taken.finish(0)
    taken.close()
    root = kept.root_of(environ)
    seen = set[tuple[int, int]]()
    size = sum(kept.size_of(os.path.join(root, name), seen) for name in kept.names(root))
    mark_s = sorted(marks_s)[len(marks_s) // 2]
    return {"first_s": first_s, "again_s": again_s, "end_s": end_s, "mark_s": mark_s, "size": size}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
