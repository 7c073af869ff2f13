"""Name the upstreams whose servers are known to read each request to its end before the next (ADR 32)."""

from __future__ import annotations

from nono.policy.hosts.upstream import Upstream

# Large front ends that parse a request themselves and read or drop its whole body, whatever the program
# behind them does. A small server may leave a body to be read as the next request.
_HOSTS = frozenset(
    {
        "api.anthropic.com",
        "api.github.com",
        "api.openai.com",
        "chatgpt.com",
        "generativelanguage.googleapis.com",
        "gitlab.com",
    }
)


def reads_bodies(upstream: Upstream) -> bool:
    """Return True if an HTTP/1.1 connection to it may be used again after a request with a body."""
    return upstream.scheme == "https" and upstream.port == 443 and upstream.host in _HOSTS
