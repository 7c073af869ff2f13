"""Give the command a private file for a login that its agent would write to the file it uses outside.

The file lies in a directory that only this run sees; a link to it is mounted over the agent's own file
(ADR 73). A mount needs something to cover: where the agent has no login outside, a link that leads nowhere
holds the place.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from posixpath import basename, dirname, join
from typing import TYPE_CHECKING

from nono.credentials.logins.agent_files import AGENT_FILES, AgentFile
from nono.digests import sha256
from nono.errors import NonoError
from nono.named_tuple import NamedTuple
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
                place = stack.enter_context(_open_place(mask.path, mask.own))
                stack.enter_context(_held(place, environ))
        yield


class _Place(NamedTuple):
    """A file that an agent uses outside, and the directory beside it that is hidden by a private one.

    By descriptor: a command without mounts of its own may rename the directories meanwhile.
    """

    path: str
    above_fd: int
    directory: str  # its name
    directory_fd: int

    @property
    def name(self) -> str:
        return basename(self.path)

    @property
    def target(self) -> str:
        """Where the link leads that holds the place of a missing file."""
        return f"{self.directory}/{WRITTEN_OUTSIDE}"

    def is_held(self, name: str) -> bool:
        """Return True if `name` is such a link."""
        try:
            return os.readlink(name, dir_fd=self.above_fd) == self.target
        except OSError:
            return False


def _place(agent: AgentFile, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the path of the agent's file, itself perhaps a link, and its private directory beside it."""
    outside = agent.outside(environ)
    above = os.path.realpath(dirname(outside))
    own = None if agent.own_directory is None else join(above, agent.own_directory)
    return join(above, basename(outside)), own


@contextmanager
def _open_place(path: str, directory: str) -> Iterator[_Place]:
    """Open the directories, the private one made if it is missing."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    with ExitStack() as stack:
        try:
            above_fd = os.open(dirname(path), flags)
            stack.callback(os.close, above_fd)
            with suppress(FileExistsError):  # of an earlier run, or in the way
                os.mkdir(basename(directory), 0o700, dir_fd=above_fd)
            directory_fd = os.open(basename(directory), flags, dir_fd=above_fd)
            stack.callback(os.close, directory_fd)
        except OSError as error:
            raise NonoError(
                f"'{directory}' is not a directory of your own: {error.strerror}",
                hint=f"remove it, and nono makes another: {shell_word(directory)}",
            ) from error
        yield _Place(path, above_fd, basename(directory), directory_fd)


@contextmanager
def _held(place: _Place, environ: Mapping[str, str]) -> Iterator[None]:
    """Keep something at the place until the block is left, and no longer than any run needs it.

    Removing it would detach the mounts of other runs. The lock tells whether there are any; the kernel frees
    it with its process, and the run after a crash removes what that left.
    """
    lock = _open_lock(place.path, environ)
    try:
        _take(lock, fcntl.LOCK_SH, place.path)
        try:
            with suppress(FileExistsError):
                os.symlink(place.target, place.name, dir_fd=place.above_fd)
        except OSError as error:
            raise NonoError(f"'{place.path}' cannot be kept for the run: {error.strerror}") from error
        yield
        with suppress(OSError):  # another run holds it, or it is gone
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _release(place)
    finally:
        os.close(lock)


def _release(place: _Place) -> None:
    """Remove the link, but nothing that has taken its place, and put there what was written by way of it."""
    above, inner = place.above_fd, place.directory_fd
    if place.is_held(place.name):
        aside = f"{place.name}.nono-{os.urandom(8).hex()}"
        os.rename(place.name, aside, src_dir_fd=above, dst_dir_fd=above)
        # The agent outside may just have logged in.
        is_ours = place.is_held(aside)
        newest, where = (WRITTEN_OUTSIDE, inner) if is_ours else (aside, above)
        # link(2) replaces nothing, so a login that is newer still stays.
        with suppress(FileExistsError, FileNotFoundError):
            os.link(newest, place.name, src_dir_fd=where, dst_dir_fd=above, follow_symlinks=False)
        os.unlink(aside, dir_fd=above)
    with suppress(FileNotFoundError):
        os.unlink(WRITTEN_OUTSIDE, dir_fd=inner)


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
