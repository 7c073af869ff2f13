"""Load the files of a TLS identity, and try them before a command starts."""

from __future__ import annotations

from nono.policy.schema.route_rules import TlsIdentity

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ssl


def check_identity(identity: TlsIdentity) -> None:
    """Raise OSError as tls_context() does, without the system's roots, whose parsing takes 6 ms."""
    import _ssl  # ssl makes enums of all its constants: 3 ms for which the command would wait

    load_identity(_ssl._SSLContext(_ssl.PROTOCOL_TLS_CLIENT), identity)


def load_identity(context: _ssl._SSLContext, identity: TlsIdentity) -> None:
    """Load the files into `context`. Raises OSError if one cannot be read or holds nothing of its kind."""
    if identity.ca is not None:
        context.load_verify_locations(cafile=identity.ca)
    if identity.cert is not None:
        # With password="" OpenSSL does not ask for a passphrase on the terminal, even in the middle of a run.
        context.load_cert_chain(identity.cert, identity.key, password="")
