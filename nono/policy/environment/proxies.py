"""Find the proxies through which libraries connect that nono calls, in the variables of a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_SCHEMES = ("http", "https", "all")


def proxy_urls(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield the URL of each proxy, whatever NO_PROXY says of the hosts that are asked."""
    for name in (f"{scheme}_proxy" for scheme in _SCHEMES):
        for value in filter(None, (environ.get(name), environ.get(name.upper()))):
            yield value if "://" in value else f"http://{value}"
