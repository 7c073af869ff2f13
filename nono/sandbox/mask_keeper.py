"""Mask denied paths again when they are replaced while the command runs.

A mount belongs to one inode. When an editor outside saves by renaming a new file into place, or git checks
one out, Linux detaches the mask with the old file, and the new file is exposed. So a process stays in the
command's mount namespace, watches for changed names, and masks them again. Of what another machine or program
replaces on a file system that it serves (9P, NFS, FUSE) inotify says nothing: there the process looks again,
and at once when a mount has gone, as FUSE drops one when its server answers a look-up with an error.
"""

from __future__ import annotations

import errno
import math
import os
import select
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from nono.forked import Reply, answer_pipe, fork_orphan
from nono.kernel import capabilities, inotify, mounts, process
from nono.kernel.signals import signal
from nono.sandbox.mask_mounts import MaskError, is_masked, mask_paths
from nono.sandbox.plan.plan import MaskRule, SandboxPlan

READY = b"!"
SAID_BYTES_MAX = 4096
TRIES_MAX = 100  # if a path is replaced while it is being masked; the next change tries again
# Needed to mount, and to reach paths that root can reach whatever their directories' modes.
NEEDED = (1, 2, 21)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN
# How often it looks at what changes without an event, which also shows the kernel that it has changed.
AGAIN_S = 1.0
PAUSES = 20  # times as long as looking takes: thousands of masks on a slow server take seconds
PAUSE_S_MAX = 10.0  # for a server that is slow because the command keeps it busy
# A server that has failed may do so until the command, which can drive it to that, has opened the path.
AFTER_LOSS_S = 0.001
PATH_END = b"\0"  # of each path that it tells of
# Errors for a directory that does not exist (yet), or that this user may not read.
UNWATCHABLE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP})


def fork_mask_keeper(plan: SandboxPlan, masking: int | None) -> None:
    """Start the keeper for this process, which is about to become the command; the keeper ends with it.

    masking: The end of a pipe that it holds as long as it lives, for the supervisor, if there is one. It
        writes each path there that lay open after it had been masked, once, with PATH_END after it.

    Returns once everything is watched and masked. Raises MaskError if the keeper could not start.
    """
    command = os.pidfd_open(os.getpid())
    answer, reply = answer_pipe()
    try:
        fork_orphan(lambda: _keep(plan, command, masking, reply))
        reply.close()
        said = answer.read(SAID_BYTES_MAX)
    finally:
        os.close(command)
        answer.close()
        reply.close()
    if said != READY:
        raise MaskError((said or b"").decode("utf-8", "replace") or "what keeps denied paths masked has died")


def cannot_watch(error: OSError) -> MaskError:
    """Build the MaskError for a failed watch. Both limits in it are settings of this host."""
    return MaskError(
        f"denied paths cannot be watched for what takes their place: {error} "
        "(sysctl fs.inotify.max_user_instances, fs.inotify.max_user_watches)"
    )


def _keep(plan: SandboxPlan, command: int, masking: int | None, reply: Reply) -> None:
    """Run the keeper's whole life. It ignores signals of the terminal, which are meant for the command."""
    try:
        os.setsid()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        # It has the command's uid and is outside its sandbox, so the command must not be able to inspect it.
        # The command can see it, and the arguments may hold a password.
        process.forget_arguments()
        process.set_dumpable(False)
        process.no_new_privs()
        capabilities.drop_all_but(NEEDED)
        kept = {command, reply.fileno()}
        process.close_range_from(0, keep=kept if masking is None else kept | {masking})
        queue = inotify.new_queue()
        table = _mount_table() if plan.looks_again else None
        _watch_and_mask(plan, queue, lambda _: None)
    except OSError as error:
        reply.send(str(cannot_watch(error)).encode("utf-8", "replace")[:SAID_BYTES_MAX])
        return
    reply.send(READY)
    reply.close()
    _serve(plan, queue, table, command, Teller(masking).tell)


