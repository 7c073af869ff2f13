"""Probe what `nono doctor` and `nono setup` report about this machine."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from posixpath import dirname, join
from typing import Literal

from nono import paths
from nono.errors import NonoError, reason_of
from nono.kernel import landlock_rights
from nono.kernel.filters.freeze import Comparison, compare
from nono.named_tuple import NamedTuple
from nono.private_dir import OTHERS_MAY_WRITE
from nono.sandbox import probe
from nono.sandbox.plan.facts import HostFacts
from nono.settings.file import user_config
from nono.supervisor.limits import cgroup, placement

ROOM = 1 << 20  # bytes, which the records of a short run fit in
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
LIMITS = (("--memory", "memory"), ("--max-processes", "pids"))


class StateFault(NamedTuple):
    """Why a run could not keep its records in a directory."""

    path: str
    reason: str
    remedy: Literal["narrow", "move", "elsewhere", "free"]  # its mode; it; XDG_STATE_HOME; the disk


class Seen(NamedTuple):
    """What was found on a machine."""

    facts: HostFacts
    has_tcp_rules: bool  # Landlock's rules for TCP ports were installed in a probe
    has_filter: bool  # the static filter of a run without network was installed too
    programs: Comparison | str  # the reason (a str) if the seccomp programs could not be built
    limits: tuple[tuple[str, placement.Place | placement.Unavailable], ...]  # by option
    state: str  # the directory of audit logs and sessions
    state_fault: StateFault | None = None
    settings_fault: str = ""  # why config.toml, or a variable in its place, cannot be used


def look(environ: Mapping[str, str]) -> Seen:
    """Probe everything, each thing in a child process that ends."""
    facts = probe.host_facts(network=True)
    has_rules = bool(landlock_rights.HANDLED_NET[facts.landlock_abi]) and probe.landlock_tcp_rules_work()
    root = paths.state_root(environ)
    return Seen(
        facts,
        has_rules,
        probe.network_filter_installs(),
        compare_programs(),
        limits(),
        root,
        state_fault(root),
        settings_fault(environ),
    )


def settings_fault(environ: Mapping[str, str]) -> str:
    """Return what a run would refuse of the settings, or nothing."""
    try:
        user_config(environ)
    except NonoError as error:
        return error.message
    return ""


def state_fault(root: str) -> StateFault | None:
    """Return what open_private_dir() refuses of the directory of records, without making or changing any."""
    for path in (root, join(root, "audit"), join(root, "sessions")):
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            return StateFault(path, reason_of(error), "elsewhere")
        if not stat.S_ISDIR(found.st_mode):
            what = "it is a link" if stat.S_ISLNK(found.st_mode) else "it is no directory"
            return StateFault(path, what, "move")
        if found.st_uid != os.geteuid():
            return StateFault(path, f"the directory belongs to uid {found.st_uid}", "move")
        if found.st_mode & 0o022:
            return StateFault(path, OTHERS_MAY_WRITE, "narrow")
    above = dirname(root)
    while not os.path.exists(above):
        above = dirname(above)
    if os.path.exists(root):
        return _room_fault(root, root)
    if os.access(above, os.W_OK | os.X_OK):
        return _room_fault(root, above)
    return StateFault(root, f"this user may not write to {above}", "elsewhere")


def _room_fault(root: str, directory: str) -> StateFault | None:
    """Return a fault if the directory takes no file of ROOM bytes: for the disk, its inodes or a quota."""
    try:
        file = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:  # among others, a file system that has no such files
        return StateFault(root, reason_of(error), "free") if error.errno in _NO_ROOM else None
    try:
        os.posix_fallocate(file, 0, ROOM)
    except OSError as error:
        return StateFault(root, reason_of(error), "free") if error.errno in _NO_ROOM else None
    finally:
        os.close(file)
    return None


def compare_programs() -> Comparison | str:
    """Rebuild the seccomp programs and compare them. Returns the reason if they cannot be built."""
    try:
        return compare(os.uname().machine)
    except ImportError as error:
        return str(error)
    except OSError as error:
        return f"libseccomp refused a rule ({error.strerror})"


def limits() -> tuple[tuple[str, placement.Place | placement.Unavailable], ...]:
    """Return for each option that limits a run the place for its cgroup, or why there is none."""
    seen = cgroup.look((os.getpid(),))
    return tuple((flag, placement.choose(seen, {controller})) for flag, controller in LIMITS)
