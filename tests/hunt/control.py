"""The positive control: what a program does without a sandbox, each watcher sees."""

from __future__ import annotations

from pathlib import Path

from hunt import campaign
from hunt.outside.place import Place
from hunt.programs.steps import Program
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
    *("neighbour/sockets/tcp", "packets/tcp", "packets/udp", "neighbour/terminal/written"),
)
STOPPED: Program = (("signal", "kill", "pid:outside", 19),)


def blind(place: Place) -> list[str]:
    """The sights that should have come and did not."""
    seen = campaign.run(place, RUNGS[0], STEPS, is_bare=True).broken
    stopped = campaign.run(place, RUNGS[0], STOPPED, is_bare=True).broken
    Path("/tmp/hunt-left").unlink(missing_ok=True)
    missed = [each for each in EXPECTED if not any(sight.startswith(each) for sight in seen)]
    return missed + ([] if any(sight.startswith("process/state") for sight in stopped) else ["process/state"])
