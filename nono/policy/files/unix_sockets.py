"""The verdict on a Unix socket with a path that the command would connect to or bind."""

from __future__ import annotations

from posixpath import dirname

from nono.named_tuple import NamedTuple
from nono.policy.capability import Grant
from nono.policy.files.denials import DenyRules
from nono.policy.files.grants import accesses
from nono.policy.path_expansion import is_within
from nono.policy.socket_grant import SocketGrant

# The rules by name, as they stand in the audit log.
UNIX_SOCKET, UNIX_SOCKET_BIND = "filesystem.unix_socket", "filesystem.unix_socket_bind"
UNRESOLVED = "target could not be canonicalized"


class SocketVerdict(NamedTuple):
    """Whether a path may be used, with the reason and, where a grant would change it, its flag."""

    is_allowed: bool
    reason: str
    hint: str | None = None
    grant: SocketGrant | None = None  # that allows it, where there is one


class UnixSocketRules(NamedTuple):
    """All that the verdict on a path depends on. Denials and nono's own state beat every grant."""

    grants: tuple[SocketGrant, ...] = ()
    deny_rules: DenyRules = DenyRules()
    state_roots: tuple[str, ...] = ()
    # Where Unix sockets are not mediated, and pass through the supervisor with all else: what files are
    # granted. Every socket is connected to then, and bound where Landlock would let the command make it.
    files: tuple[Grant, ...] | None = None

    def judge(self, path: str, *, binds: bool, is_resolved: bool = True) -> SocketVerdict:
        """path is canonical; where its last components are not there, as far as they are (is_resolved)."""
        for root in self.state_roots:
            if is_within(path, root):
                return SocketVerdict(False, f"'{root}' is a protected nono state root; nothing grants it")
        denial = self.deny_rules.covering(path)
        if denial is not None:
            return SocketVerdict(False, f"'{denial.original}' is denied by {denial.origin}")
        for grant in self.grants:
            if grant.covers(path) and (grant.binds or not binds):
                return SocketVerdict(True, f"granted by {grant.source}: {grant.original}", grant=grant)
        if self.files is not None and not binds:
            return SocketVerdict(True, "Unix sockets are not mediated")
        if self.files is not None:
            held = accesses(self.files, dirname(path))
            if held is not None and held.writes:
                return SocketVerdict(True, f"'{dirname(path)}' may be written")
            hint = f"--allow-unix-socket-bind {shown(path)}"
            return SocketVerdict(False, f"'{dirname(path)}' may not be written", hint)
        capability, flag = (
            ("unix_socket_bind", "--allow-unix-socket-bind")
            if binds
            else ("unix_socket", "--allow-unix-socket")
        )
        reason = f"no matching {capability} capability"
        if not is_resolved:
            reason += f"; {UNRESOLVED}"
        return SocketVerdict(False, reason, f"{flag} {shown(path)}")


def shown(path: str) -> str:
    """path as it can be printed and recorded, whatever bytes the command has put into it."""
    text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
