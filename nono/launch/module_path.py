"""Keeps paths the command may write out of this process's search for modules and libraries.

A supervisor still imports some of its code and libraries while the command is running.
"""

import os
import re
import sys
from collections.abc import Iterable, Mapping
from posixpath import join

from nono.errors import ConfigError
from nono.policy.capability import Grant
from nono.policy.files.grants import covering
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.path_expansion import Filesystem, canonical_as_far, is_within, parent_resolved

# Variables that the dynamic linker (ld.so(8)) and OpenSSL (openssl-env(7)) consult at each library load.
_SEARCHED = ("LD_LIBRARY_PATH", "OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES")


def withdraw(grants: Iterable[Grant]) -> None:
    """Remove from sys.path the directories where the command could plant a module.

    Mostly the working directory, which an empty PYTHONPATH entry stands for. The directories of nono and
    Python themselves stay: without them nothing could be imported.
    """
    written = [grant for grant in grants if grant.access.writes]
    fs = HostFilesystem()
    sys.path[:] = [entry for entry in sys.path if _is_own(entry) or not _is_within_reach(entry, written, fs)]


def refuse_libraries(grants: Iterable[Grant], environ: Mapping[str, str]) -> None:
    """Raise ConfigError if the command could plant a library, or a file naming one, on the search path.

    environ: The environment of this process; its linker has already read it.
    """
    written = [grant for grant in grants if grant.access.writes]
    fs = HostFilesystem()
    for variable in _SEARCHED:
        text = environ.get(variable)
        for entry in re.split("[:;]", text) if text else ():
            if any(covering(written, spelled) for spelled in _spellings(entry, fs)):
                raise ConfigError(
                    f"{variable} names '{entry or '.'}', which the command may write: nono itself would load "
                    "libraries from there, outside the sandbox.",
                    hint=f"env -u {variable} nono run ... -- env {variable}=... COMMAND",
                )


def _is_own(entry: str) -> bool:
    roots = (sys.prefix, sys.base_prefix)
    return entry == _NONO_IN or any(is_within(entry, root) for root in roots)


def _is_within_reach(entry: str, written: list[Grant], fs: Filesystem) -> bool:
    for spelled in _spellings(entry, fs):
        if covering(written, spelled) or any(is_within(grant.path, spelled) for grant in written):
            return True
    return False


def _spellings(entry: str, fs: Filesystem) -> tuple[str, str]:
    """Return the path entry resolves to, and the path of the link itself."""
    path = join(os.getcwd(), entry)
    return canonical_as_far(path, fs), parent_resolved(path, fs)


_NONO_IN = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
