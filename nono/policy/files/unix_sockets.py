"""Judge a Unix socket path that the command would connect to or bind."""

from __future__ import annotations

from posixpath import dirname

from nono.named_tuple import NamedTuple
from nono.policy.capability import Grant
from nono.policy.files.denials import DenyRules
from nono.policy.files.grants import accesses
from nono.policy.files.path_verdict import Denied, Protected
from nono.policy.path_expansion import is_within
from nono.policy.socket_grant import SocketGrant
from nono.printable import shell_word, spelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object

# Rule names, as used in the audit log.
UNIX_SOCKET, UNIX_SOCKET_BIND = "filesystem.unix_socket", "filesystem.unix_socket_bind"
OWN_SOCKET = "filesystem.own_socket"
UNRESOLVED = "target could not be canonicalized"


class SocketVerdict(NamedTuple):
    """The verdict on a path, with its reason and the flag of a grant that would change it, if one would."""

    is_allowed: bool
    reason: str
    hint: str | None = None
    grant: SocketGrant | None = None  # the grant that allows it, if any


class UnixSocketPolicy(Protocol):
    """Judges paths of Unix sockets, as UnixSocketRules does."""

    @property
    def files(self) -> tuple[Grant, ...] | None: ...

    def judge(
        self,
        path: str,
        *,
        binds: bool,
        is_resolved: bool = True,
        is_own: bool = False,
        is_dead: bool = False,
    ) -> SocketVerdict: ...


class UnixSocketRules(NamedTuple):
    """Everything that the verdict on a path depends on. Denials and nono's own state beat every grant."""

    grants: tuple[SocketGrant, ...] = ()
    deny_rules: DenyRules = DenyRules()
    state_roots: tuple[str, ...] = ()
    # The file grants, if Unix sockets are not mediated but still pass through the supervisor. Every socket
    # may then be connected to, and bound wherever Landlock would let the command create it.
    files: tuple[Grant, ...] | None = None
    # The file grants, if Unix sockets are mediated: where files may be written, sockets may be bound.
    written: tuple[Grant, ...] = ()

    def judge(
        self,
        path: str,
        *,
        binds: bool,
        is_resolved: bool = True,
        is_own: bool = False,
        is_dead: bool = False,
    ) -> SocketVerdict:
        """Judge a canonical path.

        is_resolved: False if only its existing part could be resolved, so that nothing can be reached.
        is_own: the sandbox itself has bound the socket.
        is_dead: nothing is at the path, or no socket is bound to it, or none that listens: connect(2) reaches
        nobody.
        """
        denied = self._denied(path)
        if denied is not None:
            return denied
        for grant in self.grants:
            if grant.covers(path) and (grant.binds or not binds):
                return SocketVerdict(True, f"granted by {grant.source}: {grant.original}", grant=grant)
        if is_dead and not binds:
            return SocketVerdict(True, "nobody is there")
        if self.files is not None and not binds:
            return SocketVerdict(True, "Unix sockets are not mediated")
        if self.files is not None:
            if _may_write(self.files, dirname(path)):
                return SocketVerdict(True, f"'{dirname(path)}' may be written")
            hint = f"--allow-unix-socket-bind {shell_word(shown(path))}"
            return SocketVerdict(False, f"'{dirname(path)}' may not be written", hint)
        if is_own and not binds:
            return SocketVerdict(True, "the sandbox itself has bound it")
        if (binds or not is_resolved) and _may_write(self.written, dirname(path)):
            return SocketVerdict(True, f"'{dirname(path)}' may be written")
        capability, flag = (
            ("unix_socket_bind", "--allow-unix-socket-bind")
            if binds
            else ("unix_socket", "--allow-unix-socket")
        )
        reason = f"no matching {capability} capability"
        if not is_resolved:
            reason += f"; {UNRESOLVED}"
        return SocketVerdict(False, reason, f"{flag} {shell_word(shown(path))}")

    def _denied(self, path: str) -> SocketVerdict | None:
        for root in self.state_roots:
            if is_within(path, root):
                return SocketVerdict(False, Protected(root).reason)
        denial = self.deny_rules.covering(path)
        if denial is None:
            return None
        return SocketVerdict(False, Denied(denial).reason)


def _may_write(grants: tuple[Grant, ...], directory: str) -> bool:
    held = accesses(grants, directory)
    return held is not None and held.writes


def shown(path: str) -> str:
    """Make `path` printable and recordable, whatever bytes the command put into it."""
    text = spelled(path)
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
