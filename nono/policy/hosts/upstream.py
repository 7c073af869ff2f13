"""Define the destination of a route's requests: an origin and a base path."""

from __future__ import annotations

import re

from nono.named_tuple import NamedTuple
from nono.policy.hosts.hostname import HostError, canonical_host, ip_literal, split_optional_port

_PATH = r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]*)*"  # RFC 3986, without percent-encoding
_DEFAULT_PORTS = {"https": 443, "http": 80}


class Upstream(NamedTuple):
    """The destination of a request: an origin, and the base path it stays below."""

    scheme: str  # "https"; "http" without a key, or to a loopback host
    host: str  # canonical, or "*.suffix": every host below it, without a reverse route
    port: int
    base_path: str = ""  # "" or "/v1": no trailing slash

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority.decode('ascii')}{self.base_path}"

    @property
    def authority(self) -> bytes:
        """The Host field value, without the scheme's default port (RFC 9110 section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{host}{port}".encode("ascii")

    @property
    def is_wildcard(self) -> bool:
        return self.host.startswith("*.")

    def covers(self, host: str, port: int) -> bool:
        """Return True if a canonical host and port are this upstream's, or lie below its wildcard."""
        if port != self.port:
            return False
        return host.endswith(self.host[1:]) if self.is_wildcard else host == self.host


def is_loopback(host: str) -> bool:
    """Return True if the spelling of a canonical host alone shows that it is this machine."""
    literal = None if host.startswith("*.") else ip_literal(host)
    return host == "localhost" or (literal is not None and literal.is_loopback)


def is_here(host: str) -> bool:
    """Return True for a canonical host that a connect takes for this machine."""
    literal = ip_literal(host)
    return is_loopback(host) or (literal is not None and literal.is_unspecified)


def port_in_the_clear(url: str) -> int | None:
    """Return the port of an http:// URL of this machine; None for any other text."""
    # Imported here: few runs ask, and urllib takes 4 ms to import.
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        is_clear = parts.scheme == "http" and is_here(canonical_host(parts.hostname or ""))
        return (parts.port or _DEFAULT_PORTS["http"]) if is_clear else None
    except ValueError:
        return None


def parse_upstream(text: str) -> Upstream:
    """Parse an upstream URL without user info, query or fragment. Raises ValueError if it is malformed."""
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in _DEFAULT_PORTS:
        raise ValueError("an https:// URL is expected")
    authority, slash, path = rest.partition("/")
    if "@" in authority:
        raise ValueError("a user and a password have no place in it")
    raw_host, port = split_optional_port(authority)
    host = _host(raw_host)
    if scheme == "http" and not is_loopback(host):
        raise ValueError("http is for loopback only: a key would cross the network in the clear")
    base_path = (slash + path).rstrip("/")
    if not re.fullmatch(_PATH, base_path, re.ASCII) or any(
        part in (".", "..") for part in base_path.split("/")
    ):
        raise ValueError("its path is not plain (no query, fragment, dot segment or percent-encoding)")
    if "//" in base_path:
        raise ValueError("its path has an empty segment")
    return Upstream(scheme, host, port or _DEFAULT_PORTS[scheme], base_path)


def is_upstream(text: str) -> bool:
    """Return True if parse_upstream() takes the text."""
    try:
        parse_upstream(text)
    except ValueError:
        return False
    return True


def parse_origin(text: str) -> Upstream:
    """Parse the https origin of one host, without a path. Raises ValueError otherwise."""
    upstream = parse_upstream(text)
    if upstream.scheme != "https" or upstream.base_path or upstream.is_wildcard:
        raise ValueError("an https:// URL of one host, without a path, is expected")
    return upstream


def _host(raw: str) -> str:
    if not raw.startswith("*."):
        return canonical_host(raw)
    suffix = canonical_host(raw[2:])
    if ip_literal(suffix):
        raise HostError("an IP address has no subdomains")
    return f"*.{suffix}"
