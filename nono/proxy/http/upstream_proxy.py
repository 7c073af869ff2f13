"""Choose the hosts reached through an upstream proxy, build its CONNECT and parse its reply."""

from __future__ import annotations

import re
from typing import Protocol

from nono.named_tuple import NamedTuple
from nono.policy.hosts.host_filter import HostRule
from nono.policy.hosts.upstream import is_loopback
from nono.proxy.http.message import Header
from nono.proxy.http.refusal import Refusal

MAX_LINE_BYTES = 8 * 1024
MAX_REPLY_BYTES = 64 * 1024
MAX_LINES = 256  # every piece that arrives is parsed again with all earlier ones

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: .*)?")


class Authorization(Protocol):
    """Builds the Proxy-Authorization field. Nothing else sees its text."""

    def field(self) -> Header: ...


class ProxyAddress(NamedTuple):
    """The address of the proxy that a connection goes through."""

    host: str  # canonical
    port: int

    def __str__(self) -> str:
        return authority(self.host, self.port)


class UpstreamProxy(NamedTuple):
    """An upstream proxy, used with CONNECT over plain HTTP/1.1 (RFC 9110 section 9.3.6)."""

    via: ProxyAddress
    bypass: tuple[HostRule, ...] = ()
    authorization: Authorization | None = None

    def carries(self, host: str, port: int) -> bool:
        """Return True if this proxy is used to reach a canonical host and port.

        Loopback names are never sent to it: to that proxy they would name another machine, and cleartext sent
        to them would cross the network.
        """
        return not is_loopback(host) and not any(rule.matches(host, port) for rule in self.bypass)

    def is_at(self, host: str, port: int) -> bool:
        """Return True if a canonical host and port are the proxy itself."""
        return self.via == (host, port)

    def request(self, host: str, port: int) -> bytes:
        """Return the CONNECT for a tunnel to host:port. It contains the password, if there is one."""
        target = authority(host, port).encode("ascii")
        fields: list[Header] = [(b"Host", target)]
        if self.authorization is not None:
            fields.append(self.authorization.field())
        lines = [b"CONNECT " + target + b" HTTP/1.1", *(b"%b: %b" % field for field in fields)]
        return b"\r\n".join(lines) + b"\r\n\r\n"


class Incomplete(NamedTuple):
    """The head has not ended yet."""


class Malformed(NamedTuple):
    """The bytes are not an answer to a CONNECT."""

    reason: str


class Reply(NamedTuple):
    """The head of the answer, `length` bytes long; the bytes after it belong to the tunnel."""

    status: int
    length: int


def parse_reply(begun: bytes) -> Incomplete | Malformed | Reply:
    """Parse the bytes received so far. A line may end with LF alone (RFC 9112 section 2.2)."""
    position, number = 0, 0
    status: re.Match[bytes] | None = None
    while (end := begun.find(b"\n", position)) >= 0:
        line = begun[position:end].removesuffix(b"\r")
        if len(line) > MAX_LINE_BYTES or end >= MAX_REPLY_BYTES or number > MAX_LINES:
            return Malformed("its head is too long")
        if number == 0:
            status = _STATUS_LINE.fullmatch(line)
            if status is None:
                return Malformed("what it said is not HTTP/1.1")
        elif not line and status is not None:
            return Reply(int(status[1]), end + 1)
        position, number = end + 1, number + 1
    if len(begun) - position > MAX_LINE_BYTES + 1 or len(begun) >= MAX_REPLY_BYTES:
        return Malformed("its head is too long")
    return Incomplete()


_HINTS = {
    407: "it wants a user and a password: in a profile, network.upstream_proxy takes {address, auth}",
    403: "it does not allow this host or port; --upstream-bypass HOST reaches a host without it",
}


def rejected(host: str, via: ProxyAddress, reply: Reply) -> Refusal:
    """Refuse a tunnel that the upstream proxy did not open."""
    # Imported here: few tunnels are refused.
    from http import HTTPStatus

    # Use the standard phrase: the upstream proxy's own could repeat our password to the command.
    known = reply.status in HTTPStatus
    said = f"{reply.status} {HTTPStatus(reply.status).phrase}" if known else str(reply.status)
    return Refusal(
        502,
        f"the upstream proxy {via} refused a tunnel to {host}: {said}",
        host,
        "upstream proxy",
        hint=_HINTS.get(reply.status, "--upstream-bypass HOST reaches a host without it"),
        category="external_proxy_rejected",
        failure="refused",
    )


def authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
