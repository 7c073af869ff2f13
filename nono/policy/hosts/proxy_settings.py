"""Parse the settings of a run's proxy: its upstream proxy, and the certificates it presents."""

from __future__ import annotations

import re
from collections.abc import Callable

from nono.errors import ConfigError, UsageError, invalid
from nono.named_tuple import NamedTuple
from nono.policy.hosts.host_filter import HostRule, escaped, parse_rule
from nono.policy.hosts.hostname import HostError, canonical_host, split_optional_port
from nono.policy.hosts.no_proxy import NoProxyEntry, parse_all
from nono.policy.request import RunRequest
from nono.policy.schema.profile import Network
from nono.policy.schema.routes import UpstreamProxyEntry

DAY_S = 86_400
MAX_VALIDITY_DAYS = 365

_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": DAY_S}
_DURATION = r"([0-9]{1,9})([smhd]?)"


class UpstreamProxySettings(NamedTuple):
    """The upstream proxy, reached with CONNECT over plain HTTP."""

    host: str  # canonical
    port: int
    auth: str | None = None  # a credential reference to user:password, for Basic

    @property
    def source_variable(self) -> str | None:
        """The variable its password comes from, which the command must not inherit."""
        auth = self.auth or ""
        return auth.removeprefix("env://") if auth.startswith("env://") else None

    @property
    def source_file(self) -> str | None:
        """The file holding its password, which must lie outside the grants."""
        auth = self.auth or ""
        return auth.removeprefix("file://") if auth.startswith("file://") else None


class ProxySettings(NamedTuple):
    """Settings of the proxy other than rules."""

    allow_http2: bool
    ca_validity_s: int
    leaf_validity_s: int  # a leaf never outlives its CA, whatever the value
    ca_env_vars: tuple[str, ...]  # further variables that name the bundle of trusted certificates
    upstream_proxy: UpstreamProxySettings | None
    upstream_bypass: tuple[HostRule, ...]  # hosts reached without the upstream proxy
    no_proxy: tuple[NoProxyEntry, ...]  # the profile's; the proxy adds localhost where appropriate
    record_flows: str | None  # the file to write, as typed
    asks: bool = False  # a person is asked about hosts that nothing allows
    learns: bool = False  # every public host is reachable, and its TLS intercepted
    tunnels: frozenset[str] = frozenset()  # exceptions from that interception; canonical


def proxy_settings(request: RunRequest, network: Network, label: str) -> ProxySettings:
    """Lay the flags over the profile's network section.

    Raises ConfigError or UsageError for an invalid value.

    `label` names the profile in messages.
    """
    intercept, where = network.tls_intercept, f"{label}, network"
    if request.proxy_ca_validity is not None:
        ca_validity_s = _days(request.proxy_ca_validity) * DAY_S
    else:
        ca_validity_s = _read(
            f"{where}.tls_intercept.ca_validity", parse_duration, str(intercept.ca_validity)
        )
    leaf_validity_s = ca_validity_s
    if intercept.leaf_validity is not None:
        leaf = str(intercept.leaf_validity)
        leaf_validity_s = _read(f"{where}.tls_intercept.leaf_validity", parse_duration, leaf)
    upstream, bypass = _upstream(request, network, where)
    return ProxySettings(
        allow_http2=request.allow_http2 or network.allow_http2,
        ca_validity_s=ca_validity_s,
        leaf_validity_s=leaf_validity_s,
        ca_env_vars=tuple(dict.fromkeys(intercept.ca_env_vars)),
        upstream_proxy=upstream,
        upstream_bypass=bypass,
        no_proxy=parse_all(network.no_proxy, f"{where}.no_proxy"),
        record_flows=request.record_flows,
        asks=request.ask,
        learns=request.learns,
        tunnels=frozenset(_read("--tunnel", canonical_host, text) for text in request.tunnel),
    )


def parse_duration(text: str) -> int:
    """Return the seconds in ``30s``, ``15m``, ``24h``, ``1d`` or a plain number, up to a year.

    Raises ValueError if the text is malformed or out of range.
    """
    found = re.fullmatch(_DURATION, text, re.ASCII)
    seconds = int(found[1]) * _UNITS_S[found[2]] if found is not None else 0
    if not 1 <= seconds <= MAX_VALIDITY_DAYS * DAY_S:
        raise ValueError(f"{text!a}: expected a duration like 24h, 15m or 1d, up to a year")
    return seconds


def parse_upstream_proxy(text: str) -> tuple[str, int]:
    """Return the host and port of an upstream proxy. Raises ValueError if malformed."""
    rest = text.removeprefix("http://").removesuffix("/")
    if "://" in rest:
        scheme = rest.partition("://")[0]
        raise ValueError(f"'{escaped(scheme)}://': an upstream proxy is reached by http://, as HOST:PORT")
    if "@" in rest:
        raise ValueError("a password has no place here; a profile's upstream_proxy takes {address, auth}")
    try:
        host, port = split_optional_port(rest)
        if port is None:
            raise HostError("the port is missing")
        return canonical_host(host), port
    except HostError as error:
        raise ValueError(f"'{escaped(text)}': expected host:port: {error}") from error


def parse_bypass(text: str) -> HostRule:
    """Parse an exact host or ``*.suffix``. Raises ValueError if malformed, or for ``*``."""
    try:
        rule = parse_rule(text, "network.upstream_bypass")
    except HostError as error:
        raise ValueError(f"'{escaped(text)}' is not a host: {error}") from error
    if rule.pattern == "*":
        raise ValueError("'*' would leave nothing for the upstream proxy")
    return rule


def _upstream(
    request: RunRequest, network: Network, where: str
) -> tuple[UpstreamProxySettings | None, tuple[HostRule, ...]]:
    given = network.upstream_proxy
    in_profile: tuple[str, ...] = network.upstream_bypass
    proxy = None
    if request.upstream_proxy is not None:
        proxy = UpstreamProxySettings(
            *_read("--upstream-proxy", parse_upstream_proxy, request.upstream_proxy)
        )
        in_profile = ()  # chosen for the proxy that the flag replaces
    elif given is not None:
        entry = given if isinstance(given, UpstreamProxyEntry) else UpstreamProxyEntry(given)
        address = _read(f"{where}.upstream_proxy", parse_upstream_proxy, entry.address)
        proxy = UpstreamProxySettings(*address, entry.auth)
    bypass = (
        *(_read(f"{where}.upstream_bypass", parse_bypass, text) for text in in_profile),
        *(_read("--upstream-bypass", parse_bypass, text) for text in request.upstream_bypass),
    )
    if bypass and proxy is None:
        raise ConfigError(
            f"{where}.upstream_bypass: there is no upstream proxy to bypass.",
            hint="--upstream-proxy HOST:PORT",
        )
    return proxy, bypass


def _days(text: str) -> int:
    days = int(text) if text.isascii() and text.isdecimal() and len(text) <= 3 else 0
    if not 1 <= days <= MAX_VALIDITY_DAYS:
        raise UsageError(
            f"--proxy-ca-validity '{escaped(text)}': expected a number of days, 1 to {MAX_VALIDITY_DAYS}."
        )
    return days


def _read[T](origin: str, parse: Callable[[str], T], text: str) -> T:
    """Parse `text`, turning a ValueError into the error of an invalid value of `origin`."""
    try:
        return parse(text)
    except ValueError as error:
        raise invalid(origin, str(error)) from error
