"""Give the command a private file for a login that its agent would write to the file it uses outside.

The file lies in a directory that only this run sees; a link to it is mounted over the agent's own file
(ADR 73). A mount needs something to cover: where the agent has no login outside, a link that leads nowhere
holds the place.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from posixpath import basename, dirname, join

from nono.credentials.logins.agent_files import AGENT_FILES, INSIDE_LOGINS, SHARED, AgentFile
from nono.digests import sha256
from nono.disk import json_text
from nono.disk.descriptor import DIRECTORY_FLAGS
from nono.disk.file_lock import locked_within
from nono.disk.regular_file import read_regular_file
from nono.errors import NonoError
from nono.named_tuple import NamedTuple
from nono.paths import state_root
from nono.policy.capability import Masking
from nono.policy.files.masks.masking import with_own_file
from nono.policy.path_expansion import is_within
from nono.policy.resolve import Resolved
from nono.printable import shell_word
from nono.private_dir import open_private_dir

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.proxy.verdict.logins.table import LoginTable

MAX_LOGIN_BYTES = 1 << 20
LOCK_WAIT_S = 5.0  # another run holds the lock alone for a few system calls


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


def with_shared_files(resolved: Resolved, environ: Mapping[str, str], *, has_own: bool) -> Resolved:
    """Return `resolved` with a file that runs share in place of one in which an agent keeps a person's keys.

    has_own: The command has namespaces of its own. Without them, a missing file stays missing.
    """
    providers = {route.provider.name for route in resolved.oauth_routes}
    capabilities = resolved.capabilities
    masking = capabilities.masking
    for agent in AGENT_FILES.values():
        if agent.apart is None or agent.provider not in providers:
            continue
        above = os.path.realpath(dirname(agent.outside(environ)))
        if os.path.isdir(above) and not os.access(above, os.W_OK):
            continue  # nothing can be laid there, nor can the agent keep anything: the file is only denied
        path = join(above, agent.apart)
        if has_own or any(mask.path == path for mask in masking.masks):
            masking = with_own_file(masking, path, join(above, SHARED), capabilities.grants, is_shared=True)
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
            content = json_text.indented_ascii(agent.with_phantoms(document, held.phantoms))
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
                above_fd = stack.enter_context(_opened_above(mask.path, mask.own))
                stack.enter_context(_held(mask.path, above_fd, environ))
        yield


class _Place(NamedTuple):
    """A file that an agent uses outside, and where the link leads that holds the place of a missing one.

    `written` lies in nono's state and is missing, so programs outside find no file. They write by way of the
    link, which no command can. By descriptor: a command without mounts of its own may rename the directory.
    """

    name: str
    above_fd: int
    written: str

    def is_held(self, name: str) -> bool:
        """Return True if `name` is such a link."""
        try:
            return os.readlink(name, dir_fd=self.above_fd) == self.written
        except OSError:
            return False


def _place(agent: AgentFile, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the path of the agent's file, itself perhaps a link, and its private directory beside it."""
    outside = agent.outside(environ)
    above = os.path.realpath(dirname(outside))
    own = None if agent.own_directory is None else join(above, agent.own_directory)
    return join(above, basename(outside)), own


@contextmanager
def _opened_above(path: str, directory: str) -> Iterator[int]:
    """Open the directory of `path`, and make the private one in it if it is missing."""
    with ExitStack() as stack:
        try:
            above_fd = os.open(dirname(path), DIRECTORY_FLAGS)
            stack.callback(os.close, above_fd)
            with suppress(FileExistsError):  # of an earlier run, or in the way
                os.mkdir(basename(directory), 0o700, dir_fd=above_fd)
            os.close(os.open(basename(directory), DIRECTORY_FLAGS, dir_fd=above_fd))
        except OSError as error:
            raise NonoError(
                f"'{directory}' is not a directory of your own: {error.strerror}",
                hint=f"remove it, and nono makes another: {shell_word(directory)}",
            ) from error
        yield above_fd


