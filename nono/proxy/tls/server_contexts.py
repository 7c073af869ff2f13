"""Keep the TLS server contexts of a session: one for each host and choice of protocols.

Without cryptography, which a run whose leaves another process made need not import.
"""

from __future__ import annotations

import errno
import os
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable

from nono.policy.hosts.hostname import HostError, canonical_host, ip_literal
from nono.proxy.handshake.alpn import HTTP1, Alpn
from nono.proxy.tls.leaf import CaError, Leaf

_MAX_CONTEXTS = 256
# OpenSSL keeps the sessions of TLS 1.2 clients that refuse tickets: 1.1 KiB each, up to 20480 in a context.
_MAX_SESSIONS = 512
_MFD_NOEXEC_SEAL = 0x0008  # linux/memfd.h; without it memfd_create(2) fails where vm.memfd_noexec is 2


class _Minted:
    __slots__ = ("_may_add", "_renew_at_s", "context")

    def __init__(self, context: ssl.SSLContext, renew_at_s: float) -> None:
        self.context = context
        self._renew_at_s = renew_at_s
        self._may_add = _MAX_SESSIONS  # handshakes until the sessions are counted again, which takes 3 µs

    def is_spent(self, now_s: float) -> bool:
        if now_s >= self._renew_at_s:
            return True
        self._may_add -= 1
        if self._may_add < 0:
            self._may_add = _MAX_SESSIONS - self.context.session_stats()["number"]
        return self._may_add < 0


class ServerContexts:
    """For use by one event loop. It holds no descriptors and need not be closed."""

    def __init__(
        self,
        leaf: Callable[[str, float], Leaf],
        ca_pem: bytes,
        not_after_s: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Keep contexts with leaves of one CA.

        leaf: Certifies a host at a time; may raise CaError.
        ca_pem: The certificate of the CA, which is sent after a leaf.
        not_after_s: The CA's end, in seconds since 1970.
        """
        self._leaf = leaf
        self._ca_pem = ca_pem
        self._not_after_s = not_after_s
        self._now = now
        self._minted: OrderedDict[tuple[str, Alpn, bool], _Minted] = OrderedDict()

    def server_context(self, host: str, alpn: Alpn = HTTP1, *, x25519: bool = False) -> ssl.SSLContext:
        """Return a context that completes handshakes for `host` only, with the chain [leaf, CA].

        host: canonical, not a pattern.
        alpn: the protocols to choose from, preferred first.
        x25519: agree on keys with X25519 only, for a client that sent a share for it.

        The 256 most recently used contexts are kept until their leaf is about to expire. Raises CaError if
        the CA has expired or host is not canonical, and OSError if memfd_create(2) fails.

        Call client_hello.parse on the ClientHello first: ssl prints a traceback to stderr for a server name
        that is not ASCII.
        """
        now_s = self._now()
        if now_s >= self._not_after_s:
            raise CaError(
                "the CA of this session has expired",
                hint="start the session anew; --proxy-ca-validity DAYS gives it more than a day",
            )
        key = (host, alpn, x25519)
        kept = self._minted.get(key)
        if kept is None or kept.is_spent(now_s):
            kept = self._minted[key] = self._mint(host, now_s, alpn)
            if x25519:
                # OpenSSL prefers a post-quantum exchange, which takes both ends 50 % longer. It protects
                # against recorded traffic, and nobody can record traffic between the client and the proxy.
                kept.context.set_ecdh_curve("X25519")
            if len(self._minted) > _MAX_CONTEXTS:
                self._minted.popitem(last=False)
        self._minted.move_to_end(key)
        return kept.context

    def _mint(self, host: str, now_s: float, alpn: Alpn) -> _Minted:
        leaf = self._leaf(host, now_s)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A handshake is 5 % faster without tickets, and few clients would resume: curl exits, Python and Go's
        # default transport keep no sessions.
        context.num_tickets = 0
        context.set_alpn_protocols(alpn)
        context.sni_callback = _only_for(host)
        _load(context, leaf.pem + self._ca_pem)
        return _Minted(context, leaf.renew_at_s)


def _only_for(host: str) -> Callable[[ssl.SSLObject, str | None, ssl.SSLContext], int | None]:
    """Return an SNI callback that rejects any name but `host` with an alert (RFC 6066 section 3).

    A client that connects to an address sends no name, because server_name may not hold an address.
    """
    is_address = ip_literal(host) is not None

    def judge(_tls: ssl.SSLObject, server_name: str | None, _context: ssl.SSLContext) -> int | None:
        refused = ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        if server_name is None:
            return None if is_address else refused
        try:
            return None if server_name == host or canonical_host(server_name) == host else refused
        except HostError:
            return refused

    return judge


def _load(context: ssl.SSLContext, key_and_chain_pem: bytes) -> None:
    """Load a key and its chain into `context`, which accepts files only.

    The file is an unnamed memory file, closed before this returns. A process may open its own /proc/self/fd
    even if it is undumpable, when other processes of its uid may not (proc_pid_fd(5)).
    """
    with os.fdopen(_memory_file(), "wb", buffering=0) as file:
        file.write(key_and_chain_pem)
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")


def _memory_file() -> int:
    try:
        return os.memfd_create("certificate", os.MFD_CLOEXEC | _MFD_NOEXEC_SEAL)
    except OSError as failure:
        if failure.errno != errno.EINVAL:
            raise
        return os.memfd_create("certificate", os.MFD_CLOEXEC)  # before Linux 6.3
