"""Tell that a failed command takes the rights of another user from its file, which no run may."""

from __future__ import annotations

from collections.abc import Sequence

from nono.policy.why.command_words import started

_SET_ID = frozenset(
    ("at", "atq", "atrm", "batch", "crontab", "sudo", "sudoedit", "doas", "su", "pkexec", "newgrp", "passwd")
)


def takes_rights(argv: Sequence[str]) -> str | None:
    """Return the program of a command line that is set-user-ID or set-group-ID; None if there is none."""
    # A project may have a script that is called batch or at, and it is started as ./batch.
    in_system = (each for each in started(argv) if "/" not in each.word or each.word.startswith("/"))
    return next((each.program for each in in_system if each.program in _SET_ID), None)
