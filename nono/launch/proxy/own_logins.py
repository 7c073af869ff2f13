"""Give the command a private file for a login that its agent would write to the file it uses outside.

The file lies in a directory that only this run sees; a link to it is mounted over the agent's own file
(ADR 73). A mount needs something to cover: where the agent has no login outside, a link that leads nowhere
holds the place.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from posixpath import basename, dirname, join
from typing import TYPE_CHECKING

from nono.credentials.logins.agent_files import AGENT_FILES, AgentFile
from nono.errors import NonoError
from nono.paths import state_root
from nono.policy.capability import Masking
from nono.policy.files.masking import with_own_file
from nono.policy.path_expansion import is_within
from nono.policy.resolve import Resolved
from nono.printable import shell_word
from nono.private_dir import open_private_dir

if TYPE_CHECKING:
    from nono.proxy.verdict.logins.table import LoginTable

# In the private directory. The file is missing, so programs outside find none, and what they write by way of
# the link is where no run sees it.
WRITTEN_OUTSIDE = "outside.json"
LOCK_WAIT_S = 5.0  # another run holds the lock alone for a few system calls
_PAUSE_S = 0.02


def with_own_logins(resolved: Resolved, environ: Mapping[str, str]) -> Resolved:
    """Return `resolved` with a private file for each login that may be made inside. Needs namespaces.

    An imported login is shown instead (nono.launch.proxy.shown_logins).
    """
    providers = {route.provider.name for route in resolved.oauth_routes}
    capabilities = resolved.capabilities
    masking = capabilities.masking
    for agent in AGENT_FILES.values():
        if agent.provider not in providers or os.path.isfile(agent.inside(environ)):
            continue
        path, directory = _place(agent, environ)
        if directory is not None and any(is_within(path, each.path) for each in resolved.state_directories):
            masking = with_own_file(masking, path, directory, capabilities.grants)
    return resolved._replace(capabilities=capabilities._replace(masking=masking))


def agents_with_own(masking: Masking, environ: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the agents whose login is private to the run."""
    own = {mask.path for mask in masking.masks if mask.own is not None}
    return frozenset(name for name, agent in AGENT_FILES.items() if _place(agent, environ)[0] in own)


def contents(masking: Masking, logins: LoginTable, environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the private files hold at the start: the phantoms of stored logins, by path.

    Made of the store alone: what a command has written to such a file is never read.
    """
    found: dict[str, str] = {}
    names = agents_with_own(masking, environ)
    for login in logins.logins:
        held = login.held()
        if held is None or login.inside is None or login.inside.agent not in names:
            continue
        agent = AGENT_FILES[login.inside.agent]
        document = None if agent.made_inside is None else agent.made_inside(held.tokens, held.issued_s)
        if document is not None:
            content = json.dumps(agent.with_phantoms(document, held.phantoms), indent=2)
            found[_place(agent, environ)[0]] = content
    return found


@contextmanager
def places_ready(masking: Masking, environ: Mapping[str, str]) -> Iterator[None]:
    """Create what private files are mounted over; what is not needed outside is removed with the block.

    Raises NonoError if something else is in the way.
    """
    with ExitStack() as stack:
        for mask in masking.masks:
            if mask.own is not None:
                _make_directory(mask.own)
                stack.enter_context(_placeholder(mask.path, basename(mask.own), environ))
        yield


def _place(agent: AgentFile, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the path of the agent's file, itself perhaps a link, and its private directory beside it."""
    outside = agent.outside(environ)
    above = os.path.realpath(dirname(outside))
    own = None if agent.own_directory is None else join(above, agent.own_directory)
    return join(above, basename(outside)), own


def _make_directory(path: str) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass  # of an earlier run, or in the way
    except OSError as error:
        raise NonoError(f"the directory '{path}' cannot be made: {error.strerror}") from error
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise NonoError(
            f"'{path}' is not a directory of your own.", hint=f"remove it, and nono makes another: {path}"
        )


@contextmanager
def _placeholder(path: str, directory: str, environ: Mapping[str, str]) -> Iterator[None]:
    """Keep something at `path` until the block is left, and no longer than any run needs it.

    Removing it would detach the mounts of other runs. The lock tells whether there are any; the kernel frees
    it with its process, and the run after a crash removes what that left.
    """
    lock = _open_lock(path, environ)
    try:
        _take(lock, fcntl.LOCK_SH, path)
        with suppress(FileExistsError):
            os.symlink(join(directory, WRITTEN_OUTSIDE), path)
        yield
        with suppress(OSError):  # another run holds it, or it is gone
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove_placeholder(path, join(directory, WRITTEN_OUTSIDE))
    except OSError as error:
        raise NonoError(f"'{path}' cannot be kept private to the run: {error.strerror}") from error
    finally:
        os.close(lock)


def _remove_placeholder(path: str, target: str) -> None:
    """Remove the link, but nothing that has taken its place, and put there what was written by way of it."""
    written = join(dirname(path), target)
    if os.path.islink(path) and os.readlink(path) == target:
        aside = f"{path}.nono-{os.urandom(8).hex()}"
        os.rename(path, aside)
        # The agent outside may just have logged in.
        newest = written if os.path.islink(aside) and os.readlink(aside) == target else aside
        # link(2) replaces nothing, so a login that is newer still stays.
        with suppress(FileExistsError, FileNotFoundError):
            os.link(newest, path, follow_symlinks=False)
        os.unlink(aside)
    with suppress(FileNotFoundError):
        os.unlink(written)


def _open_lock(path: str, environ: Mapping[str, str]) -> int:
    directory = join(state_root(environ), "oauth-capture", "inside")
    try:
        directory_fd = open_private_dir(directory, create=True)
        try:
            name = f"{sha256(os.fsencode(path)).hexdigest()[:16]}.lock"
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(name, flags, 0o600, dir_fd=directory_fd)
        finally:
            os.close(directory_fd)
    except OSError as error:
        raise NonoError(f"{directory}: {error.strerror}", hint=f"ls -ld {shell_word(directory)}") from error


def _take(lock: int, operation: int, path: str) -> None:
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(lock, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise NonoError(f"another nono has held the lock of '{path}' for {LOCK_WAIT_S:g} s") from None
            time.sleep(_PAUSE_S)
        else:
            return


def told(logins: LoginTable) -> Iterable[str]:
    """Yield a sentence about each login that this run has made, because later runs use it."""
    for login in logins.logins:
        for account in login.made if login.inside is not None else ():
            assert login.inside is not None
            who = f" as {shell_word(account)}" if account else ""
            yield (
                f"this run has logged in to {login.provider.name}{who}, and later runs use that login; "
                f"nono credential logout {login.inside.agent} ends it"
            )
