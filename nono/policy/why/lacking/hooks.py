"""Tell that a failed command installs hooks of git, which a run leaves as they are."""

from __future__ import annotations

from collections.abc import Sequence

from nono.policy.why.commands.words import started

_INSTALLERS = frozenset({"pre-commit", "prek", "lefthook", "git-lfs"})
_CHANGES = frozenset({"install", "uninstall", "update"})


def installs_hooks(argv: Sequence[str]) -> str | None:
    """Return the program of a command line that installs hooks, or removes them; None if there is none."""
    for each in started(argv):
        is_kept = "--skip-repo" in each.options  # of git-lfs, whose filters alone are in the settings
        if each.program in _INSTALLERS and not _CHANGES.isdisjoint(each.operands[:1]) and not is_kept:
            return each.program
    return None
