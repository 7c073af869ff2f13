"""Apply a plan to the calling thread permanently: Landlock, then the static filter."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from nono.errors import SandboxError
from nono.kernel import filters, landlock, landlock_rights, open_path, process, seccomp
from nono.kernel.uapi import landlock as uapi_landlock
from nono.policy.path_expansion import differs_by_process
from nono.sandbox.plan.plan import PathRule, SandboxPlan
from nono.sandbox.plan.private_view import QUEUES

# Errors that a rule of a shipped group may meet without anybody's mistake: the path went away, we may not
# open it, or it stands for an object without a place in the file system (a pipe behind /dev/stdin).
TOLERATED = frozenset({errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENXIO, errno.EBADFD, errno.ENOTDIR})


def restrict(plan: SandboxPlan) -> None:
    """Restrict this thread and everything it will ever start.

    Raises SandboxError if any part does not hold.
    """
    # Read first, because nono's own files cannot be opened after Landlock is applied.
    beside = {
        "no_clone3": plan.stays_in_cgroup,
        "no_sysv_ipc": plan.refuses_sysv_ipc,
        "no_foreign_scheduling": plan.refuses_foreign_scheduling,
        "no_set_user_id": os.geteuid() != 0,
        "stays_dumpable": plan.stays_dumpable,
    }
    names = [name for name, is_wanted in beside.items() if is_wanted]
    # If two filters refuse with an errno, the kernel uses that of the one installed last.
    names += [] if plan.static_filter is None else [plan.static_filter.value]
    programs = [filters.load(name) for name in names]
    process.no_new_privs()
    _apply_landlock(plan)
    if plan.own_root_fs:
        _hold_to_own_root(plan)
    for program in programs:
        try:
            seccomp.install_filter(program)
        except OSError as error:
            raise SandboxError(f"the kernel refused the seccomp filter: {error}") from error


def _apply_landlock(plan: SandboxPlan) -> None:
    try:
        ruleset = landlock.create_ruleset(plan.handled_fs, plan.handled_net, plan.scoped)
    except OSError as error:
        raise SandboxError(f"Landlock error: {error}") from error
    try:
        paths, rules = open_path.CanonicalPaths(), landlock.PathRules(ruleset)
        for rule in plan.path_rules:
            _add_path_rule(paths, rules, rule, plan)
        _add_port_rules(ruleset, plan)
        _restrict_self(ruleset, plan)
    except OSError as error:
        raise SandboxError(f"Landlock error: {error}") from error
    finally:
        os.close(ruleset)


def _restrict_self(ruleset: int, plan: SandboxPlan) -> None:
    try:
        landlock.restrict_self(ruleset, landlock_rights.RESTRICT_FLAGS[plan.landlock_abi])
    except OSError as error:
        if error.errno != errno.E2BIG:
            raise
        reason = "it holds 16 sandboxes inside each other and no more (nono within nono, for example)"
        raise SandboxError(f"Landlock error: {reason}") from error


def _hold_to_own_root(plan: SandboxPlan) -> None:
    """Limit the grants to what is reached from this process's root directory.

    Landlock grants by inode: a directory that another process opened where nothing is mounted over denied
    paths, and handed in over a Unix socket, would lead to them. It looks for rules on the way up through the
    mounts on which a file was reached, and on no other way is the inode of the own root. Both rulesets have
    to allow an access.
    """
    try:
        ruleset = landlock.create_ruleset(plan.own_root_fs)
    except OSError as error:
        raise SandboxError(f"Landlock error: {error}") from error
    try:
        root = os.open("/", os.O_PATH | os.O_CLOEXEC)
        try:
            landlock.add_path_beneath(ruleset, root, plan.own_root_fs)
        finally:
            os.close(root)
        for descriptor in range(process.FIRST_PRIVATE_DESCRIPTOR):
            _add_stream_rule(ruleset, descriptor, plan)
        if not plan.refuses_sysv_ipc:
            _add_queue_rule(ruleset, plan)
        _restrict_self(ruleset, plan)
    except OSError as error:
        raise SandboxError(f"Landlock error: {error}") from error
    finally:
        os.close(ruleset)


def _add_stream_rule(ruleset: int, descriptor: int, plan: SandboxPlan) -> None:
    """Allow opening what a standard stream is anew, as /dev/stdin does: it was opened outside."""
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            return  # it would lead past the masks
        opened_for = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        rights = landlock_rights.access_rights(
            access_reads=opened_for != os.O_WRONLY,
            access_writes=opened_for != os.O_RDONLY,
            is_dir=False,
            is_device=stat.S_ISCHR(mode),
            abi=plan.landlock_abi,
        )
        if rights & plan.own_root_fs:
            landlock.add_path_beneath(ruleset, descriptor, rights & plan.own_root_fs)
    except OSError as error:
        if error.errno != errno.EBADFD:  # a pipe or socket without a name
            raise


def _add_queue_rule(ruleset: int, plan: SandboxPlan) -> None:
    """Allow the queues of the command's IPC namespace, which mq_open(3) does not reach through this root."""
    paths, rules = open_path.CanonicalPaths(), landlock.PathRules(ruleset)
    for rule in plan.path_rules:
        if rule.path == QUEUES:
            _add_path_rule(paths, rules, rule, plan, within=plan.own_root_fs)


