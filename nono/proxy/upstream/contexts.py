"""Build the TLS contexts of upstream connections, without importing an event loop."""

from __future__ import annotations

import ssl

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
    context.set_alpn_protocols(alpn)
    context.load_default_certs()
    load_identity(context, identity)
    return context
