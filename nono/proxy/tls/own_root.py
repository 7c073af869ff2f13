"""Read a person's own root certificate and its key, which then certify the hosts of a session.

The only part that imports cryptography's X.509 support.
"""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from nono.named_tuple import NamedTuple
from nono.proxy.tls.ca_certificate import Issuer
from nono.proxy.tls.leaf import CaError


class OwnRoot(NamedTuple):
    """A person's own CA."""

    certificate_pem: bytes
    key: ec.EllipticCurvePrivateKey
    issuer: Issuer

    def __repr__(self) -> str:
        return "OwnRoot(...)"


def read(certificate_pem: bytes, key_pem: bytes, now: datetime) -> OwnRoot:
    """Load a root and its P-256 key (PKCS #8, unencrypted). Raises CaError if unusable."""
    certificate = _read_certificate(certificate_pem)
    key = _read_key(key_pem)
    if certificate.public_key() != key.public_key():
        raise CaError("the CA certificate and the CA key do not belong together")
    _check_root(certificate, now)
    identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    issuer = Issuer(
        certificate.subject.public_bytes(),
        identifier,
        int(certificate.not_valid_before_utc.timestamp()),
        int(certificate.not_valid_after_utc.timestamp()),
    )
    return OwnRoot(certificate.public_bytes(serialization.Encoding.PEM), key, issuer)


def _read_certificate(pem: bytes) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        _ = certificate.extensions  # parsed lazily
    except (ValueError, x509.DuplicateExtension):
        raise CaError("the CA certificate is not a certificate in PEM") from None
    return certificate


def _read_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        raise CaError("the CA key is encrypted; a passphrase cannot be given") from None
    except (ValueError, UnsupportedAlgorithm):
        # Not chained: a parser's message may quote the key.
        raise CaError("the CA key is not a private key in PEM") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CaError("the CA key is not an ECDSA key on P-256")
    return key


def _check_root(certificate: x509.Certificate, now: datetime) -> None:
    """Raise CaError unless clients accept `certificate` as a trust anchor now.

    Strict clients require the extensions that RFC 5280 section 4.2.1 demands of a root.
    """
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound as missing:
        raise CaError(
            f"the CA certificate has no {missing.oid._name} extension, which a root must have"
        ) from None
    if not constraints.value.ca:
        raise CaError("the CA certificate is not one of a CA: basicConstraints says CA:FALSE")
    if not constraints.critical:
        raise CaError("the CA certificate does not mark basicConstraints as critical")
    if not usage.key_cert_sign:
        raise CaError("the CA certificate is not one of a CA: keyUsage lacks keyCertSign")
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature):
        # OpenSSL's clients build the chain up to a root, and the issuers above are not known here.
        raise CaError("the CA certificate is not self-signed, so it is not a root") from None
    if now >= certificate.not_valid_after_utc:
        raise CaError(f"the CA certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    if now < certificate.not_valid_before_utc:
        raise CaError(f"the CA certificate is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}")
