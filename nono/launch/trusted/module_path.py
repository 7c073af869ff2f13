"""Keep paths that the command may write out of what this process, or a later nono, loads as code.

A supervisor still imports some of its code and libraries while the command is running.
"""

import os
import site
import sys
from collections.abc import Iterable, Iterator, Mapping

from nono.errors import ConfigError
from nono.policy.capability import Grant
from nono.policy.files.grants import covering, leaving
from nono.policy.host_filesystem import way_to
from nono.policy.path_expansion import is_within

# Variables that name code, with the characters that separate entries: those of the dynamic linker
# (ld.so(8)), of iconv(3), which loads converters, of setlocale(3), which takes its files as they are, and of
# OpenSSL (openssl-env(7)).
_OF_LIBRARIES = {
    "LD_LIBRARY_PATH": ":;",
    "LD_PRELOAD": ": ",
    "LD_AUDIT": ":",
    "GCONV_PATH": ":",
    "LOCPATH": ":",
    "OPENSSL_CONF": ":;",
    "OPENSSL_CONF_INCLUDE": ":;",
    "OPENSSL_MODULES": ":;",
    "OPENSSL_ENGINES": ":;",
}
# Python's own, which an isolated one ignores (python -I).
_OF_PYTHON = {"PYTHONPATH": ":", "PYTHONHOME": ":", "PYTHONPYCACHEPREFIX": "", "PYTHONUSERBASE": ""}


def withdraw(grants: Iterable[Grant]) -> None:
    """Remove from sys.path the directories where the command could plant a module.

    That is mostly the working directory, where `python -m nono` looks first. The directories of nono and
    Python stay, because nothing could be imported without them.
    """
    written = [grant for grant in grants if grant.access.writes]
    sys.path[:] = [entry for entry in sys.path if _is_own(entry) or not _is_within_reach(entry, written)]


def refuse_writable_code(grants: Iterable[Grant], environ: Mapping[str, str]) -> None:
    """Raise ConfigError if the command could write code that nono loads, now or when it starts again.

    Python runs some of that code before nono's first line, so the next run could no longer ignore it.

    environ: The environment of this process, which its linker and Python have already read.
    """
    written = leaving(grants)
    if not written:
        return
    for variable, entry in _named(environ):
        if any(covering(written, place) for place in way_to(entry)):
            raise ConfigError(
                f"{variable} names '{entry or '.'}', which the command may write: nono itself would load "
                "code from there, outside the sandbox.",
                hint=f"env -u {variable} nono run ... -- env {variable}=... COMMAND",
            )
    reached = [
        directory
        for directory in _installed()
        if any(covering(written, place) for place in way_to(directory))
    ]
    reached += [grant.path for grant in written if any(is_within(grant.path, root) for root in _packages())]
    for directory in reached:
        raise ConfigError(
            f"nono's own code in '{directory}' may be written by the command: what it changes there "
            "would run outside the sandbox.",
            hint="install nono where no grant leads (as uv tool and pipx do), or grant less",
        )


def may_load_later(grants: Iterable[Grant]) -> bool:
    """Return True if the command cannot change anything that is loaded while it runs.

    Besides nono's own code, which it may never write, these are shared libraries and their configuration.
    """
    places = (*_OF_THE_SYSTEM, sys.prefix, sys.base_prefix, _PACKAGE)
    roots = {root for place in places for root in way_to(place)}
    written = [grant.path for grant in grants if grant.access.writes]
    return not any(is_within(path, root) or is_within(root, path) for path in written for root in roots)


def _named(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each variable that names code, with each path in it."""
    variables = _OF_LIBRARIES if sys.flags.ignore_environment else _OF_LIBRARIES | _OF_PYTHON
    for variable, separators in variables.items():
        text = environ.get(variable)
        for entry in _split(text, separators) if text else ():
            # An empty entry of a search path is the working directory; in a list of files, and to
            # setlocale(3), it means nothing.
            if entry or variable not in ("LD_PRELOAD", "LD_AUDIT", "LOCPATH"):
                yield variable, entry


def _split(text: str, separators: str) -> list[str]:
    for separator in separators:
        text = text.replace(separator, "\0")
    return text.split("\0")


def _installed() -> Iterator[str]:
    """Yield the places from which this Python loads nono, its libraries and itself."""
    yield _PACKAGE
    yield sys.executable  # executed again while the command runs, for example for the screen of a session
    # Not the working directory, where -m and -c look first: withdraw() is enough for one run.
    yield from (entry for entry in sys.path if entry and entry != os.getcwd())
    if site.ENABLE_USER_SITE and site.USER_SITE is not None:
        yield site.USER_SITE  # is not on the path until it exists


def _packages() -> Iterator[str]:
    """Yield the directories in which every file may be code that nono imports."""
    yield _PACKAGE
    yield os.path.dirname(os.__file__)
    yield from (entry for entry in sys.path if os.path.basename(entry) in ("site-packages", "dist-packages"))


def _is_own(entry: str) -> bool:
    roots = (sys.prefix, sys.base_prefix)
    return entry == _NONO_IN or any(is_within(entry, root) for root in roots)


def _is_within_reach(entry: str, written: list[Grant]) -> bool:
    for place in way_to(entry):
        if covering(written, place) or any(is_within(grant.path, place) for grant in written):
            return True
    return False


# Where the linker looks, and the configuration of the linker, OpenSSL and iconv(3).
_OF_THE_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/libexec", "/usr/local/lib", "/etc")
_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
_NONO_IN = os.path.dirname(_PACKAGE)
