"""Find the library that models a terminal, without importing its Python package."""

from __future__ import annotations

from importlib.util import find_spec
from os.path import isfile, join

PACKAGE = "pyghostty"  # importing it parses a header for 100 ms, which is not needed here
_FILE = ("_lib", "libghostty-vt.so")


def library_path() -> str | None:
    """Return the path of the library; None if it is not installed."""
    found = find_spec(PACKAGE)
    for directory in () if found is None else found.submodule_search_locations or ():
        if isfile(path := join(directory, *_FILE)):
            return path
    return None
