"""Masks anew what takes the place of a denied path while the command runs.

A mount goes with the file it is on. An editor outside that saves by renaming a new file into place, or git
checking one out, takes the mask away with the old one (Linux detaches it), and the new one lies open. So a
process stays in the command's mounts, is told of names that change, and masks what it finds.
"""

from __future__ import annotations

import errno
import os
import select
import signal
from collections.abc import Iterable
from contextlib import suppress

from nono.forked import Reply, answer_pipe, fork_orphan
from nono.kernel import capabilities, inotify, mounts, process
from nono.sandbox.mask_mounts import MaskError, is_masked, mask_paths
from nono.sandbox.plan.plan import MaskRule, SandboxPlan

READY = b"!"
SAID_BYTES_MAX = 4096
TRIES_MAX = 100  # for what is replaced while it is being masked; the next change tries again
# Mounts, and paths that root reaches whatever the modes on the way.
NEEDED = (1, 2, 21)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN
# A directory that is not there (yet), or that this user may not read.
UNWATCHABLE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.ELOOP})


def fork_mask_keeper(plan: SandboxPlan) -> None:
    """Start the keeper for this process, which is to become the command; it ends when that does.

    Returns once everything is watched and masked. MaskError: it could not start.
    """
    command = os.pidfd_open(os.getpid())
    answer, reply = answer_pipe()
    try:
        fork_orphan(lambda: _keep(plan, command, reply))
        reply.close()
        said = answer.read(SAID_BYTES_MAX)
    finally:
        os.close(command)
        answer.close()
        reply.close()
    if said != READY:
        raise MaskError((said or b"").decode("utf-8", "replace") or "what keeps denied paths masked has died")


def cannot_watch(error: OSError) -> MaskError:
    """The number of both is a setting of this host."""
    return MaskError(
        f"denied paths cannot be watched for what takes their place: {error} "
        "(sysctl fs.inotify.max_user_instances, fs.inotify.max_user_watches)"
    )


def _keep(plan: SandboxPlan, command: int, reply: Reply) -> None:
    """The keeper's whole life. Signals of the terminal are for the command."""
    try:
        os.setsid()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        # Of the uid of the command and not in its sandbox: nothing that it holds may be taken from it.
        process.set_dumpable(False)
        process.no_new_privs()
        capabilities.drop_all_but(NEEDED)
        process.close_range_from(0, keep={command, reply.fileno()})
        queue = inotify.new_queue()
        _watch_and_mask(plan, queue)
    except OSError as error:
        reply.send(str(cannot_watch(error)).encode("utf-8", "replace")[:SAID_BYTES_MAX])
        return
    reply.send(READY)
    reply.close()
    _serve(plan, queue, command)


def _serve(plan: SandboxPlan, queue: int, command: int) -> None:
    """Until the command has ended."""
    denied = (*(mask.path for mask in plan.masks), *plan.unmasked)
    names = {os.path.basename(path) for path in (*denied, *plan.watched, *plan.pinned)}
    poll = select.poll()
    poll.register(queue, select.POLLIN)
    poll.register(command, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if command in ready:
            return
        if any(name is None or name in names for name in [*inotify.changed_names(queue)]):
            with suppress(OSError):  # no watch for a new directory: what is masked is kept so all the same
                _watch_and_mask(plan, queue)


def _watch_and_mask(plan: SandboxPlan, queue: int) -> None:
    """Watched first, so that what changes while we look is told of."""
    try:
        watch(queue, plan.watched)
    finally:
        _mask(plan)


def watch(queue: int, directories: Iterable[str]) -> None:
    """Have queue tell of names in directories that are there. OSError: there are too many watches."""
    for directory in directories:
        try:
            inotify.watch_names(queue, directory)
        except OSError as error:
            if error.errno not in UNWATCHABLE:
                raise


def _mask(plan: SandboxPlan) -> None:
    for _ in range(TRIES_MAX):
        pinned = [path for path in plan.pinned if not _is_pinned(path)]
        masks = [
            MaskRule(path, None)
            for path in (*(mask.path for mask in plan.masks), *plan.unmasked)
            if _lies_open(path)
        ]
        if not masks and not pinned:
            return
        try:
            mask_paths(masks, pinned)
        except MaskError:  # it changed again meanwhile
            continue


def _is_pinned(path: str) -> bool:
    """Or there is nothing that could be."""
    try:
        return mounts.look(path).is_mount_root
    except OSError:
        return True


def _lies_open(path: str) -> bool:
    try:
        return not is_masked(path)
    except MaskError:  # nothing is there
        return False
