"""Tell that a failed command installs hooks of git, which a run leaves as they are."""

from __future__ import annotations

from collections.abc import Sequence

from nono.policy.why.command_words import started

_INSTALLERS = frozenset({"pre-commit", "prek", "lefthook"})
_CHANGES = frozenset({"install", "uninstall"})


def installs_hooks(argv: Sequence[str]) -> str | None:
    """Return the program of a command line that installs hooks, or removes them; None if there is none."""
    found = (each for each in started(argv) if each.program in _INSTALLERS)
    return next((each.program for each in found if not _CHANGES.isdisjoint(each.operands[:1])), None)
