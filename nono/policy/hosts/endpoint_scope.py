"""Parse allow-list hosts of which only some paths may be requested."""

from __future__ import annotations

from collections.abc import Iterable

from nono.errors import invalid
from nono.named_tuple import NamedTuple
from nono.policy.endpoints.entry import allow_list, rule_of
from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.policy.hosts.host_filter import HostRule, escaped, parse_rule
from nono.policy.hosts.hostname import HostError
from nono.policy.hosts.upstream import Upstream, is_loopback
from nono.policy.network_request import Entry
from nono.policy.schema.routes import DomainEntry
from nono.printable import shell_word


class EndpointScope(NamedTuple):
    """A host reached without a credential, on some paths; its rules apply to every port and scheme."""

    host: str  # canonical, or "*.suffix"
    port: int  # the only port the entry allows in the host filter
    scheme: str  # "https", or "http"
    endpoints: EndpointPolicy
    origin: str  # origin of the first entry for this host

    def __str__(self) -> str:
        return str(Upstream(self.scheme, self.host, self.port))

    def covers(self, host: str) -> bool:
        """Return True if a canonical host is this one, or lies below its wildcard."""
        return host.endswith(self.host[1:]) if self.host.startswith("*.") else host == self.host

    @property
    def host_rule(self) -> HostRule:
        return HostRule(self.host, self.port, self.origin)


def at_another_port(host: str, port: int, granted: Iterable[tuple[str, int]]) -> str:
    """Say that the granted paths of a host are at other ports. granted: Their schemes and ports."""
    ports = ", ".join(f"{scheme} on port {each}" for scheme, each in granted)
    return f"{host}:{port} is not allowed: its paths are granted for {ports}"


class UrlEntry(NamedTuple):
    """An allow-list entry written as a URL."""

    scheme: str
    authority: str
    path: str  # "" for the whole host


def split_url(text: str, origin: str) -> UrlEntry | None:
    """Split an http or https URL; None if `text` is not a URL (``host:443`` is a host with a port).

    Raises ConfigError, or UsageError where origin is an option, for another scheme, user info, a query or a
    fragment, which no rule could enforce.
    """
    scheme, separator, rest = text.partition("://")
    if not separator:
        return None
    end = min((at for at in map(rest.find, "/?#") if at >= 0), default=len(rest))
    authority, path = rest[:end], rest[end:]
    if "@" in authority:  # a password, which is not repeated
        raise invalid(origin, f"'{escaped(authority.rpartition('@')[2])}': user info has no place in a rule")
    if scheme.lower() not in ("http", "https"):
        raise invalid(origin, f"'{escaped(text)}': only http and https URLs name a host")
    if "?" in path or "#" in path:
        raise invalid(
            origin,
            f"'{escaped(text)}': a rule is about a path; a query or a fragment cannot be part of it",
            hint=f"--allow-domain {shell_word(text.partition('?')[0].partition('#')[0])}",
        )
    return UrlEntry(scheme.lower(), authority, "" if path == "/" else path)


def split_domain(text: str, origin: str) -> tuple[str | None, str]:
    """Split an entry with endpoints into scheme (None: not given) and host.

    Raises what split_url() raises, and if it has a path.
    """
    url = split_url(text, origin)
    if url is None:
        return None, text
    if url.path:
        raise invalid(origin, f"'{escaped(text)}': the path belongs in its endpoints")
    return url.scheme, url.authority


def scopes_of(urls: Iterable[Entry], domains: Iterable[tuple[DomainEntry, str]]) -> tuple[EndpointScope, ...]:
    """Return the scopes of URLs with a path and profile entries with endpoints, merged by host.

    Skips entries that allow a whole host. Raises ConfigError or UsageError for an invalid host or path.
    """
    found: dict[tuple[str, int, str], EndpointScope] = {}
    for entry, origin in domains:
        if entry.endpoints:
            scheme, authority = split_domain(entry.domain, origin)
            _add(found, scheme, authority, _rules(entry, origin), origin)
    for text, origin in urls:
        url = split_url(text, origin)
        if url is not None and url.path:
            _add(found, url.scheme, url.authority, [_rule(url.path, text, origin)], origin)
    return tuple(found.values())


def _add(
    found: dict[tuple[str, int, str], EndpointScope],
    scheme: str | None,
    authority: str,
    rules: list[EndpointRule],
    origin: str,
) -> None:
    try:
        parsed = parse_rule(authority, origin)
    except HostError as error:
        raise invalid(origin, f"'{escaped(authority)}' is not a host: {error}") from error
    host = parsed.pattern
    if host == "*":
        raise invalid(origin, "rules for a path need a host, and '*' is every host")
    scheme = scheme or ("http" if is_loopback(host) else "https")
    port = parsed.port or (443 if scheme == "https" else 80)
    before = found.get((host, port, scheme))
    known = before.endpoints.allow if before is not None else ()
    first = before.origin if before is not None else origin
    policy = allow_list(dict.fromkeys((*known, *rules)), first)
    found[host, port, scheme] = EndpointScope(host, port, scheme, policy, first)


def _rules(entry: DomainEntry, origin: str) -> list[EndpointRule]:
    try:
        return [rule_of(each) for each in entry.endpoints]
    except ValueError as error:
        raise invalid(origin, f"'{escaped(entry.domain)}': {error}") from error


def _rule(path: str, text: str, origin: str) -> EndpointRule:
    try:
        return EndpointRule("*", path)
    except ValueError as error:
        raise invalid(origin, f"'{escaped(text)}': {error}") from error
