"""Try to reach what a command without namespaces shares with the other programs of the user.

neighbours PID TERMINAL: a process of the user outside, and a terminal of theirs.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from support.attack_programs.outcome import Attempt, outcome, report, syscall

KEY_OF_ITS_OWN = 0  # IPC_PRIVATE (<linux/ipc.h>)
IPC_RMID = 0
IOPRIO_WHO_PROCESS, IOPRIO_CLASS_IDLE = 1, 3 << 13
KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING = 0, -4


def make_ipc(make: str, remove: str, *arguments: int) -> None:
    syscall(remove, syscall(make, KEY_OF_ITS_OWN, *arguments), *((0,) if make == "semget" else ()), IPC_RMID)


def attempts(pid: int, terminal: str) -> dict[str, Attempt]:
    return {
        "terminal": lambda: os.close(os.open(terminal, os.O_RDWR | os.O_NOCTTY)),
        "environ": lambda: Path(f"/proc/{pid}/environ").read_bytes(),
        "mem": lambda: Path(f"/proc/{pid}/mem").open("rb").close(),
        "shmget": lambda: make_ipc("shmget", "shmctl", 4096, 0o600),
        "semget": lambda: make_ipc("semget", "semctl", 1, 0o600),
        "msgget": lambda: make_ipc("msgget", "msgctl", 0o600),
        "sched_setscheduler": lambda: os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0)),
        "sched_setaffinity": lambda: os.sched_setaffinity(pid, os.sched_getaffinity(0)),
        "setpriority": lambda: os.setpriority(os.PRIO_PROCESS, pid, 10),
        "ioprio_set": lambda: syscall("ioprio_set", IOPRIO_WHO_PROCESS, pid, IOPRIO_CLASS_IDLE),
        "keyctl": lambda: syscall("keyctl", KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 1),
    }


def main(pid: int, terminal: str) -> None:
    made = tempfile.mkdtemp()
    (Path(made) / "file").write_text("x")
    report({name: outcome(attempt) for name, attempt in attempts(pid, terminal).items()} | {"made": made})


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
