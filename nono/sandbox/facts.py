"""What this kernel can do for us, as found out by trying."""

from enum import StrEnum
from typing import NamedTuple


class Listener(StrEnum):
    """What became of a seccomp notify listener in a probe that was thrown away afterwards."""

    AVAILABLE = "available"
    BUSY = "busy"  # EBUSY: a filter of an ancestor has one already, and the kernel allows one per chain
    NOT_PROBED = "not_probed"  # the run has no use for one
    UNAVAILABLE = "unavailable"  # older kernel, or pidfd_getfd refused (Yama scope 2, a container's filter)


class HostFacts(NamedTuple):
    """One kernel, seen from an unprivileged process about to be restricted."""

    kernel_release: str
    landlock_abi: int  # 0: none; clamped to the newest ABI this code knows
    listener: Listener
    listener_detail: str  # the failed call and its errno, or "" when available
    network_namespace: bool  # a user and a network namespace can be made and its loopback brought up
    is_wsl2: bool  # words messages and decides nothing

    def to_message(self) -> dict[str, object]:
        return self._asdict()

    @classmethod
    def from_message(cls, message: dict[str, object]) -> "HostFacts":
        """The inverse of to_message, across JSON. ValueError when the other side is not this version."""
        if set(message) != set(cls._fields):
            raise ValueError(f"not host facts: {sorted(message)}")
        return cls(**(message | {"listener": Listener(str(message["listener"]))}))  # type: ignore[arg-type]  # the launcher is this very program
