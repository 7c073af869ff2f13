"""Judge one access to one path, with the same answer for enforcement and for `nono why`."""

from __future__ import annotations

from collections.abc import Iterable

from nono.named_tuple import NamedTuple
from nono.policy.capability import Access, Denial
from nono.policy.files.denials import DenyRules
from nono.policy.files.grants import GrantTable
from nono.policy.path_expansion import is_within


class Granted(NamedTuple):
    """The grants on the path cover the access."""


class TooWeak(NamedTuple):
    """The path is granted, but not for this access."""

    held: Access

    @property
    def reason(self) -> str:
        return f"granted for {self.held.value} only"


class NotGranted(NamedTuple):
    """No grant covers the path, and nothing forbids one."""

    @property
    def reason(self) -> str:
        return "not granted"


class Denied(NamedTuple):
    """A deny rule covers the path."""

    denial: Denial

    @property
    def reason(self) -> str:
        return f"'{self.denial.original}' is denied by {self.denial.origin}"


class Protected(NamedTuple):
    """The path lies in one of nono's state roots."""

    root: str

    @property
    def reason(self) -> str:
        return f"'{self.root}' is a protected nono state root; nothing grants it"


# The C library reads these in any program and works without them, so no question or notice mentions them.
PROBED = frozenset({"/etc/locale.alias", "/proc/sys/vm/overcommit_memory"})

PathVerdict = Granted | TooWeak | NotGranted | Denied | Protected


class FilePolicy(NamedTuple):
    """The granted, denied and protected paths, with nothing left to look up."""

    grants: GrantTable
    deny_rules: DenyRules
    roots: tuple[tuple[str, str], ...]  # protected roots: spelling and canonical path
    handed_out: GrantTable  # files that the run created for the command, possibly inside a root
    limits: tuple[str, ...] = ()  # directories in which a write could lift the limits of this run

    def judge(self, names: Iterable[str], access: Access) -> PathVerdict:
        """Judge `names`: the canonical path, and then other spellings that a deny rule may use."""
        path, *others = names
        own = self.handed_out.accesses(path)
        if own is not None and own.covers(access):
            return Granted()
        for spelled, root in self.roots:
            if is_within(path, root):
                return Protected(spelled)
        for name in (path, *others):
            denial = self.deny_rules.covering(name)
            if denial is not None:
                return Denied(denial)
        held = self.grants.accesses(path)
        if held is None:
            return NotGranted()
        return Granted() if held.covers(access) else TooWeak(held)

    def root_below(self, path: str) -> str | None:
        """Return the protected root below a directory; None if there is none."""
        return next((spelled for spelled, root in self.roots if is_within(root, path)), None)
