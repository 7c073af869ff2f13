"""Tell which search path of its programs the person has set and a failed command did not get."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nono.policy.why.commands.words import started
from nono.policy.why.usual_table import NODE, PERL, PYTHON, RUBY

_NOT_FOUND = 127  # of a shell, and of ld.so(8) that finds a library nowhere
# Whose programs read a variable. Of what changes programs in another way, such as NODE_OPTIONS, nothing is
# said: many have it set all the time, and few programs fail without it.
_READERS: Mapping[str, frozenset[str]] = {
    "PYTHONPATH": PYTHON,
    "NODE_PATH": NODE,
    "PERL5LIB": PERL,
    "RUBYLIB": RUBY,
    "GEM_HOME": RUBY,
    "GEM_PATH": RUBY,
}
_LIBRARIES = "LD_LIBRARY_PATH"


def withheld_search_paths(
    argv: Sequence[str], exit_code: int, environ: Mapping[str, str], given: Sequence[str]
) -> list[str]:
    """Return the variables of the person's environment that a program of the failed command would have read.

    given: The variables that options and the profile set.
    """
    programs = {each.program for each in started(argv)}
    names = [name for name, readers in _READERS.items() if programs & readers]
    if exit_code == _NOT_FOUND:
        names.append(_LIBRARIES)
    return [
        name
        for name in names
        if environ.get(name) and name not in given and not any(f"{name}=" in word for word in argv)
    ]