@contextmanager
def _held(path: str, above_fd: int, environ: Mapping[str, str]) -> Iterator[None]:
    """Keep something at the place until the block is left, and no longer than any run needs it.

    Removing it would detach the mounts of other runs. The lock tells whether there are any; the kernel frees
    it with its process, and the run after a crash removes what that left.
    """
    kept = join(state_root(environ), "oauth-capture", "inside", sha256(os.fsencode(path)).hexdigest()[:16])
    place = _Place(basename(path), above_fd, f"{kept}.json")
    lock = _open_lock(f"{kept}.lock")
    try:
        _take(lock, path)
        try:
            with suppress(FileExistsError):
                os.symlink(place.written, place.name, dir_fd=above_fd)
        except OSError as error:
            raise NonoError(f"'{path}' cannot be kept for the run: {error.strerror}") from error
        try:
            yield
        finally:  # a program that cannot be started has ended the run, too
            with suppress(OSError):  # another run holds it, or it is gone
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _release(place)
    finally:
        os.close(lock)


def _release(place: _Place) -> None:
    """Replace the link by what was written through it, unless something else has taken its place."""
    above = place.above_fd
    if place.is_held(place.name):
        aside = _put_aside(place)
        try:
            # The agent outside may just have logged in. Neither way replaces a login that is newer still.
            with suppress(FileExistsError, FileNotFoundError):
                if place.is_held(aside):
                    _copy(place)
                else:
                    os.link(aside, place.name, src_dir_fd=above, dst_dir_fd=above, follow_symlinks=False)
        finally:
            os.unlink(aside, dir_fd=above)
    with suppress(FileNotFoundError):
        os.unlink(place.written)


def _put_aside(place: _Place) -> str:
    """Move what is at the place away from every command, and return its path, perhaps below `above_fd`.

    Only the place's own name is denied to commands. A state directory on another file system leaves no other
    choice than to use a second name beside it for some microseconds.
    """
    suffix = f"nono-{os.urandom(8).hex()}"
    for aside in (f"{place.written}.{suffix}", f"{place.name}.{suffix}"):
        try:
            os.rename(place.name, aside, src_dir_fd=place.above_fd, dst_dir_fd=place.above_fd)
        except OSError as error:
            if error.errno != errno.EXDEV or not os.path.isabs(aside):
                raise
        else:
            break
    return aside


def _copy(place: _Place) -> None:
    """Write the login at its place by one descriptor: a command could replace a file beside it.

    The state directory may be on another file system, so it cannot be linked.
    """
    login = read_regular_file(place.written, MAX_LOGIN_BYTES)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(place.name, flags, 0o600, dir_fd=place.above_fd), "wb") as file:
        file.write(login)


def _open_lock(path: str) -> int:
    directory = dirname(path)
    try:
        directory_fd = open_private_dir(directory, create=True)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(basename(path), flags, 0o600, dir_fd=directory_fd)
        finally:
            os.close(directory_fd)
    except OSError as error:
        # What to do about a full or read-only disk is said for every file.
        is_of_disk = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
        hint = None if is_of_disk else f"ls -ld {shell_word(directory)}"
        raise NonoError(f"{directory}: {error.strerror}", hint=hint) from error


def _take(lock: int, path: str) -> None:
    try:
        is_taken = locked_within(lock, LOCK_WAIT_S, fcntl.LOCK_SH)
    except OSError as error:
        raise NonoError(f"'{path}' cannot be locked for the run: {error.strerror}") from error
    if not is_taken:
        raise NonoError(f"another nono has held the lock of '{path}' for {LOCK_WAIT_S:g} s")


def told(logins: LoginTable) -> Iterable[str]:
    """Yield a sentence about each login that this run has made, because later runs use it."""
    for login in logins.logins:
        if login.inside is None:
            continue
        name = login.inside.agent
        agent = AGENT_FILES.get(name) or INSIDE_LOGINS[name]
        place = f"to {login.provider.name}" if name in AGENT_FILES else f"with {agent.program}"
        for account in login.made:
            who = f" as {shell_word(account)}" if account else ""
            yield (
                f"this run has logged in {place}{who}, and later runs use that login; "
                f"nono credential logout {name} {'forgets' if agent.revocation is None else 'ends'} it"
            )
