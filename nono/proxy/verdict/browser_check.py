"""Refuse requests to the proxy's own paths that a web page could have sent.

A page can reach a port of 127.0.0.1 cross-origin, or through its own name that it resolves to 127.0.0.1 (DNS
rebinding). No legitimate client of the proxy needs either.
"""

from __future__ import annotations

from collections.abc import Container

from nono.policy.hosts.hostname import ip_literal
from nono.proxy.http import refusal, target
from nono.proxy.http.message import MessageError, RequestHead
from nono.proxy.http.refusal import Refusal


def check_browser(head: RequestHead, own_names: Container[str]) -> Refusal | None:
    """Return the refusal if a web page could have sent the request, otherwise None.

    `own_names` are canonical names of this machine, in addition to localhost. Any IP address is accepted as
    Host, because an address cannot be rebound.
    """
    named = [_host(value) for value in head.values(b"host")]
    if len(named) != 1 or not _is_own(named[0], own_names):
        sent = refusal.one_line(b", ".join(head.values(b"host")).decode("latin-1")) or "nothing"
        return _refused(f"the Host field names {sent}, which is not this proxy")
    if head.values(b"origin"):
        return _refused("the request comes from a web page (it has an Origin field)")
    if any(value.lower() in (b"cross-site", b"same-site") for value in head.values(b"sec-fetch-site")):
        return _refused("the request comes from another site's web page (Sec-Fetch-Site)")
    return None


def _host(value: bytes) -> str | None:
    try:
        return target.parse_authority(value, 80)[0]
    except MessageError:
        return None


def _is_own(host: str | None, own_names: Container[str]) -> bool:
    return host is not None and (host == "localhost" or ip_literal(host) is not None or host in own_names)


def _refused(reason: str) -> Refusal:
    return Refusal(
        403,
        reason,
        rule="browser",
        origin="built in",
        hint="use the proxy's address as the host, from a program that is not a browser",
        category="authentication_failed",
    )
