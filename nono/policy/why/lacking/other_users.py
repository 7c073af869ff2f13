"""Tell that a failed command takes another user's rights from its file, or gives its own: no run may."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nono.policy.why.commands.words import Started, started

_SET_ID = frozenset(
    ("at", "atq", "atrm", "batch", "crontab", "sudo", "sudoedit", "doas", "su", "pkexec", "newgrp", "passwd")
)
# In octal, or a clause for the owner: 4755, u+s, +s, ug=rwxs, u+x+s.
_SET_USER_ID = re.compile(
    r"0*[4-7][0-7]{3}|(?:[go]*[ua][ugoa]*)?(?:[-+=][-+=rwxXtugo]*)?[+=][rwxXt]*s[-+=rwxXstugo]*"
)
_MODE_OPTION = re.compile(r"--mode=?|-[^-m]*m")  # of install: -Dm4755 too


def takes_rights(argv: Sequence[str]) -> str | None:
    """Return the program of a command line that is set-user-ID or set-group-ID; None if there is none."""
    # A project may have a script that is called batch or at, and it is started as ./batch.
    in_system = (each for each in started(argv) if "/" not in each.word or each.word.startswith("/"))
    return next((each.program for each in in_system if each.program in _SET_ID), None)


def gives_rights(argv: Sequence[str]) -> str | None:
    """Return the program of a command line that sets the set-user-ID bit; None if there is none.

    The kernel refuses it without telling the supervisor.
    """
    return next((it.program for it in started(argv) if any(map(_sets_user_id, _modes(it)))), None)


def _sets_user_id(mode: str) -> bool:
    return any(map(_SET_USER_ID.fullmatch, mode.split(",")))


def _modes(it: Started) -> Sequence[str]:
    """Return the words that may be the mode that a program gives a file."""
    match it.program:
        case "chmod":
            return it.operands[:1]
        case "install":
            found = map(_MODE_OPTION.match, it.options)
            joined = [option.string[option.end() :] for option in found if option is not None]
            return (*it.operands, *joined) if joined else ()
    return ()
