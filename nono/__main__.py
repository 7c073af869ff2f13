"""Start nono: `python -m nono` and the console script."""

from __future__ import annotations

import gc
import os
import sys

from nono.bytecode import finder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Run the command of sys.argv and end the process with its status."""
    # Objects made at startup stay alive: collecting garbage among them takes a tenth of the startup time. A
    # run with a loop turns the collector on again (nono.supervisor.loop).
    gc.disable()
    finder.install()
    # Imported here: from the file of bytecode.
    from nono.cli.main import main as run

    status = run()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            continue  # None, a reader that is gone, closed
    # Nothing is left to finalise: the blocks that owned descriptors, tasks and children have been left.
    # Finalising the interpreter would keep the caller waiting another 6 ms, or 19 with an event loop.
    os._exit(status)


if __name__ == "__main__":
    main()
