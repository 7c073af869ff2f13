"""Collect what a command does beyond the grants of its initial profile, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from posixpath import dirname, join
from typing import TYPE_CHECKING, Any

from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.policy.files.path_verdict import (
    PROBED,
    Denied,
    FilePolicy,
    Granted,
    NotGranted,
    PathVerdict,
    Protected,
    TooWeak,
)
from nono.policy.files.unix_sockets import UNIX_SOCKET, UNIX_SOCKET_BIND
from nono.policy.learning.ports import LearningPorts
from nono.policy.path_expansion import ancestry, is_within
from nono.policy.ports import LISTEN_PORT, OPEN_PORT, PortGrants
from nono.printable import shell_word

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

NEEDS_MAX = 20_000  # distinct paths; beyond that, only their directories
REFUSED_MAX = 500
PORTS_MAX = 50
SOCKETS_MAX = 50
PATH_MAX = 1000  # characters of a request's path
TUNNELLED = ("*", "/**")  # traffic that was not inspected, or a request that any path rule would refuse
REQUESTS_MAX = 5_000  # methods and paths, over all hosts


class Need(NamedTuple):
    """Access to a path that the profile does not grant."""

    path: str  # canonical
    access: Access
    is_dir: bool


class Refused(NamedTuple):
    """An access the command tried that is refused even in learn mode."""

    what: str  # a path, or a host and port
    access: str  # "read", "write" or "readwrite"; for the network "connect" or "listen"
    reason: str
    may_be_asked: bool = False  # may be allowed in learn mode if a person agrees
    is_new_file: bool = False  # open(2) would have made it


class Site(NamedTuple):
    """A host as the command reached it."""

    scheme: str  # "https", or "http"
    host: str
    port: int


class Learned(NamedTuple):
    """All observations of a run."""

    needs: tuple[Need, ...]
    refused: tuple[Refused, ...]
    sites: Mapping[Site, frozenset[tuple[str, str]]]  # methods and paths, without queries
    sockets: Mapping[str, bool]  # granted Unix sockets; True if listened on
    open_ports: frozenset[int]  # on loopback: listened on or connected to
    listen_ports: frozenset[int]  # at a non-loopback address
    services: frozenset[str]  # services whose credential was used
    dropped: int  # number of observations not kept


class Observation:
    """Collects observations in the order the command makes them; looks nothing up."""

    def __init__(
        self,
        granted: FilePolicy,
        in_workdir: tuple[str, FilePolicy],
        allowed: FilePolicy,
        whole: Iterable[str],
        ports: PortGrants,
        private: Mapping[str, str],
    ) -> None:
        """Start an observation.

        granted: access granted by the profile.
        in_workdir: the working directory, and the access to what lies below it.
        allowed: access allowed in this run, as are ports.
        whole: directories granted as a whole.
        private: paths excluded from observation, with the reason.
        """
        self._private = private
        self.ports = LearningPorts(ports, self._listens)
        self._granted = granted
        self._workdir, self._granted_in_workdir = in_workdir
        self._allowed = allowed
        self._whole = tuple(whole)
        self._ignored: tuple[str, ...] = ()
        self._needs: dict[tuple[str, bool], Access] = {}
        self._made: set[str] = set()
        self._refused: dict[tuple[str, str], Refused] = {}
        self._sites: dict[Site, set[tuple[str, str]]] = {}
        self._services: set[str] = set()
        self._sockets: dict[str, bool] = {}
        self._open_ports: set[int] = set()
        self._listen_ports: set[int] = set()
        self._requests = 0
        self._dropped = 0

    def ignore(self, paths: Iterable[str]) -> None:
        """Ignore files the run creates for the command, since the next run will create them too."""
        self._ignored += tuple(paths)

    def used(self, path: str, access: Access, *, is_dir: bool) -> None:
        """Record an access to a file, or to a directory that was listed or got a nameless file."""
        self._judge(path, access, is_dir, seen=path)

    def changed(
        self, directory: str, name: str, access: Access, *, is_made: bool, as_file: bool = False
    ) -> None:
        """Record a change of a name in a directory, which the grants of the directory decide.

        Later accesses to a name the command has created are attributed to the directory too.
        """
        path = join(directory, name)
        if not self._judge(directory, access, True, seen=path, as_file=as_file) or not is_made:
            return
        if any(is_within(path, root) for root in self._whole):
            return
        if path in self._made or len(self._made) < NEEDS_MAX:
            self._made.add(path)
        else:
            self._dropped += 1

    def _judge(self, path: str, access: Access, is_dir: bool, *, seen: str, as_file: bool = False) -> bool:
        """Return True if the access is allowed; record it if the profile does not grant it.

        `seen` is the path to report.
        """
        if any(is_within(path, ignored) for ignored in self._ignored):
            return True
        granted = self._granted_in_workdir if is_within(path, self._workdir) else self._granted
        known = granted.judge((path,), access)
        if isinstance(known, Granted) or path in PROBED:
            return True
        verdict = self._allowed.judge((path,), access)
        if not isinstance(verdict, Granted):
            self._refuse(self._refusal(seen, access, verdict)._replace(is_new_file=as_file))
            return False
        whole = next((root for root in self._whole if is_within(path, root)), None)
        if whole is not None:
            path, is_dir = whole, True
        if isinstance(known, TooWeak):  # only the missing access; Landlock adds grants up
            access = Access.READ if known.held is Access.WRITE else Access.WRITE
        self._need(path, access, is_dir)
        return True

    def missed(self) -> None:
        """Count an access to a path that could not be read or resolved."""
        self._dropped += 1

    def is_kept(self, path: str) -> bool:
        """Return False: a profile does not have what a run refuses in any case."""
        return False

    def recorded(self, event: Mapping[str, Any]) -> None:
        """Process an event of the audit log; only network events matter."""
        fields = event.get("event")
        if event.get("type") != "network" or not isinstance(fields, Mapping):
            return
        if fields["decision"] == "deny":
            self._refuse_host(fields)
        elif fields["decision"] == "allow":
            self._reached(fields)

    def learned(self) -> Learned:
        """Return the observations so far."""
        needs: dict[tuple[str, bool], Access] = {}
        for (path, is_dir), access in self._needs.items():
            place = self._place_of_made(path)
            key = (path, is_dir) if place is None else (place, True)
            needs[key] = needs[key].united(access) if key in needs else access
        return Learned(
            needs=tuple(Need(path, access, is_dir) for (path, is_dir), access in needs.items()),
            refused=tuple(self._refused.values()),
            sites={site: frozenset(requests) for site, requests in self._sites.items()},
            sockets=dict(self._sockets),
            open_ports=frozenset(self._open_ports),
            listen_ports=frozenset(self._listen_ports),
            services=frozenset(self._services),
            dropped=self._dropped,
        )

    def _listens(self, host: IPv4Address | IPv6Address, port: int) -> None:
        self._add_port(self._open_ports if host.is_loopback else self._listen_ports, port)

    def _add_port(self, ports: set[int], port: int) -> None:
        if port in ports or len(ports) < PORTS_MAX:
            ports.add(port)
        else:
            self._dropped += 1

    def _add_socket(self, path: str, *, is_bound: bool) -> None:
        if path in self._sockets or len(self._sockets) < SOCKETS_MAX:
            self._sockets[path] = is_bound or self._sockets.get(path, False)
        else:
            self._dropped += 1

    def _refusal(self, path: str, access: Access, verdict: PathVerdict) -> Refused:
        if isinstance(verdict, NotGranted):
            private = self._private.keys() & ancestry(path)
            if private:
                return Refused(path, access.value, f"sensitive ({self._private[private.pop()]})")
        is_of_kernel = any(is_within(path, root) for root in ("/proc", "/sys", "/dev"))
        may_be_asked = isinstance(verdict, NotGranted | TooWeak) and not is_of_kernel
        return Refused(path, access.value, _reason(verdict), may_be_asked)

    def _need(self, path: str, access: Access, is_dir: bool) -> None:
        key = (path, is_dir)
        held = self._needs.get(key)
        if held is None and len(self._needs) >= NEEDS_MAX:
            key = (dirname(path), True)
            held = self._needs.get(key)
            if held is None:
                self._dropped += 1
                return
        self._needs[key] = access if held is None else held.united(access)

    def _place_of_made(self, path: str) -> str | None:
        """Return the parent of the outermost path the command created, at or above `path`; None if none."""
        place = None
        while path != "/":
            if path in self._made:
                place = dirname(path)
            path = dirname(path)
        return place

    def _refuse(self, refused: Refused) -> None:
        key = (refused.what, refused.access)
        if key in self._refused or len(self._refused) < REFUSED_MAX:
            self._refused.setdefault(key, refused)
        else:
            self._dropped += 1

    def _refuse_host(self, fields: Mapping[str, Any]) -> None:
        target, port = fields["target"], fields["port"]
        what = f"{target}:{port}" if port else str(target)
        hint = fields.get("hint")
        reason = str(fields["reason"])
        if fields.get("denial_category") == "intercept_handshake_failed":
            hint = f"`--tunnel {shell_word(target)}`, if it trusts no other certificates"
        access = "listen" if fields.get("rule") == LISTEN_PORT else "connect"
        self._refuse(Refused(what, access, f"{reason} ({hint})" if hint else reason))

    def _reached(self, fields: Mapping[str, Any]) -> None:
        service = fields.get("route_id")
        if service is not None and fields.get("managed_credential_active"):
            self._services.add(service)
            return
        rule, target = fields.get("rule"), fields["target"]
        if rule in (UNIX_SOCKET, UNIX_SOCKET_BIND):
            self._add_socket(target.removeprefix("unix:"), is_bound=rule == UNIX_SOCKET_BIND)
        if rule == OPEN_PORT and fields["port"] is not None:
            self._add_port(self._open_ports, fields["port"])
        if fields["method"] is None:
            return  # not through the proxy
        path, port = fields["path"], fields["port"]
        is_tunnel = fields["method"] == "CONNECT"
        # An intercepted CONNECT is followed by the requests inside it.
        if is_tunnel and fields["mode"] == "connect_intercept":
            return
        scheme = "https" if is_tunnel or fields["mode"] == "connect_intercept" else "http"
        site = Site(scheme, target, port)
        bare = "" if is_tunnel else path.partition("?")[0]
        request = TUNNELLED if is_tunnel or _has_no_rule(bare) else (fields["method"], bare)
        if request in self._sites.get(site, ()):
            return
        if self._requests >= REQUESTS_MAX:
            self._dropped += 1
            return
        self._requests += 1
        self._sites.setdefault(site, set()).add(request)


def _has_no_rule(path: str) -> bool:
    """Return True if no path rule can allow the path.

    With rules for paths, nono.proxy.http.target refuses paths two servers could read differently.
    """
    return len(path) > PATH_MAX or "%2F" in path or "//" in path


def _reason(verdict: PathVerdict) -> str:
    match verdict:
        case Protected():
            return "nono's own state"
        case Denied(denial):
            return f"sensitive ({denial.origin})"
        case TooWeak(held):
            return f"watched for {held.value} only"
        case NotGranted() | Granted():
            return "outside what was watched"
