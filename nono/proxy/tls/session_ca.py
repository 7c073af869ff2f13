"""Provide the certificate authority of one session, and the TLS server contexts made with it.

Imported late: cryptography takes tens of milliseconds that a run without interception should not spend.
"""

from __future__ import annotations

import errno
import os
import ssl
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nono.policy.hosts.hostname import HostError, canonical_host, ip_literal
from nono.proxy.handshake.alpn import HTTP1, Alpn
from nono.proxy.tls import ca_certificate
from nono.proxy.tls.ca_certificate import MadeCa

_MAX_CONTEXTS = 256
# OpenSSL keeps the sessions of TLS 1.2 clients that refuse tickets: 1.1 KiB each, up to 20480 in a context.
_MAX_SESSIONS = 512
_MFD_NOEXEC_SEAL = 0x0008  # linux/memfd.h; without it memfd_create(2) fails where vm.memfd_noexec is 2
_MAX_COMMON_NAME = 64  # RFC 5280 appendix A.1, ub-common-name
_BACKDATED = timedelta(seconds=ca_certificate.BACKDATED_S)
# A leaf is replaced this long before it expires, or a tenth of its life if that is less, so that a client
# with a slow handshake does not get an expired one.
_RENEWAL_MARGIN = timedelta(minutes=5)


