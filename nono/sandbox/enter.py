"""Prepare this process to become the command: signals, descriptors, masks, capabilities, restrictions."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Collection

from nono.errors import LaunchError, SandboxError
from nono.kernel import capabilities, filters, process, seccomp
from nono.kernel.signals import signal
from nono.kernel.uapi.process import AF_UNIX
from nono.sandbox.apply import restrict
from nono.sandbox.command import Command
from nono.sandbox.plan.enforcement import NotifyProgram, StaticFilter
from nono.sandbox.plan.plan import SandboxPlan

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket


def default_signals() -> None:
    """Reset the signal dispositions that Python set: ignored signals stay ignored across execve (signal(7)).

    A signal that the caller ignores stays ignored, as nohup(1) and background commands of a shell need. For
    SIGPIPE and SIGXFSZ Python does not keep the caller's setting.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def enter(
    plan: SandboxPlan,
    command: Command,
    *,
    keep: Collection[int] = (),
    masking: int | None = None,
    holds_all: bool = False,
) -> int | None:
    """Restrict this process permanently for `command`.

    masking: A close-on-exec end of a pipe, which what keeps the plan's masks holds as long as it lives.
    holds_all: it has every capability over a user namespace of its own, which the command must not have.

    Return its notify listener, or None if the plan has none. Closes every descriptor from 3 on except those
    in `keep`, which must be close-on-exec. Raises SandboxError, LaunchError or OSError if any part of the
    plan does not hold: the process must then end.
    """
    # Read while nono's own files can still be opened.
    listener_program = None if plan.listener is None else filters.load(plan.listener.value)
    kept = keep if masking is None else {*keep, masking}
    process.close_range_from(process.FIRST_PRIVATE_DESCRIPTOR, keep=set(kept))
    if plan.static_filter is not StaticFilter.OPEN_NET:
        _check_standard_streams(may_be_network=not plan.private_network)
    elif plan.listener in (NotifyProgram.UNIX_PATHS, NotifyProgram.UNIX_PATHS_OPENS):
        _check_standard_streams(may_be_network=True, only_unix=True)
    holds_all |= _mask(plan, masking)
    if holds_all:
        plan = _with_rtnetlink(plan)
        # The user namespace granted them, and the command could unmount the masks with them.
        capabilities.drop_all()
    else:
        capabilities.drop_dangerous()
    _start_in(command.workdir)
    keep_spelling(command)
    restrict(plan)
    return None if listener_program is None else seccomp.install_listener(listener_program)


def _with_rtnetlink(plan: SandboxPlan) -> SandboxPlan:
    """Let a command on netns list the interfaces of its network, if it cannot make a network of its own.

    In one, it would have CAP_NET_ADMIN over rtnetlink, and so reach code of the kernel that has had many
    holes.
    """
    if plan.static_filter is not StaticFilter.TCP_AND_UDP:
        return plan
    # Imported here: not every run has a network of its own.
    from nono.kernel import namespaces

    if not namespaces.make_no_more_networks():
        return plan
    return plan._replace(static_filter=StaticFilter.TCP_UDP_AND_ROUTE)


def _start_in(workdir: str) -> None:
    """Enter the working directory, when this process has no more rights left than the command will have."""
    try:
        os.chdir(workdir)
    except OSError as error:
        where = f"{workdir}, where it would start, cannot be entered"
        raise LaunchError(f"the command was not started: {where}: {error.strerror}") from error


def keep_spelling(command: Command) -> None:
    """Let the command's PWD name its directory as the person's shell does, if that path leads there now.

    A view of the command's own may hide a link on the way.
    """
    if command.spelled is None or command.environment.get("PWD") != command.workdir:
        return
    try:
        is_same = os.path.samestat(os.stat(command.spelled), os.stat("."))
    except OSError:
        is_same = False
    if is_same:
        command.environment["PWD"] = command.spelled


def _mask(plan: SandboxPlan, masking: int | None) -> bool:
    """Make the plan's own root and masks. Return True if that left this process with every capability.

    Paths looked up afterwards start at that root and see the masks.
    """
    if not plan.own_root_fs:
        return False
    # Imported here: not every run has one.
    from nono.kernel import namespaces
    from nono.sandbox.own_root import enter_own_root

    holds_all = namespaces.leave_mounts()
    enter_own_root()
    if plan.masks:
        _lay_masks(plan, masking)
    return holds_all


def _lay_masks(plan: SandboxPlan, masking: int | None) -> None:
    # Imported here: most runs mask nothing.
    from nono.sandbox import mask_keeper, mask_mounts

    try:
        mask_mounts.mount_own(plan.masks)
        mask_mounts.mask_paths(plan.masks, plan.pinned)
        mask_keeper.fork_mask_keeper(plan, masking)
    except mask_mounts.MaskError as error:
        raise SandboxError(f"{error}.") from error


def _check_standard_streams(*, may_be_network: bool, only_unix: bool = False) -> None:
    """Raise LaunchError for a standard stream that is a socket able to reach other addresses.

    The filters only prevent new sockets. A datagram socket can address every send. A stream socket can be
    connected again, in the network where it was made, which must not be the outside one if the command has
    its own.
    may_be_network: stream sockets of any family pass.
    only_unix: check Unix sockets only.
    """
    for descriptor in range(process.FIRST_PRIVATE_DESCRIPTOR):
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            continue
        import socket  # imported here: few runs have a socket as a standard stream

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
                    "which can be reconnected from a private network namespace; redirect it"
                )


def _is_connected_unix(stream: socket.socket) -> bool:
    """Check for a connected AF_UNIX stream, which stays connected.

    An unconnected one could reach abstract sockets outside.
    """
    if stream.family != AF_UNIX:
        return False
    try:
        stream.getpeername()
    except OSError:
        return False
    return True
