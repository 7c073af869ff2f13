"""Build the TLS contexts of upstream connections, without importing an event loop."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from nono.policy.schema.route_rules import TlsIdentity
from nono.proxy.handshake.alpn import HTTP1, Alpn
from nono.proxy.upstream.identity import load_identity


def tls_context(identity: TlsIdentity, alpn: Alpn = HTTP1) -> ssl.SSLContext:
    """Build a client context that trusts the system's roots and the identity's CA, with its certificate.

    Not built by ssl.create_default_context(), because that obeys SSLKEYLOGFILE. Raises OSError if a file of
    the identity cannot be read or holds nothing of its kind.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(_suites(context)))
    context.set_alpn_protocols(alpn)
    context.load_default_certs()
    load_identity(context, identity)
    return context


def _suites(context: ssl.SSLContext) -> Iterator[str]:
    """Yield the suites that OpenSSL would offer, without DHE.

    In TLS 1.2 the server chooses the group of DHE: with 10 000 bits, the handshake holds the loop for 0.7 s.
    Browsers and Go do not offer it either. The groups of TLS 1.3 are fixed.
    """
    for suite in context.get_ciphers():
        if not suite["name"].startswith("DHE-"):
            yield suite["name"]
