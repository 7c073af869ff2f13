"""What a watched command did, as far as the profile it began with does not grant it: bounded, and by path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from posixpath import dirname
from typing import Any, NamedTuple

from nono.policy.capability import Access
from nono.policy.path_verdict import (
    PROBED,
    Denied,
    FilePolicy,
    Granted,
    NotGranted,
    PathVerdict,
    Protected,
    TooWeak,
)
from nono.policy.places import inside

NEEDS_MAX = 20_000  # paths that are kept apart; of more than that, directories
REFUSED_MAX = 500
PATH_MAX = 1000  # characters of a request's path
EVERY_PATH = "/**"
TUNNELLED = ("*", EVERY_PATH)  # nobody looked into it
REQUESTS_MAX = 5_000  # methods and paths, of all hosts together


class Need(NamedTuple):
    """Access to a path that the profile does not grant."""

    path: str  # canonical
    access: Access
    is_dir: bool


class Refused(NamedTuple):
    """What the command tried, and may not even while it is watched."""

    what: str  # a path, or a host and port
    access: str  # "read", "write", "readwrite"; of the network "connect" or "listen"
    reason: str


class Site(NamedTuple):
    """A host as it was reached."""

    scheme: str  # "https", or "http"
    host: str
    port: int


class Learned(NamedTuple):
    """All that there was to see."""

    needs: tuple[Need, ...]
    refused: tuple[Refused, ...]
    sites: Mapping[Site, frozenset[tuple[str, str]]]  # methods and paths, without queries
    services: frozenset[str]  # whose credential was used
    dropped: int  # what was seen and not kept


class Observation:
    """Collects it. The order of calls is that of the command; nothing here looks anything up."""

    def __init__(self, granted: FilePolicy, allowed: FilePolicy, whole: Iterable[str]) -> None:
        """granted: by the profile; allowed: in this run; whole: directories that are granted as one."""
        self._granted = granted
        self._allowed = allowed
        self._whole = tuple(whole)
        self._ignored: tuple[str, ...] = ()
        self._needs: dict[tuple[str, bool], Access] = {}
        self._made: set[str] = set()
        self._refused: dict[tuple[str, str], str] = {}
        self._sites: dict[Site, set[tuple[str, str]]] = {}
        self._services: set[str] = set()
        self._requests = 0
        self._dropped = 0

    def ignore(self, paths: Iterable[str]) -> None:
        """What the run itself puts there for the command, and the next run will put there too."""
        self._ignored += tuple(paths)

    def used(self, path: str, access: Access, *, is_dir: bool) -> None:
        """A file, or a directory: listed to read it, and to write it changed by a name."""
        if any(inside(path, ignored) for ignored in self._ignored):
            return
        known = self._granted.judge((path,), access)
        if isinstance(known, Granted) or path in PROBED:
            return
        verdict = self._allowed.judge((path,), access)
        if not isinstance(verdict, Granted):
            self._refuse(path, access.value, _reason(verdict))
            return
        whole = next((root for root in self._whole if inside(path, root)), None)
        if whole is not None:
            path, is_dir = whole, True
        if isinstance(known, TooWeak):  # what it lacks; Landlock adds up what two grants give
            access = Access.READ if known.held is Access.WRITE else Access.WRITE
        self._need(path, access, is_dir)

    def made(self, path: str) -> None:
        """A name that was not there: a grant for what is done with it is one on its directory."""
        is_writable = isinstance(self._allowed.judge((dirname(path),), Access.WRITE), Granted)
        if not is_writable or any(inside(path, root) for root in self._whole):
            return
        if len(self._made) < NEEDS_MAX:
            self._made.add(path)
        else:
            self._dropped += 1

    def recorded(self, event: Mapping[str, Any]) -> None:
        """An event of the audit log; those of the network are looked at."""
        fields = event.get("event")
        if event.get("type") != "network" or not isinstance(fields, Mapping):
            return
        if fields["decision"] == "deny":
            self._refuse_host(fields)
        elif fields["decision"] == "allow":
            self._reached(fields)

    def learned(self) -> Learned:
        """As it is by now."""
        needs: dict[tuple[str, bool], Access] = {}
        for (path, is_dir), access in self._needs.items():
            place = self._place_of_made(path)
            key = (path, is_dir) if place is None else (place, True)
            needs[key] = needs[key].united(access) if key in needs else access
        return Learned(
            needs=tuple(Need(path, access, is_dir) for (path, is_dir), access in needs.items()),
            refused=tuple(Refused(what, how, reason) for (what, how), reason in self._refused.items()),
            sites={site: frozenset(requests) for site, requests in self._sites.items()},
            services=frozenset(self._services),
            dropped=self._dropped,
        )

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
        """The directory in which the command made path, or the outermost of what it made above it."""
        place = None
        while path != "/":
            if path in self._made:
                place = dirname(path)
            path = dirname(path)
        return place

    def _refuse(self, what: str, access: str, reason: str) -> None:
        if (what, access) in self._refused:
            return
        if len(self._refused) >= REFUSED_MAX:
            self._dropped += 1
            return
        self._refused[what, access] = reason

    def _refuse_host(self, fields: Mapping[str, Any]) -> None:
        target, port = fields["target"], fields["port"]
        what = f"{target}:{port}" if port else str(target)
        hint = fields.get("hint")
        reason = str(fields["reason"])
        self._refuse(what, "connect", f"{reason} ({hint})" if hint else reason)

    def _reached(self, fields: Mapping[str, Any]) -> None:
        service = fields.get("route_id")
        if service is not None and fields.get("managed_credential_active"):
            self._services.add(service)
            return
        if fields.get("rule") is not None or fields["method"] is None:
            return  # past the proxy, by a grant of its own
        path, port = fields["path"], fields["port"]
        is_tunnel = fields["method"] == "CONNECT"
        # An intercepted CONNECT is followed by the requests inside it.
        if is_tunnel and fields["mode"] == "connect_intercept":
            return
        scheme = "https" if is_tunnel or fields["mode"] == "connect_intercept" else "http"
        site = Site(scheme, fields["target"], port)
        request = TUNNELLED if is_tunnel else (fields["method"], _bare(path))
        if request in self._sites.get(site, ()):
            return
        if self._requests >= REQUESTS_MAX:
            self._dropped += 1
            return
        self._requests += 1
        self._sites.setdefault(site, set()).add(request)


def _bare(path: str) -> str:
    """Without its query; one that is too long for any pattern stands for all others too."""
    bare = path.partition("?")[0]
    return bare if len(bare) <= PATH_MAX else EVERY_PATH


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
