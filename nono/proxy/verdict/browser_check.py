"""Whether a request on the proxy's own paths may come from a web page, which nobody meant to let in.

A page reaches a port of 127.0.0.1 across origins, or under a name of its own that it lets resolve there
(DNS rebinding). No client of the proxy needs either.
"""

from __future__ import annotations

from collections.abc import Container

from nono.policy.hosts.hostname import ip_literal
from nono.proxy.http import refusal, target
from nono.proxy.http.message import MessageError, RequestHead
from nono.proxy.http.refusal import Refusal


def check_browser(head: RequestHead, own_names: Container[str]) -> Refusal | None:
    """The refusal of what a page could have sent.

    own_names: canonical ones of this machine, beside localhost. An address is nobody's to rebind, so every
    one will do, whichever way it leads here.
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
        hint="use the proxy's address as the host, from a program that is no browser",
        category="authentication_failed",
    )
