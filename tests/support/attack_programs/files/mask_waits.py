"""Read paths from stdin, and report for each whether it is masked soon and can then be removed.

"mkdir PATH" first creates a directory that is not empty; "gone PATH" only waits until nothing is there, and
"kill PID" only sends that signal.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from contextlib import suppress

from support.attack_programs.outcome import outcome, report

LIMIT_S = 20.0


def is_refused(path: str) -> bool:
    """Check for a mask: a masked directory is empty for everybody, and a masked file is read-only."""
    try:
        if os.path.isdir(path):
            return not os.listdir(path)
        os.close(os.open(path, os.O_WRONLY))
    except FileNotFoundError:  # it does not exist yet
        return False
    except PermissionError:
        return True
    except OSError as error:
        return error.errno == errno.EROFS
    return False


def main() -> None:
    report("ready")
    for line in sys.stdin:
        verb, _, path = line.rstrip().rpartition(" ")
        if verb == "kill":
            report(outcome(lambda pid=int(path): os.kill(pid, signal.SIGKILL)))  # type: ignore[misc]  # bound
            continue
        if verb == "mkdir":
            os.mkdir(path)
            with suppress(OSError):  # it is masked already
                open(f"{path}/something", "w").close()
        ends = time.monotonic() + LIMIT_S
        if verb == "gone":
            while os.path.lexists(path) and time.monotonic() < ends:
                time.sleep(0.001)
            report("still there" if os.path.lexists(path) else "gone")
            continue
        while not (refused := is_refused(path)) and time.monotonic() < ends:
            time.sleep(0.001)
        removal = outcome(lambda path=path: os.rmdir(path) if os.path.isdir(path) else os.unlink(path))  # type: ignore[misc]  # bound
        report({"masked": refused, "removal": removal})


if __name__ == "__main__":
    main()
