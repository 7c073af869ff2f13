"""Refuse certificates and keys of a service's TLS identity that no connection could use."""

from __future__ import annotations

import os
import stat

from nono.errors import NonoError
from nono.policy.schema.route_rules import TlsIdentity
from nono.policy.services.credential_service import CredentialService
from nono.proxy.upstream.identity import check_identity

# NO_CERTIFICATE_ASSIGNED: one of the pair is RSA and the other is not.
_OF_TWO_PAIRS = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
_NO_CERTIFICATE = "it holds no certificate in PEM"
_NO_KEY = "it holds no key in PEM, or one with a passphrase"


def check_tls_files(service: CredentialService) -> None:
    """Raise NonoError if a certificate or key of the service's TLS identity cannot be used."""
    # One by one, because OpenSSL's errors name no file.
    ca, cert, key = service.tls
    if ca is not None:
        _check_tls(f"credential '{service.name}': tls_ca '{ca}'", ca, TlsIdentity(ca), _NO_CERTIFICATE)
    if cert is None or key is None:
        return
    cert_name = f"credential '{service.name}': tls_client_cert '{cert}'"
    key_name = f"tls_client_key '{key}'"
    _check_tls(cert_name, cert, TlsIdentity(cert), _NO_CERTIFICATE)  # readable as a CA, so it holds one
    try:
        _check_tls(f"credential '{service.name}': {key_name}", key, TlsIdentity(None, cert, key), _NO_KEY)
    except NonoError as error:
        reason = getattr(error.__cause__, "reason", None)
        if reason is None:  # not OpenSSL's, or OpenSSL gave no reason
            raise
        if reason in _OF_TWO_PAIRS:
            raise NonoError(f"{cert_name} and {key_name} do not belong together") from error
        raise NonoError(f"{cert_name} cannot be used: {reason.replace('_', ' ').lower()}") from error


def _check_tls(named: str, path: str, identity: TlsIdentity, unusable: str) -> None:
    try:
        # Opening a FIFO would wait for somebody who writes to it.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise NonoError(f"{named} cannot be used: it is no regular file")
        open(path, "rb").close()
        check_identity(identity)
    except OSError as error:
        # ssl.SSLError is an OSError too, and has a `reason`.
        reason = unusable if hasattr(error, "reason") else error.strerror
        raise NonoError(f"{named} cannot be used: {reason}") from error
