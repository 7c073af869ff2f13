"""Write the certificates with which a session's CA vouches for single hosts."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from nono.policy.hosts.hostname import HostError, canonical_host, ip_literal
from nono.proxy.tls import ca_certificate, der
from nono.proxy.tls.ca_certificate import Issuer
from nono.proxy.tls.leaf import CaError, Leaf

_MAX_COMMON_NAME = 64  # RFC 5280 appendix A.1, ub-common-name
# A leaf is replaced this long before it expires, or a tenth of its life if that is less, so that a client
# with a slow handshake does not get an expired one.
_RENEWAL_MARGIN_S = 5 * 60

_SUBJECT_ALTERNATIVE_NAME, _AUTHORITY_KEY_IDENTIFIER = bytes.fromhex("551d11"), bytes.fromhex("551d23")
_EXTENDED_KEY_USAGE, _SERVER_AUTH = bytes.fromhex("551d25"), bytes.fromhex("2b06010505070301")
_DIGITAL_SIGNATURE = bytes.fromhex("0780")  # seven unused bits
_DNS_NAME, _IP_ADDRESS, _KEY_IDENTIFIER, _PUBLIC_KEY = b"\x82", b"\x87", b"\x80", b"\xa1"


class LeafKey:
    """A P-256 key that all leaves of a session share."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        self.point = ca_certificate.point_of(key)
        private = der.der(
            der.SEQUENCE,
            der.der(der.INTEGER, b"\x01"),
            der.der(der.OCTET_STRING, ca_certificate.private_value_of(key)),
            der.der(_PUBLIC_KEY, der.bits(self.point)),
        )
        # PKCS #8 (RFC 5958), which holds what RFC 5915 defines.
        self.pem = der.pem(
            "PRIVATE KEY",
            der.der(
                der.SEQUENCE, der.der(der.INTEGER, b"\0"), der.ON_P256, der.der(der.OCTET_STRING, private)
            ),
        )


class LeafMaker:
    """Certifies hosts with the key of a CA."""

    def __init__(
        self, key: ec.EllipticCurvePrivateKey, issuer: Issuer, leaf_key: LeafKey, validity_s: float | None
    ) -> None:
        """validity_s: None: the leaves live as long as the CA."""
        self._key = key
        self._issuer = issuer
        self._leaf_key = leaf_key
        self._validity_s = validity_s
        # OpenSSL requires both identifiers with X509_V_FLAG_X509_STRICT, the default since Python 3.13. The
        # issuer's is copied: it may have been computed in any way (RFC 5280 section 4.2.1.1).
        authority = der.der(der.SEQUENCE, der.der(_KEY_IDENTIFIER, issuer.key_identifier))
        self._extensions = b"".join(
            (
                ca_certificate.constrained(_DIGITAL_SIGNATURE, is_ca=False),
                der.extension(_EXTENDED_KEY_USAGE, der.der(der.SEQUENCE, der.der(der.OID, _SERVER_AUTH))),
                ca_certificate.identifies_subject(leaf_key.point),
                der.extension(_AUTHORITY_KEY_IDENTIFIER, authority),
            )
        )

    def leaf(self, host: str, now_s: float) -> Leaf:
        """Certify `host`, for no longer than the CA is valid. Raises CaError if it is not canonical."""
        name = _alternative_name(host)
        has_common_name = len(host) <= _MAX_COMMON_NAME
        not_after_s = self._issuer.not_after_s
        if self._validity_s is not None:
            not_after_s = min(not_after_s, int(now_s + self._validity_s))
        not_before_s = max(int(now_s - ca_certificate.BACKDATED_S), self._issuer.not_before_s)
        # RFC 5280 section 4.2.1.6: critical if and only if the subject is empty.
        named = der.extension(
            _SUBJECT_ALTERNATIVE_NAME, der.der(der.SEQUENCE, name), is_critical=not has_common_name
        )
        certificate = ca_certificate.signed(
            self._key,
            issuer=self._issuer.name,
            subject=der.common_name(host.encode("ascii")) if has_common_name else der.der(der.SEQUENCE),
            validity=der.validity(not_before_s, not_after_s),
            point=self._leaf_key.point,
            extensions=self._extensions + named,
        )
        margin_s = min(_RENEWAL_MARGIN_S, (not_after_s - now_s) / 10)
        pem = self._leaf_key.pem + der.pem(ca_certificate.CERTIFICATE, certificate)
        return Leaf(pem, not_after_s - margin_s)


def _alternative_name(host: str) -> bytes:
    try:
        is_canonical = canonical_host(host) == host
    except HostError:
        is_canonical = False
    if not is_canonical:
        raise CaError(f"no certificate can be made for {host[:80]!a}")
    address = ip_literal(host)
    if address is not None:
        return der.der(_IP_ADDRESS, address.packed)
    return der.der(_DNS_NAME, host.encode("ascii"))
