"""Read the frozen seccomp programs, ``<machine>/<name>.bpf``: sequences of struct sock_filter.

``python -m nono.kernel.filters.freeze`` makes them from the rules in nono/kernel/filters/bpf.py. They are
frozen because loading libseccomp costs more than everything else a short run does. A missing program is
built in memory and never read from a file that a command could have written.
"""

from __future__ import annotations

import os

from nono.errors import SandboxError

DIRECTORY = os.path.dirname(__file__)
MACHINES = ("x86_64", "aarch64")  # as uname(2) spells them


def load(name: str, machine: str | None = None) -> bytes:
    """Return the program `name` of nono.kernel.filters.bpf, such as ``tcp_only``, for a machine.

    machine: as uname(2) spells it; None for this one.

    Raises SandboxError if none is frozen for that machine, and libseccomp cannot build it here.
    """
    machine = machine or os.uname().machine
    try:
        return frozen(name, machine)
    except FileNotFoundError:
        return _built(name, machine)


def frozen(name: str, machine: str) -> bytes:
    """Read a shipped program. Raises FileNotFoundError if it is not shipped."""
    with open(os.path.join(DIRECTORY, machine, f"{name}.bpf"), "rb") as file:
        return file.read()


def _built(name: str, machine: str) -> bytes:
    # Imported here: a machine with frozen programs never needs it.
    from nono.kernel.filters import bpf, build

    (program,) = (program for program in bpf.PROGRAMS if program.name == name)
    try:
        return build.build(program, machine)
    except KeyError:
        reason = "nono does not know the system calls of this machine"
    except ImportError as error:
        reason = str(error)
    except OSError as error:
        reason = f"libseccomp refused a rule ({error.strerror})"
    raise SandboxError(f"no seccomp filter for {machine} is shipped, and none can be built: {reason}.")
