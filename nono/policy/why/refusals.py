"""Collect the file accesses of a watched command that its run does not grant, in bounded memory.

The kernel refuses these accesses whatever is recorded here: a command that changes its arguments between the
look and the call only falsifies its own report.
"""

from __future__ import annotations

from collections.abc import Iterable
from posixpath import join

from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.policy.files.path_verdict import PROBED, FilePolicy, Granted
from nono.policy.path_expansion import is_within

REFUSED_MAX = 500
KEPT_HOOKS = "git runs hooks outside the sandbox too, so a run leaves them as they are"


class Refused(NamedTuple):
    """One access that the run does not grant."""

    path: str  # canonical, or a name in a canonical directory
    access: Access
    reason: str
    place: str  # what a grant must name: the path, or the directory that would be changed
    is_new_file: bool = False  # open(2) would have made it


class Refusals:
    """The refused accesses of one run, each path once, in order of arrival."""

    def __init__(self) -> None:
        self._policy: FilePolicy | None = None
        self._kept: str | None = None
        self._refused: dict[tuple[str, str], Refused] = {}
        self.is_complete = True  # False: more than REFUSED_MAX, or some could not be followed

    def starts(self, policy: FilePolicy, kept_hooks: str | None = None) -> None:
        """Take the policy of the run, including files that the run created for the command.

        kept_hooks: The directory of git's hooks, where a mount keeps it unchanged.
        """
        self._policy, self._kept = policy, kept_hooks

    def used(self, path: str, access: Access, *, is_dir: bool) -> None:
        """Judge the use of a file, or of a directory that was listed."""
        if path not in PROBED:
            self._judge(path, access, path, (path,))

    def changed(
        self, directory: str, name: str, access: Access, *, is_made: bool, as_file: bool = False
    ) -> None:
        """Judge a change of a name in a directory, which the grants of the directory decide."""
        path = join(directory, name)
        self._judge(path, access, directory, (directory, path), is_new_file=as_file)

    def missed(self) -> None:
        """Note that an access could not be followed."""
        self.is_complete = False

    def is_kept(self, path: str) -> bool:
        """Return True for git's hooks, where a mount keeps them unchanged."""
        return self._kept is not None and is_within(path, self._kept)

    def listed(self) -> tuple[Refused, ...]:
        return tuple(self._refused.values())

    def _judge(
        self, path: str, access: Access, place: str, names: Iterable[str], *, is_new_file: bool = False
    ) -> None:
        if self._policy is None:
            return
        verdict = self._policy.judge(names, access)
        reason = None if isinstance(verdict, Granted) else verdict.reason
        if reason is None and access.writes and self.is_kept(path):
            reason = KEPT_HOOKS
        if reason is None:
            return
        key = (path, place)
        known = self._refused.get(key)
        if known is not None:
            self._refused[key] = known._replace(access=known.access.united(access))
        elif len(self._refused) < REFUSED_MAX:
            self._refused[key] = Refused(path, access, reason, place, is_new_file)
        else:
            self.is_complete = False
