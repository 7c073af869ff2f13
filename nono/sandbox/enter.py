"""What a process does to itself between deciding to become the command and execve."""

import fcntl
import os
import signal
import stat
from collections.abc import Collection
from typing import TYPE_CHECKING

from nono.errors import LaunchError, SandboxError
from nono.kernel import capabilities, filters, process, seccomp
from nono.kernel.uapi.process import AF_UNIX
from nono.named_tuple import NamedTuple
from nono.sandbox.apply import restrict
from nono.sandbox.plan.enforcement import NotifyProgram, StaticFilter
from nono.sandbox.plan.plan import SandboxPlan

if TYPE_CHECKING:
    import socket


class Command(NamedTuple):
    """What is executed: program is an absolute path, argv[0] is what it sees as its name."""

    program: str
    argv: tuple[str, ...]
    environment: dict[str, str]
    workdir: str


def default_signals() -> None:
    """Undo what Python set: an ignored signal, as two of these are, stays so across execve (signal(7)).

    What the caller ignores stays ignored, as nohup(1) and a shell's background commands need it; of the
    first two Python does not keep what they were.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def open_missing_standard_streams() -> None:
    """A closed 0, 1 or 2 would be handed to the next socket, which the command would then inherit."""
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor >= process.FIRST_PRIVATE_DESCRIPTOR:
            os.close(descriptor)
            return
        os.set_inheritable(descriptor, True)


def enter(plan: SandboxPlan, command: Command, *, keep: Collection[int] = ()) -> int | None:
    """Restrict this process for command, for ever; its notify listener's number, if the plan has one.

    Every descriptor from 3 on is closed but those in keep, which must be close-on-exec. SandboxError,
    LaunchError or OSError when any part of the plan does not hold: the process must then end.
    """
    # Read while files of nono's own can still be opened.
    listener_program = None if plan.listener is None else filters.load(plan.listener.value)
    process.close_range_from(process.FIRST_PRIVATE_DESCRIPTOR, keep=set(keep))
    if plan.static_filter is not StaticFilter.OPEN_NET:
        _check_standard_streams(may_be_network=not plan.private_network)
    elif plan.listener in (NotifyProgram.UNIX_PATHS, NotifyProgram.UNIX_PATHS_OPENS):
        _check_standard_streams(may_be_network=True, only_unix=True)
    holds_all = _mask(plan)
    os.chdir(command.workdir)
    if holds_all:
        # They came with the user namespace, and with them the command could take the masks away.
        capabilities.drop_all()
    else:
        capabilities.drop_dangerous()
    restrict(plan)
    return None if listener_program is None else seccomp.install_listener(listener_program)


def _mask(plan: SandboxPlan) -> bool:
    """Lay the masks of plan, if it has any; whether that left this process with every capability.

    What is looked up by its path from now on is looked up beside them. A directory on a standard stream would
    lead past them, but Python does not start with one.
    """
    if not plan.masks:
        return False
    # Imported here: most runs mask nothing.
    from nono.sandbox import mask_keeper, mask_mounts

    holds_all = mask_mounts.enter_private_mounts()
    try:
        mask_mounts.mask_paths(plan.masks, plan.pinned)
        mask_keeper.fork_mask_keeper(plan)
    except mask_mounts.MaskError as error:
        raise SandboxError(f"{error}.") from error
    return holds_all


def _check_standard_streams(*, may_be_network: bool, only_unix: bool = False) -> None:
    """LaunchError for a socket that can be addressed: the filters only keep new ones from being made.

    A datagram socket is addressed at every send. A stream can be connected anew, in the network where it was
    made, which must not be the one outside where the command has one of its own.
    """
    for descriptor in range(process.FIRST_PRIVATE_DESCRIPTOR):
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            continue
        import socket  # here, since hardly any run has a socket for a standard stream

        copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, process.FIRST_PRIVATE_DESCRIPTOR)
        with socket.socket(fileno=copy) as stream:
            if only_unix and stream.family != AF_UNIX:
                continue
            if stream.type not in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
                raise LaunchError(
                    f"standard stream {descriptor} is a datagram or raw socket, "
                    "which can send to any address; redirect it"
                )
            if not may_be_network and not _is_connected_unix(stream):
                raise LaunchError(
                    f"standard stream {descriptor} is a socket of the network outside, "
                    "which can be connected anew from a private network namespace; redirect it"
                )


def _is_connected_unix(stream: "socket.socket") -> bool:
    """A stream of AF_UNIX that is connected stays so; one that is not reaches abstract sockets outside."""
    if stream.family != AF_UNIX:
        return False
    try:
        stream.getpeername()
    except OSError:
        return False
    return True
