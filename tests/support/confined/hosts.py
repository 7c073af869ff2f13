"""List the hosts that refuse namespaces, each with what nono says there."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.kernelsim.kernel import Kernel
from support.nono_run import PROXY_ONLY, Ended, NonoRun
from support.running.needs import lacking

PROGRAM = str(Path(__file__).parent / "__main__.py")


@dataclass(frozen=True, slots=True)
class Host:
    """Where nono runs, with the cause and the remedy it names.

    Root has namespaces there if not holds_root, where the host of the suite has them.
    """

    cause: str
    remedy: str
    kind: str | None = None  # of __main__; None: a kernel without user namespaces
    holds_root: bool = True

    def holds(self, sandbox: NonoRun) -> bool:
        return self.holds_root or sandbox.user.uid != 0 or bool(lacking("namespaces", sandbox.user.uid))

    def run(self, sandbox: NonoRun, command: Sequence[str], *flags: str, proxied: bool = False) -> Ended:
        staged = [sys.executable, "-I", "-S", PROGRAM, str(self.kind)] if self.kind else ()
        wrapper = () if self.kind else Kernel(no_userns=True).command([])
        profile: Mapping[str, object] = PROXY_ONLY if proxied else {}
        return sandbox.run(command, profile=profile, flags=flags, stage=staged, wrapper=wrapper)


HOSTS = {
    "no user namespaces": Host("a seccomp filter of whatever started nono", "outside of", holds_root=False),
    "AppArmor": Host(
        "AppArmor restricts unprivileged user namespaces (mount_setattr: Operation not permitted [EPERM])",
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        "apparmor",
    ),
    "container": Host("the container's seccomp profile", "--security-opt seccomp=FILE", "container"),
    "covered": Host("files of /proc are covered here", "unmask=ALL", "covered", holds_root=False),
}