class CaError(ValueError):
    """The CA cannot be used. The text is one clause for a person and contains no key material."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class _Minted:
    context: ssl.SSLContext
    renew_at: datetime

    def is_spent(self, now: datetime) -> bool:
        return now >= self.renew_at or self.context.session_stats()["number"] > _MAX_SESSIONS


class SessionCa:
    """Mints one leaf per host, all with one P-256 key. Neither private key is ever on disk.

    For use by one event loop. It holds no descriptors and need not be closed.
    """

    def __init__(
        self,
        certificate: x509.Certificate,
        key: ec.EllipticCurvePrivateKey,
        *,
        leaf_validity_s: float | None = None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self.not_after = certificate.not_valid_after_utc
        self.certificate_pem = certificate.public_bytes(serialization.Encoding.PEM)
        self._certificate = certificate
        self._key = key
        self._leaf_validity = None if leaf_validity_s is None else timedelta(seconds=leaf_validity_s)
        self._now = now
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._leaf_key_pem = _private_pem(self._leaf_key)
        self._leaf_extensions = _leaf_extensions(self._leaf_key, certificate)
        self._minted: OrderedDict[tuple[str, Alpn, bool], _Minted] = OrderedDict()

    @classmethod
    def create(
        cls,
        *,
        validity_s: float = 24 * 3600,
        leaf_validity_s: float | None = None,
        now: Callable[[], datetime] = _now,
    ) -> SessionCa:
        """Create a CA. Leaves live as long as it does unless leaf_validity_s is given."""
        made = ca_certificate.make(validity_s, now().timestamp())
        return cls.from_made(made, leaf_validity_s=leaf_validity_s, now=now)

    @classmethod
    def from_made(
        cls, made: MadeCa, *, leaf_validity_s: float | None = None, now: Callable[[], datetime] = _now
    ) -> SessionCa:
        """Build the CA from the result of ca_certificate.make(), which another process may have run."""
        key = ec.derive_private_key(int.from_bytes(made.private_value), ec.SECP256R1())
        certificate = x509.load_der_x509_certificate(made.certificate)
        return cls(certificate, key, leaf_validity_s=leaf_validity_s, now=now)

    @classmethod
    def from_pem(
        cls,
        certificate_pem: bytes,
        key_pem: bytes,
        *,
        leaf_validity_s: float | None = None,
        now: Callable[[], datetime] = _now,
    ) -> SessionCa:
        """Load a person's own root and its P-256 key (PKCS #8, unencrypted). Raises CaError if unusable."""
        certificate = _read_certificate(certificate_pem)
        key = _read_key(key_pem)
        if certificate.public_key() != key.public_key():
            raise CaError("the CA certificate and the CA key do not belong together")
        _check_root(certificate, now())
        return cls(certificate, key, leaf_validity_s=leaf_validity_s, now=now)

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
        now = self._now()
        if now >= self.not_after:
            raise CaError("the session's CA has expired; start the session anew")
        key = (host, alpn, x25519)
        kept = self._minted.get(key)
        if kept is None or kept.is_spent(now):
            kept = self._minted[key] = self._mint(host, now, alpn)
            if x25519:
                # OpenSSL prefers a post-quantum exchange, which takes both ends 50 % longer. It protects
                # against recorded traffic, and nobody can record traffic between the client and the proxy.
                kept.context.set_ecdh_curve("X25519")
            if len(self._minted) > _MAX_CONTEXTS:
                self._minted.popitem(last=False)
        self._minted.move_to_end(key)
        return kept.context

    def _mint(self, host: str, now: datetime, alpn: Alpn) -> _Minted:
        leaf = self._leaf(host, now)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # A handshake is 5 % faster without tickets, and few clients would resume: curl exits, Python and Go's
        # default transport keep no sessions.
        context.num_tickets = 0
        context.set_alpn_protocols(alpn)
        context.sni_callback = _only_for(host)
        chain = leaf.public_bytes(serialization.Encoding.PEM) + self.certificate_pem
        _load(context, self._leaf_key_pem + chain)
        life = leaf.not_valid_after_utc - now
        return _Minted(context, leaf.not_valid_after_utc - min(_RENEWAL_MARGIN, life / 10))

    def _leaf(self, host: str, now: datetime) -> x509.Certificate:
        try:
            canonical = canonical_host(host) == host
        except HostError:
            canonical = False
        if not canonical:
            raise CaError(f"no certificate can be made for {host[:80]!a}")
        address = ip_literal(host)
        alternative = x509.DNSName(host) if address is None else x509.IPAddress(address)
        has_common_name = len(host) <= _MAX_COMMON_NAME
        common_name = [x509.NameAttribute(NameOID.COMMON_NAME, host)] if has_common_name else []
        until = self.not_after
        if self._leaf_validity is not None:
            until = min(until, now + self._leaf_validity)
        builder = x509.CertificateBuilder(
            self._certificate.subject,
            x509.Name(common_name),
            self._leaf_key.public_key(),
            x509.random_serial_number(),
            max(now - _BACKDATED, self._certificate.not_valid_before_utc),
            until,
            self._leaf_extensions,
        )
        # RFC 5280 section 4.2.1.6: critical if and only if the subject is empty.
        name = x509.SubjectAlternativeName([alternative])
        return builder.add_extension(name, critical=not has_common_name).sign(self._key, hashes.SHA256())


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _signs() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=False,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _leaf_extensions(
    leaf_key: ec.EllipticCurvePrivateKey, issuer: x509.Certificate
) -> list[x509.Extension[x509.ExtensionType]]:
    """Return the extensions common to all leaves, which restrict them to TLS servers."""
    # Copy the issuer's identifier, which may have been computed in any way (RFC 5280 section 4.2.1.1).
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_signs(), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        # OpenSSL requires both identifiers with X509_V_FLAG_X509_STRICT, the default since Python 3.13.
        (x509.SubjectKeyIdentifier.from_public_key(leaf_key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False),
    ]
    return [x509.Extension(extension.oid, critical, extension) for extension, critical in extensions]


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
        raise CaError("the CA certificate is not one of a CA: keyUsage is without keyCertSign")
    try:
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature):
        # OpenSSL's clients build the chain up to a root, and the issuers above are not known here.
        raise CaError("the CA certificate is not self-signed, so it is not a root") from None
    if now >= certificate.not_valid_after_utc:
        raise CaError(f"the CA certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d}")
    if now < certificate.not_valid_before_utc:
        raise CaError(f"the CA certificate is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}")


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
            return None if canonical_host(server_name) == host else refused
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
