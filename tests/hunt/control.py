"""The positive control: what a program does without a sandbox, each watcher sees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hunt import campaign
from hunt.outside.place import Place
from hunt.programs.steps import Program
from hunt.programs.sweeps import N_NULL
from hunt.ways import RUNGS

# A step, and the sight that has to come of it.
STEPS: Program = (
    ("open", "path:secret", 0),
    ("call", "truncate", "path:temporary", 3),
    ("call", "openat", -100, "path:fresh", 0o102, 0o600),
    ("call", "openat", -100, "text:/tmp/hunt-left", 0o102, 0o600),
    ("signal", "kill", "pid:outside", 10),
    ("call", "setpriority", 0, "pid:outside", 5),
    ("call", "shmat", "id:shm", 0, 0),
    ("call", "msgrcv", "id:msg", "buf", 64, 0, 0o4000),
    ("call", "semop", "id:sem", "zeros", 1),
    ("call", "mq_unlink", "text:hunt-canary"),
    ("call", "connect", "fd:unix", "sa:abstract", 14),
    ("option", 1, 1, 0, 1, 2, "sa:service"),
    ("call", "connect", "fd:tcp", "sa:inner", 16),
    ("call", "connect", "fd:tcp", "sa:stranger", 16),
    ("call", "sendto", "fd:datagram", "page", 16, 0, "sa:stranger", 16),
    ("call", "write", "fd:terminal", "page", 4),
    ("call", "fcntl", "fd:stdin", 4, 0o4000),
    ("call", "fcntl", "fd:stdin", 8, "pid:outside"),
    ("call", "fcntl", "fd:stdin", 10, 23),
    ("call", "fcntl", "fd:stdout", 4, 1),
    ("ioctl", "stdin", 0x5414, "page"),
    ("ioctl", "stdin", 0x540C, 0),
    ("ioctl", "stdin", 0x541A, "page"),
)
EXPECTED = (
    *("secrets/open", "neighbour/events/", "neighbour/files/temporary/there", "neighbour/files/fresh/there"),
    *(
        "left/files//tmp/hunt-left",
        "neighbour/signals/10",
        "process/nice",
        "neighbour/ipc/shm",
        "neighbour/ipc/msg",
    ),
    *("neighbour/ipc/sem", "neighbour/queue", "neighbour/sockets/abstract", "neighbour/sockets/service"),
    *("streams/stdin/flags", "streams/stdin/owner", "streams/stdin/signal", "streams/stdout/flags"),
    *("terminal/size", "terminal/exclusive", "terminal/modes"),
    *("neighbour/sockets/tcp", "packets/tcp", "packets/udp", "neighbour/terminal/written"),
)
STOPPED: Program = (("signal", "kill", "pid:outside", 19),)
DEAD: Program = (("ioctl", "stdin", 0x5423, N_NULL),)


ATTEMPTS = 3  # a step has a moment, which a busy machine may not give it


def blind(place: Place) -> list[str]:
    """Return the sights that should have been seen and were not."""
    missed = [
        *_missed(place, STEPS, EXPECTED),
        *_missed(place, STOPPED, ("process/state",)),
        *_missed(place, DEAD, ("terminal/discipline",)),
    ]
    Path("/tmp/hunt-left").unlink(missing_ok=True)
    return missed


def _missed(place: Place, program: Program, expected: Sequence[str]) -> Sequence[str]:
    for _ in range(ATTEMPTS):
        seen = campaign.run(place, RUNGS[0], program, is_bare=True).broken
        expected = [each for each in expected if not any(sight.startswith(each) for sight in seen)]
        if not expected:
            break
    return expected
