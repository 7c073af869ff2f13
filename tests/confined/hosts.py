"""Say what each host lacks, for root and for an ordinary user; whatever else is missing is a mistake."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

CONFINED = str(Path(__file__).parents[1] / "support/confined")

PRIVILEGES = frozenset({"CAP_SYS_ADMIN", "CAP_SYS_PTRACE", "sysctls"})  # of root alone, and no container's
NONE = frozenset({"mounts", "namespaces", "network namespace", "user namespaces", "namespace sysctls"})
CALLS = frozenset({"keyrings", "io_uring", "userfaultfd", "perf_event_open"})  # that an engine refuses
ENGINE = PRIVILEGES | CALLS | {"namespaces", "namespace sysctls"}
DOCKER = NONE | ENGINE | {"pidfd_getfd", "listener", "unshare", "setuid programs"}
BUSY = frozenset({"listener", "place for a listener"})


@dataclass(frozen=True, slots=True)
class Host:
    """What an ordinary user lacks, and what root does; None where it does not confine root.

    own: what the user lacks beside that, if it made the host without root.
    """

    kind: str  # of support.confined
    user: frozenset[str]
    root: frozenset[str] | None
    own: frozenset[str] = frozenset()

    def stage(self, *options: str) -> list[str]:
        """Return the beginning of an argv: the rest runs on this host."""
        return [sys.executable, "-I", "-S", CONFINED, *options, self.kind]


# An ordinary user maps its own id alone, and installs a filter with no_new_privs only.
MAPPED, HELD = frozenset({"files of root"}), frozenset({"setuid programs"})
HOSTS = {
    "container": Host("container", DOCKER, DOCKER, MAPPED),
    "podman": Host("podman", ENGINE, ENGINE, MAPPED),
    "no-userns": Host(
        "no-userns", NONE | PRIVILEGES, frozenset({"user namespaces", "namespace sysctls"}), HELD
    ),
    "apparmor": Host("apparmor", (NONE - {"namespace sysctls"}) | PRIVILEGES, None, MAPPED),
    "notify-busy": Host("notify-busy", BUSY | PRIVILEGES, BUSY, HELD),
}
