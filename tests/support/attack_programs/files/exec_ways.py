"""Execute a program in ways that no path rule covers: exec_ways PROGRAM PORT.

PROGRAM is the path of a program that may not be executed. A copy in memory also connects to PORT.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

from support.attack_programs.outcome import Attempt, report_all

LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")


def run(execute: Callable[[], object]) -> Attempt:
    """Call execute in a child, which passes an errno on as its exit code. Raises OSError with that errno."""

    def attempt() -> None:
        pid = os.fork()
        if pid == 0:
            code = 255
            try:
                os.dup2(os.open(os.devnull, os.O_RDWR), 2)
                execute()
            except OSError as error:
                code = error.errno or 255
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        if code := os.waitstatus_to_exitcode(status):
            raise OSError(code, "the child") if code > 0 else OSError(-code, signal.Signals(-code).name)

    return attempt


def from_memory(source: str, *arguments: str) -> None:
    """Execute a program with memfd_create(2) and then execveat(2) of the descriptor."""
    descriptor = os.memfd_create("program")
    with open(source, "rb") as file:
        os.write(descriptor, file.read())
    os.execve(descriptor, [source, *arguments], dict(os.environ))


def main(program: str, interpreter_of_shell: str, port: str) -> None:
    loader = next((path for path in LOADERS if os.path.exists(path)), LOADERS[0])
    relative = os.path.relpath(program)
    connects = f"import socket; socket.create_connection(('127.0.0.1', {port}))"
    shell = (
        f'exec {interpreter_of_shell} -IS -c "import sys\ntry: {connects}\n'
        'except OSError as error: sys.exit(error.errno)"'
    )
    report_all(
        {
            "by its path": run(lambda: os.execv(program, [program])),
            "by ..": run(lambda: os.execv(relative, [relative])),
            "by /proc/self/root": run(lambda: os.execv(f"/proc/self/root{program}", [program])),
            "by O_PATH": run(lambda: os.execve(os.open(program, os.O_PATH), [program], {})),
            "copied into memory": run(lambda: from_memory(program)),
            "by the loader": run(lambda: os.execv(loader, [loader, program])),
            "what may be, in memory": run(lambda: from_memory("/bin/true")),
            "what may be, by the loader": run(lambda: os.execv(loader, [loader, "/bin/true"])),
            "a shell in memory that connects": run(lambda: from_memory("/bin/sh", "-c", shell)),
        }
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
