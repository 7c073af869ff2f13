"""Keeps what the command may write out of the places where this process looks for modules and libraries.

A supervisor imports some of its own code, and of the libraries it uses, while the command runs already.
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

# Where the dynamic linker (ld.so(8)) and OpenSSL (openssl-env(7)) look once more with each library.
_SEARCHED = ("LD_LIBRARY_PATH", "OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES")


def withdraw(grants: Iterable[Grant]) -> None:
    """Take the directories off sys.path in which the command could lay a module.

    Mostly the working directory, which an empty entry of PYTHONPATH means. Where nono itself was found, or
    Python, stays: without it nothing could be imported.
    """
    written = [grant for grant in grants if grant.access.writes]
    fs = HostFilesystem()
    sys.path[:] = [entry for entry in sys.path if _is_own(entry) or not _is_within_reach(entry, written, fs)]


def refuse_libraries(grants: Iterable[Grant], environ: Mapping[str, str]) -> None:
    """ConfigError when the command could lay a library, or what names one, where this process will look.

    environ: that of this process, whose linker has read it already.
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
    """What entry leads to, and the link that does."""
    path = join(os.getcwd(), entry)
    return canonical_as_far(path, fs), parent_resolved(path, fs)


_NONO_IN = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
