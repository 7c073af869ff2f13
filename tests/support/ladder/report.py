"""Print as JSON what a process has inherited, inside a sandbox or outside. Run by its path."""

from __future__ import annotations

import json
import os
import resource

LIMITS = ("RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_STACK", "RLIMIT_FSIZE", "RLIMIT_NPROC")
STATUS = ("SigBlk", "SigIgn", "NoNewPrivs", "Seccomp", "CapEff", "CapPrm", "CapInh", "Groups")


def main() -> None:
    open_descriptors = descriptors()
    with open("/proc/self/status") as status:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
    print(
        json.dumps(
            {
                "umask": os.umask(0o077),
                "nice": os.getpriority(os.PRIO_PROCESS, 0),
                "limits": {name: resource.getrlimit(getattr(resource, name)) for name in LIMITS},
                "leads_group": os.getpgrp() == os.getpid(),
                "session": os.getsid(0),
                "group": os.getpgrp(),
                "terminals": [os.isatty(number) for number in range(3)],
                "descriptors": open_descriptors,
                "uid": os.getresuid(),
                "gid": os.getresgid(),
                **{name: lines[name].strip() for name in STATUS},
            }
        )
    )


def descriptors() -> list[int]:
    """Return the descriptors that were open before this call: the one that listdir() used is closed again."""
    listed = sorted(int(name) for name in os.listdir("/proc/self/fd"))
    return [number for number in listed if os.path.exists(f"/proc/self/fd/{number}")]


if __name__ == "__main__":
    main()
