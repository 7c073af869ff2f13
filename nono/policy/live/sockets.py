"""Add rules for Unix sockets to those from the start of a run."""

from __future__ import annotations

from collections.abc import Iterable
from posixpath import dirname
from typing import TYPE_CHECKING

from nono.policy.capability import Grant
from nono.policy.files.unix_sockets import SocketVerdict, UnixSocketRules
from nono.policy.path_expansion import is_within
from nono.policy.socket_grant import SocketGrant, SocketScope

if TYPE_CHECKING:
    from nono.policy.live.rule import LiveRule


class LiveSockets:
    """Replaces UnixSocketRules in a run whose rules may change. Every verdict uses the current rules."""

    def __init__(self, granted: UnixSocketRules) -> None:
        self.granted = granted
        self._current = granted
        self._deny: tuple[LiveRule, ...] = ()

    @property
    def files(self) -> tuple[Grant, ...] | None:
        return self.granted.files

    def put(self, rules: Iterable[LiveRule]) -> None:
        """Replace the added rules by these. A denial beats every grant."""
        rules = tuple(rules)
        allow = (rule for rule in rules if rule.decision == "allow")
        grants = tuple(
            SocketGrant(rule.target, SocketScope.FILE, rule.access.writes, rule.origin, rule.target)
            for rule in allow
        )
        self._current = self.granted._replace(grants=(*grants, *self.granted.grants))
        self._deny = tuple(rule for rule in rules if rule.decision == "deny")

    def by_another_name(self, path: str) -> SocketGrant | None:
        """Return a grant that would allow the socket at `path` once the command renames it; None: none would.

        A denial goes by the path alone, so the command evades it where it may write, with rename(2).
        """
        rules = self._current
        held = [each.path for each in rules.written if each.is_dir and each.access.writes]
        held += [_directory(each) for each in rules.grants if each.binds]
        if not any(is_within(dirname(path), each) or is_within(each, path) for each in held):
            return None
        others = (each for each in rules.grants if not is_within(each.path, path))
        return next((each for each in others if any(_takes(each, directory) for directory in held)), None)

    def judge(
        self,
        path: str,
        *,
        binds: bool,
        is_resolved: bool = True,
        is_own: bool = False,
        is_dead: bool = False,
    ) -> SocketVerdict:
        """Judge as UnixSocketRules does."""
        for rule in self._deny:
            if is_within(path, rule.target):
                return SocketVerdict(False, f"'{rule.target}' is denied by {rule.origin}")
        return self._current.judge(path, binds=binds, is_resolved=is_resolved, is_own=is_own, is_dead=is_dead)


def _directory(grant: SocketGrant) -> str:
    return dirname(grant.path) if grant.scope is SocketScope.FILE else grant.path


def _takes(grant: SocketGrant, directory: str) -> bool:
    """Return True if the grant covers a path in or below `directory`."""
    is_above = grant.scope is SocketScope.DIR_SUBTREE and is_within(directory, grant.path)
    return is_above or is_within(_directory(grant), directory)
