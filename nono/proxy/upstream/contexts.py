"""Builds the TLS contexts of upstream connections; imports no event loop."""

from __future__ import annotations

import ssl

from nono.policy.schema.route_rules import TlsIdentity
from nono.proxy.handshake.alpn import HTTP1, Alpn


def tls_context(identity: TlsIdentity, alpn: Alpn = HTTP1) -> ssl.SSLContext:
    """Build a client context that trusts the system's roots and the identity's CA, with its certificate.

    Not built by ssl.create_default_context(), because that obeys SSLKEYLOGFILE. Raises OSError if a file of
    the identity cannot be read or holds nothing of its kind.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(alpn)
    context.load_default_certs()
    _load(context, identity)
    return context


def check_identity(identity: TlsIdentity) -> None:
    """Raise OSError as tls_context() does, without the system's roots, whose parsing takes 6 ms."""
    _load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), identity)


def _load(context: ssl.SSLContext, identity: TlsIdentity) -> None:
    if identity.ca is not None:
        context.load_verify_locations(cafile=identity.ca)
    if identity.cert is not None:
        # With password="" OpenSSL does not ask for a passphrase on the terminal, even in the middle of a run.
        context.load_cert_chain(identity.cert, identity.key, password="")
