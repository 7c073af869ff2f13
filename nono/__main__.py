"""``python -m nono`` and the console script."""

import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn

from nono.cli.main import main as run


def main() -> NoReturn:
    """Run the command of sys.argv and end the process with its status."""
    # What a start makes is there to stay: looking for garbage in it takes a tenth of a start's time. A run
    # with a loop turns it on again (nono.supervisor.loop).
    gc.disable()
    status = run()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # None, a reader that is gone, closed
            stream.flush()
    # Nothing is left to finalise: every descriptor, task and child had a block, which has been left. Taking
    # the interpreter apart would keep the caller waiting for 6 ms more, 19 with an event loop in it.
    os._exit(status)


if __name__ == "__main__":
    main()
