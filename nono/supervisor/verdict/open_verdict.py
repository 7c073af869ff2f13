"""Decide whether a person may be asked to approve an open beyond the grants: values in, verdict out."""

from __future__ import annotations

from nono.approval.request import FileKind
from nono.kernel.uapi import open as uapi
from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.policy.files.path_verdict import (
    PROBED,
    Denied,
    FilePolicy,
    Granted,
    NotGranted,
    Protected,
    TooWeak,
)
from nono.policy.path_expansion import is_within
from nono.supervisor.verdict.open_call import OpenCall


class Found(NamedTuple):
    """The parts of the inode at a path that matter here."""

    path: str  # canonical
    kind: FileKind | None  # None: a kind that open(2) cannot open, such as a socket
    is_process_entry: bool = False  # below /proc/PID of any process


class Leave(NamedTuple):
    """Leave the open to the kernel and Landlock, which gives the command nothing more than it has."""


class Ask(NamedTuple):
    """Ask a person to approve."""

    access: Access


class Refuse(NamedTuple):
    """Refuse without asking. The fields are for the audit log and `nono why`."""

    path: str
    access: Access
    reason: str


Verdict = Leave | Ask | Refuse


def judge_open(call: OpenCall, found: Found, policy: FilePolicy) -> Verdict:
    """Judge one open of an existing file."""
    access = call.access
    match policy.judge((found.path,), access):
        case Granted():
            return Leave()
        case Protected() | Denied() | TooWeak() as refused:
            return Refuse(found.path, access, refused.reason)
        case NotGranted():
            pass
    if found.path in PROBED or _kernel_says_no(call, found):
        return Leave()
    if found.is_process_entry:
        # Some entries show or change the privileges of the process that opens them, which would be ours.
        return Refuse(found.path, access, "entries of a process are not opened on request")
    if access.writes and any(is_within(found.path, held) for held in policy.limits):
        return Refuse(found.path, access, "the limits of this run are held there")
    root_below = policy.root_below(found.path)
    if root_below is not None:
        return Refuse(found.path, access, f"it leads to '{root_below}', a protected nono state root")
    return Ask(access)


def _kernel_says_no(call: OpenCall, found: Found) -> bool:
    """Return True if the kernel refuses the open for another reason, with an errno that says so."""
    if found.kind is None or (call.flags & uapi.O_CREAT and call.flags & uapi.O_EXCL):
        return True  # ENXIO, EEXIST
    return found.kind == "directory" and (call.access.writes or bool(call.flags & uapi.O_CREAT))  # EISDIR
