"""Parse the hosts that clients are told to reach without the proxy, and compare them as clients do.

Such an entry grants nothing: the kernel still refuses the connection unless something else grants it.
"""

from __future__ import annotations

from collections.abc import Iterable

from nono.errors import ConfigError
from nono.named_tuple import NamedTuple
from nono.policy.hosts.hostname import METADATA_HOSTS, HostError, canonical_host, ip_literal


class NoProxyEntry(NamedTuple):
    """A single-label name, an IP address or a suffix, each in its canonical form."""

    name: str  # without brackets, star and leading dot
    is_suffix: bool

    def __str__(self) -> str:
        """Return the form nono writes to NONO_NO_PROXY."""
        return f"*.{self.name}" if self.is_suffix else self.name

    @property
    def emitted(self) -> str:
        """The form clients read in NO_PROXY."""
        return f".{self.name}" if self.is_suffix else self.name

    def covers(self, host: str) -> bool:
        """Return True if some client would apply the entry to a canonical host: all match suffixes."""
        if ip_literal(self.name) is not None:
            return host == self.name
        return host == self.name or host.endswith(f".{self.name}")

    def overlaps(self, pattern: str) -> bool:
        """Return True if the entry and a host rule's pattern have a host in common."""
        if pattern == "*":
            return ip_literal(self.name) is None  # "*" allows no address
        if pattern.startswith("*."):
            suffix = pattern[2:]
            return self.covers(suffix) or (ip_literal(self.name) is None and self.name.endswith(f".{suffix}"))
        return self.covers(pattern)


def parse_no_proxy(text: str) -> NoProxyEntry:
    """Parse an entry of network.no_proxy. Raises ValueError if it is not allowed."""
    problem = _problem(text)
    if problem is not None:
        raise ValueError(problem)
    is_suffix = text.startswith((".", "*."))
    bare = text.removeprefix("*").removeprefix(".") if is_suffix else text
    try:
        name = canonical_host(bare)
        address = ip_literal(name)
    except HostError as error:
        raise ValueError(str(error)) from error
    # Imported here, as below: few profiles name hosts to reach without the proxy.
    from nono.policy.hosts.address import METADATA_ADDRESSES, classify

    metadata = METADATA_HOSTS | {str(each) for each in METADATA_ADDRESSES}
    if any(known == name or known.endswith(f".{name}") for known in metadata):
        raise ValueError("it would cover the metadata service of a cloud")
    if address is not None:
        if is_suffix:
            raise ValueError("an IP address has no subdomains")
        if classify(address) in ("link-local", "metadata"):
            raise ValueError("link-local and metadata addresses are never reached without the proxy")
    elif "." in name and not is_suffix:
        raise ValueError(f"clients take a bare domain for a suffix: write '*.{name}', or a single label")
    return NoProxyEntry(name, is_suffix)


def parse_all(texts: Iterable[str], origin: str) -> tuple[NoProxyEntry, ...]:
    """Return the entries, each once. Raises ConfigError that names the first bad one."""
    found: dict[str, NoProxyEntry] = {}
    for text in texts:
        try:
            entry = parse_no_proxy(text)
        except ValueError as error:
            raise ConfigError(f"{origin}: {text!a}: {error}.") from error
        found.setdefault(entry.name, entry)
    return tuple(found.values())


def refuse_overlap(entries: Iterable[NoProxyEntry], patterns: Iterable[tuple[str, str]]) -> None:
    """Raise ConfigError if an entry would bypass the proxy for a (pattern, origin) that needs the proxy."""
    listed = list(patterns)
    for entry in entries:
        for pattern, origin in listed:
            if entry.overlaps(pattern):
                raise ConfigError(
                    f"network.no_proxy: '{entry}' overlaps {pattern} ({origin}): what is allowed through the "
                    "proxy must go through the proxy.",
                    hint="leave one of them out",
                )


def _problem(text: str) -> str | None:
    """Return the problem with the form of `text`, before it is parsed as a host; None if there is none."""
    if not text or text != text.strip() or any(not c.isprintable() or c.isspace() for c in text):
        return "it is empty, or holds a space or a control character"
    for mark, what in ((",", "a comma"), ("://", "a scheme"), ("@", "user info")):
        if mark in text:
            return f"it holds {what}"
    if any(mark in text for mark in "/?#"):
        return "it holds a path, a query or a fragment"
    bare = text.removeprefix("*.")
    if "*" in bare:
        return "'*' may only stand for the leftmost labels, as in *.example.com"
    if ".." in text or bare in ("", "."):
        return "it has an empty label"
    return "it holds a port" if _has_port(bare) else None


def _has_port(text: str) -> bool:
    if text.startswith("["):
        return not text.endswith("]")
    if ":" not in text:
        return False
    from ipaddress import ip_address

    try:
        ip_address(text)
    except ValueError:
        return True
    return False
