"""Lead a client that is sent elsewhere back to its reverse route, where the upstream means itself."""

from __future__ import annotations

from collections.abc import Sequence

from nono.policy.hosts.upstream import Upstream
from nono.proxy.http.message import Header


def led_back(headers: Sequence[Header], origin: Upstream, service: str) -> Sequence[Header]:
    """Return `headers` with a Location at the route's upstream as a path of the route.

    The same object if there is none. The upstream knows neither the proxy's address nor the route's name, so
    a client that followed its Location would leave the route, and its key with it.

    origin: the upstream, with the base path that the route leaves out.
    """
    if not any(name.lower() == b"location" for name, _ in headers):
        return headers
    return [
        (name, _led_back(value, origin, service) if name.lower() == b"location" else value)
        for name, value in headers
    ]


def _led_back(location: bytes, origin: Upstream, service: str) -> bytes:
    scheme, base = origin.scheme.encode("ascii") + b":", origin.base_path.encode("ascii")
    at, port = b"//" + origin.authority, b":%d" % origin.port
    with_port = at.removesuffix(port) + port  # as load balancers write it, the default port too
    spellings = (scheme + with_port, scheme + at, with_port, at)
    begins = next((each for each in spellings if location.lower().startswith(each)), b"")
    rest = location[len(begins) :]
    if begins and not rest.startswith((b"/", b"?", b"#")) and rest:
        return location  # another port, or a longer name
    if not begins and (not rest.startswith(b"/") or rest.startswith(b"//")):
        return location  # relative to the request, or at another host
    is_below = rest.startswith(base) and rest[len(base) : len(base) + 1] in (b"", b"/", b"?", b"#")
    if is_below and not _has_dots(rest):
        return b"/%b%b" % (service.encode("ascii"), rest[len(base) :] or b"/")
    return scheme + at + rest  # where the route does not lead: at the upstream itself


def _has_dots(target: bytes) -> bool:
    """Return True if the path has a dot segment: with one, clients leave the base path, or the route."""
    path = target.partition(b"?")[0].partition(b"#")[0]
    return any(each.lower().replace(b"%2e", b".") in (b".", b"..") for each in path.split(b"/"))
