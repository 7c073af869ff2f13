"""Judge the hooks that run outside the sandbox before and after a command, and the variables they add."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable

from nono.named_tuple import NamedTuple
from nono.policy.capability import Grant
from nono.policy.environment.inheritance import EnvironmentRules, Withheld, refused_by_name
from nono.policy.files.grants import covering
from nono.policy.ownership import Inode, changeable, exchangeable

TIMEOUT_S = 60  # for a hook that sets no limit
VARIABLES_MAX = 1000
_OF_THE_RUN = frozenset(("HOME", "PATH", "TMPDIR"))  # the grants were made for their values
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class Script(NamedTuple):
    """The file at the path of a hook."""

    path: str  # canonical
    way: tuple[str, ...]  # every link in its path, then the path: each can redirect the hook
    file: Inode
    directories: tuple[tuple[Inode, ...], ...]  # of each place on the way, and those above it


class HookVariables(NamedTuple):
    """The variables that a hook adds to the command's environment."""

    kept: dict[str, str]
    refused: tuple[Withheld, ...] = ()
    malformed: tuple[int, ...] = ()  # numbers of lines, from 1


def unfit(script: Script, grants: Iterable[Grant], euid: int) -> str | None:
    """Return why a hook must not run, to follow its path in a sentence; None if it may."""
    written = [grant for grant in grants if grant.access.writes]
    for place in script.way:
        for grant in covering(written, place):
            return (
                f"lies in {grant.path}, which the command may write (source: {grant.source}): "
                "it could choose what runs outside the sandbox"
            )
    if not stat.S_ISREG(script.file.mode):
        return "is not a regular file"
    if not script.file.mode & 0o111:
        return "is not executable"
    reasons = (changeable(script.file, euid), *(exchangeable(each, euid) for each in script.directories))
    reason = next(filter(None, reasons), None)
    return None if reason is None else f"could be changed by somebody else: {reason}"


def hook_variables(content: bytes, rules: EnvironmentRules) -> HookVariables:
    """Parse the output of a hook: one KEY=VALUE a line, `#` begins a comment, quotes have no meaning.

    They go above what is inherited and what the profile sets. Refuses names that change what programs load
    or run, names that the profile denies or that --env decides, and those that are the run's own.
    """
    kept: dict[str, str] = {}
    refused: list[Withheld] = []
    malformed: list[int] = []
    for number, line in enumerate(content.decode("utf-8", "surrogateescape").split("\n"), start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, found, value = text.partition("=")
        name, value = name.rstrip(), value.lstrip()
        if not found or not _NAME.fullmatch(name) or "\0" in value or len(kept) == VARIABLES_MAX:
            malformed.append(number)
        elif (refusal := refused_by_name(name, value, rules) or _decided(name, rules)) is not None:
            refused.append(refusal)
        else:
            kept[name] = value
    return HookVariables(kept, tuple(refused), tuple(malformed))


def _decided(name: str, rules: EnvironmentRules) -> Withheld | None:
    """Return the refusal of a variable that somebody else decides, or None."""
    if name in rules.passed | rules.set_by_flag:
        return Withheld(name, "passed_on", f"--env {name} decides")
    if name in _OF_THE_RUN or name.startswith("NONO_"):
        return Withheld(name, "reserved", "a hook may not set it")
    return None