def _mount_table() -> int | None:
    """Return a descriptor that reports POLLPRI after each change of this namespace's mounts (proc(5))."""
    try:
        return os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # covered, as in some containers: it looks again in time
        return None


class Teller:
    """Tells the supervisor once of each path that lay open."""

    def __init__(self, masking: int | None) -> None:
        self._masking = masking
        self._told: set[str] = set()
        if masking is not None:
            os.set_blocking(masking, False)

    def tell(self, path: str) -> None:
        if self._masking is None or path in self._told:
            return
        self._told.add(path)
        with suppress(OSError):  # it is full of others, or the supervisor has been killed
            os.write(self._masking, os.fsencode(path) + PATH_END)


def _serve(
    plan: SandboxPlan, queue: int, table: int | None, command: int, tell: Callable[[str], object]
) -> None:
    """Mask again after each relevant change, until the command has ended."""
    denied = (*(mask.path for mask in plan.masks), *plan.unmasked)
    names = {os.path.basename(path) for path in (*denied, *plan.watched, *plan.pinned)}
    poll = select.poll()
    poll.register(queue, select.POLLIN)
    poll.register(command, select.POLLIN)
    if table is not None:
        poll.register(table, select.POLLPRI)
    pause_s, looked, soon_s = AGAIN_S, time.monotonic(), math.inf
    while True:
        wait_s = max(looked + pause_s - time.monotonic(), 0)
        ready = {descriptor for descriptor, _ in poll.poll(wait_s * 1000 if plan.looks_again else None)}
        if command in ready:
            return
        # Changes of other names do not put it off: the command can make as many as it likes.
        is_due = not ready or table in ready or (plan.looks_again and time.monotonic() - looked >= pause_s)
        if is_due or any(name is None or name in names for name in [*inotify.changed_names(queue)]):
            began = time.monotonic()
            with suppress(OSError):  # a new directory cannot be watched: keep the existing masks all the same
                _watch_and_mask(plan, queue, tell)
            looked = time.monotonic()
            soon_s = AFTER_LOSS_S if table in ready else 2 * soon_s  # its own mounts count as well
            pause_s = min(soon_s, max(AGAIN_S, min(PAUSES * (looked - began), PAUSE_S_MAX)))


def _watch_and_mask(plan: SandboxPlan, queue: int, tell: Callable[[str], object]) -> None:
    """Watch, then mask, so that changes made while masking are reported.

    tell: Called with each path that lies open although the plan masks it.
    """
    try:
        watch(queue, plan.watched)
    finally:
        _mask(plan, tell)


def watch(queue: int, directories: Iterable[str]) -> None:
    """Watch the names in those `directories` that exist. Raises OSError if there are too many watches."""
    for directory in directories:
        try:
            inotify.watch_names(queue, directory)
        except OSError as error:
            if error.errno not in UNWATCHABLE:
                raise


def _mask(plan: SandboxPlan, tell: Callable[[str], object]) -> None:
    for _ in range(TRIES_MAX):
        pinned = [path for path in plan.pinned if not _is_pinned(path)]
        lost = [mask for mask in plan.masks if _lies_open(mask)]
        come = [mask for path in plan.unmasked if _lies_open(mask := MaskRule(path, None))]
        masks = [mask._replace(kind=None) for mask in (*lost, *come)]
        if not masks and not pinned:
            return
        for mask in lost:
            tell(mask.path)
        try:
            mask_paths(masks, pinned)
        except MaskError:  # it changed again meanwhile
            continue


def _is_pinned(path: str) -> bool:
    """Check that `path` is a mount root; also True if nothing is there to pin."""
    try:
        return mounts.look(path).is_mount_root
    except OSError:
        return True


def _lies_open(mask: MaskRule) -> bool:
    try:
        return not is_masked(mask)
    except MaskError:  # nothing is there
        return False
