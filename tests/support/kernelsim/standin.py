"""Answer one consulted call in the kernel's place, with the caller's memory available."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from support.kernelsim.answers import Answer, Call, Imagined, LeaveToHost, Verdict, decide
from support.kernelsim.calls import architecture, read_memory, write_memory

if TYPE_CHECKING:
    from support.kernelsim.kernel import Kernel

WSL2_VERSION = "#1 SMP PREEMPT_DYNAMIC Thu Jun  5 18:30:46 UTC 2025"
UTSNAME_FIELD_BYTES = 65  # struct new_utsname, linux/utsname.h: six of them


def imagine(kernel: Kernel) -> Imagined:
    """Return the values that the answers depend on, taken from the host where `kernel` gives none."""
    return Imagined(
        landlock_abi=kernel.landlock_abi,
        landlock_absent_errno=getattr(errno, kernel.landlock_errno),
        utsname=_utsname(kernel.release, kernel.wsl2) if kernel.release else None,
    )


def _utsname(release: str, wsl2: bool) -> bytes:
    host = os.uname()
    with open("/proc/sys/kernel/domainname") as file:
        domainname = file.read().strip()
    version = WSL2_VERSION if wsl2 else host.version
    fields = (host.sysname, host.nodename, release, version, host.machine, domainname)
    width = UTSNAME_FIELD_BYTES
    return b"".join(os.fsencode(field)[: width - 1].ljust(width, b"\0") for field in fields)


class StandIn(NamedTuple):
    """Stand in for the kernel that `imagined` describes. With `verbose`, every answer goes to stderr."""

    imagined: Imagined
    verbose: bool = False

    def answer(
        self, tid: int, number: int, args: tuple[int, ...], still_waiting: Callable[[], bool] = lambda: True
    ) -> int | None:
        """Return what the call returns (negative errno: a failure), or None: the host's kernel handles it.

        `still_waiting` says, after the last look at `tid`, whether it is still the caller and not a
        successor.
        """
        call = Call(_name(number), args)
        verdict = self._store(tid, decide(self.imagined, call, self._reader(tid)), still_waiting)
        if self.verbose:
            arguments = ", ".join(f"{arg:#x}" for arg in args[:4])
            result = "left to the host" if isinstance(verdict, LeaveToHost) else f"= {verdict.value}"
            say(f"{tid} {call.name}({arguments}) {result}: {verdict.reason}")
        return None if isinstance(verdict, LeaveToHost) else verdict.value

    def _reader(self, tid: int) -> Callable[[int, int], bytes]:
        def read(address: int, size: int) -> bytes:
            try:
                return read_memory(tid, address, size)
            except PermissionError:
                say(f"process {tid} made itself unreadable: its ruleset is answered EFAULT")
                raise

        return read

    def _store(self, tid: int, verdict: Verdict, still_waiting: Callable[[], bool]) -> Verdict:
        if isinstance(verdict, LeaveToHost) or not verdict.store or not still_waiting():
            return verdict
        try:
            write_memory(tid, verdict.address, verdict.store)
        except PermissionError:
            say(f"process {tid} made itself unwritable: uname(2) tells it the truth")
            return LeaveToHost("the caller's memory cannot be written")
        except OSError:
            return Answer(-errno.EFAULT, "no such memory")
        return verdict


def _name(number: int) -> str:
    return next(name for name, known in architecture().numbers.items() if known == number)


def say(message: str) -> None:
    print(f"kernelsim: {message}", file=sys.stderr, flush=True)
