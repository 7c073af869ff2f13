"""Say what each host lacks, for root and for an ordinary user; whatever else is missing is a mistake."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

CONFINED = str(Path(__file__).parents[1] / "support/confined")

PRIVILEGES = frozenset({"CAP_SYS_PTRACE", "sysctls"})  # of root alone, and no container's
NONE = frozenset({"mounts", "namespaces", "network namespace", "user namespaces"})
DOCKER = (
    NONE
    | PRIVILEGES
    | {
        "pidfd_getfd",
        "listener",
        "keyrings",
        "io_uring",
        "userfaultfd",
        "unshare",
        "setuid programs",
    }
)
PODMAN = PRIVILEGES | {"namespaces", "keyrings", "io_uring", "userfaultfd"}
BUSY = frozenset({"listener", "place for a listener"})


@dataclass(frozen=True, slots=True)
class Host:
    """What an ordinary user lacks, and what root does; None where it does not confine root."""

    kind: str  # of support.confined
    user: frozenset[str]
    root: frozenset[str] | None

    def stage(self, *options: str) -> list[str]:
        """Return the beginning of an argv: the rest runs on this host."""
        return [sys.executable, "-I", "-S", CONFINED, *options, self.kind]


HOSTS = {
    "container": Host("container", DOCKER, DOCKER),
    "podman": Host("podman", PODMAN, PODMAN),
    "no-userns": Host("no-userns", NONE | PRIVILEGES, frozenset({"user namespaces"})),
    "apparmor": Host("apparmor", NONE | PRIVILEGES, None),
    "notify-busy": Host("notify-busy", BUSY | PRIVILEGES, BUSY),
}