def _add_path_rule(
    paths: open_path.CanonicalPaths,
    rules: landlock.PathRules,
    rule: PathRule,
    plan: SandboxPlan,
    *,
    within: int = -1,
) -> None:
    """Open, examine and grant one descriptor, so that the rule covers exactly the inode that was judged.

    within: The rights that the ruleset handles, if not all of the plan's.
    """
    try:
        descriptor = _open(paths, rule.path)
    except OSError as error:
        if not rule.required and error.errno in TOLERATED:
            return
        raise SandboxError(f"Landlock path error: '{rule.path}': {_reason(error)}") from error
    try:
        mode = os.fstat(descriptor).st_mode
        if rule.required and stat.S_ISDIR(mode) != rule.is_dir:
            expected, got = ("directory", "file") if rule.is_dir else ("file", "directory")
            raise SandboxError(f"Expected a {expected} but got a {got}: '{rule.path}'")
        rights = path_rights(rule, mode, plan.landlock_abi) & within
        if rights:
            rules.add(descriptor, rights)
    except OSError as error:
        if rule.required or error.errno not in TOLERATED:
            raise SandboxError(f"Landlock path error: '{rule.path}': {error}") from error
    finally:
        os.close(descriptor)


def path_rights(rule: PathRule, mode: int, abi: int) -> int:
    """Return the Landlock rights that `rule` allows on an inode of this `mode` (st_mode)."""
    rights = landlock_rights.access_rights(
        access_reads=rule.reads,
        access_writes=rule.writes,
        is_dir=stat.S_ISDIR(mode),
        is_device=stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or _is_below_dev(rule.path),
        abi=abi,
    )
    return rights | landlock_rights.socket_directory_rights(rule.makes_sockets) if rule.lists else rights


def _open(paths: open_path.CanonicalPaths, path: str) -> int:
    """Open the path of a rule as O_PATH, refusing symbolic links except the kernel's own in /proc.

    A plan's paths were canonical when they were judged, so a link there is new. Another sandbox with write
    access to the project could have placed it, to be granted the target.
    """
    if differs_by_process(path):
        return os.open(path, os.O_PATH | os.O_CLOEXEC)  # links of the kernel, which resolve for this process
    return paths.open(path)


def _reason(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "it has become a symbolic link since it was looked up"
    return os.strerror(error.errno or 0)


def _is_below_dev(path: str) -> bool:
    return path == "/dev" or path.startswith("/dev/")


def _add_port_rules(ruleset: int, plan: SandboxPlan) -> None:
    if not plan.handled_net:
        return
    for ports, right in (
        (plan.connect_ports, uapi_landlock.LANDLOCK_ACCESS_NET_CONNECT_TCP),
        (plan.bind_ports, uapi_landlock.LANDLOCK_ACCESS_NET_BIND_TCP),
    ):
        for first, last in ports:
            for port in range(first, last + 1):
                landlock.add_net_port(ruleset, port, right)
