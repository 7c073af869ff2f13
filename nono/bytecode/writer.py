"""Write the file of bytecode that a start imports from, where Python would write .pyc files.

`python -I -m nono.bytecode.writer` does so where nobody who runs nono may write it.
"""

from __future__ import annotations

import errno
import importlib
import marshal
import os
import pkgutil
import sys
from contextlib import suppress
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder, SourceFileLoader
from subprocess import DEVNULL, SubprocessError, run

import nono
from nono.bytecode import finder
from nono.disk.durable import unfinished

# Their imports are the libraries of a run with a proxy and keys, in each of its processes. Every module of
# nono is taken, because many are imported late.
_ROOTS = (
    "cryptography.hazmat.backends.openssl.backend",
    "cryptography.hazmat.primitives.ciphers.aead",
    "encodings.utf_16_be",
    "encodings.utf_16_le",
    "keyring.backends.SecretService",
    "keyring.backends.kwallet",
    "keyring.backends.libsecret",
    "nono.credentials.sources.secret_service",
    "nono.cli.commands.run.command",
    "nono.cli.commands.wrap",
    "nono.launch.proxy.ca_worker",
    "nono.launch.serving.proxied",
    "nono.launch.supervised",
    "nono.proxy.client.intercept",
    "nono.proxy.service",
    "nono.sandbox.become_command",
)
# The other process searches where this one did, but neither in a script's directory nor in the working one.
_WRITER = "import sys; sys.path[:] = sys.argv[1:]; from nono.bytecode.writer import write; write()"
_TIMEOUT_S = 20.0
_READABLE = 0o644
_ROOM_BYTES = 12 << 20  # it takes 11 MB


def keep() -> None:
    """Write the file, if Python would write .pyc files there.

    Another process imports the modules, so that they are the same after any run. A failure is not reported:
    the next start imports from .pyc files. A file without modules is left where there was none of use, so
    that the caller does not wait for another failure each time (finder.RETRIED_S).
    """
    if not finder.may_be_written():
        return
    mode = os.stat(finder.__file__).st_mode & _READABLE
    # Not synced: what a power cut leaves is recognised by its hashes.
    with (
        suppress(OSError, SubprocessError),
        unfinished(None, finder.place(), mode=mode, syncs=False) as file,
    ):
        _fill(file.fileno())


def _fill(descriptor: int) -> None:
    """Let another process write the content. Raises OSError or SubprocessError if there is none to keep."""
    _reserve(descriptor)
    command = [sys.executable, *own_flags(), "-c", _WRITER, *finder.searched()]
    try:
        run(command, check=True, stdin=DEVNULL, stdout=descriptor, stderr=DEVNULL, timeout=_TIMEOUT_S)
    except SubprocessError:
        if not finder.is_wanting():
            raise  # the present file is better than none
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, finder.packed(finder.search_path(), {}), 0)
    else:
        os.ftruncate(descriptor, os.lseek(descriptor, 0, os.SEEK_CUR))  # they share the offset


def _reserve(descriptor: int) -> None:
    """Raise OSError if the file has no room on the disk, before time is spent on its content."""
    try:
        os.posix_fallocate(descriptor, 0, _ROOM_BYTES)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # of file systems without it, under musl
            raise


def write() -> None:
    """Import what a start imports, and write the content of the file to standard output."""
    for name in _ROOTS:
        importlib.import_module(name)
    # What most starts import comes first, so that few pages of the file are read.
    names = [*sys.modules, *(found.name for found in pkgutil.walk_packages(nono.__path__, "nono."))]
    modules = {name: found for name in names if (found := _module(name)) is not None}
    sys.stdout.buffer.write(finder.packed(finder.search_path(), modules))


def _module(name: str) -> finder.Module | None:
    """Return a module as it is on disk; None if it has no source there. Its package has been imported."""
    if name == "__main__" or any(each.find_spec(name) for each in (BuiltinImporter, FrozenImporter)):
        return None  # those are asked first
    package = name.rpartition(".")[0]
    path = getattr(sys.modules.get(package), "__path__", None)
    spec = None if package and path is None else PathFinder.find_spec(name, path)
    if spec is None or type(spec.loader) is not SourceFileLoader or spec.origin is None:
        return None
    version = finder.version(spec.origin)  # before the code is read: the source may be changed meanwhile
    code = spec.loader.get_code(name)
    if version is None or code is None:
        return None
    return spec.origin, spec.submodule_search_locations is not None, version, marshal.dumps(code)


def own_flags() -> list[str]:
    """Return the options with which another Python searches for modules where this one does.

    The working directory is left out (-P).
    """
    flags = sys.flags
    named = {"-I": flags.isolated, "-E": flags.ignore_environment, "-s": flags.no_user_site}
    return ["-P", *(option for option, is_set in named.items() if is_set)]


if __name__ == "__main__":
    keep()
