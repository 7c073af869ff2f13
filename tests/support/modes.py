"""List the ways to confine a proxy-only run without a listener of nono's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nono.kernel import landlock
from support.kernelsim.kernel import Kernel

HAS_TCP_RULES = landlock.abi_version() >= 4


@dataclass(frozen=True, slots=True)
class Mode:
    """One of the ways. flags are options of `nono run`."""

    kernel: Kernel
    rung: str
    flags: tuple[str, ...] = ()

    @property
    def wrapper(self) -> Sequence[str]:
        return () if self.kernel == Kernel() else self.kernel.command([])


BUSY = Kernel(notify_busy=True)
NETNS = ("--sandbox-policy=netns",)
MODES = {
    "busy": Mode(BUSY, "landlock"),
    "busy, no user namespaces": Mode(Kernel(notify_busy=True, no_userns=True), "landlock"),
    "netns": Mode(Kernel(), "netns", NETNS),
    "netns, busy, Landlock V3": Mode(Kernel(notify_busy=True, landlock_abi=3), "netns", NETNS),
}


def available(mode: Mode) -> bool:
    """Return True if this kernel can confine a run in that way."""
    return mode.rung != "landlock" or HAS_TCP_RULES
