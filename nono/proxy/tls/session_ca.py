"""Provide the certificate authority of one session, which certifies hosts with keys that it holds.

Imported late: cryptography takes 9 ms that a run should not spend whose leaves another process made.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import ec

from nono.proxy.tls import ca_certificate
from nono.proxy.tls.ca_certificate import Issuer, MadeCa
from nono.proxy.tls.leaf_certificate import LeafKey, LeafMaker
from nono.proxy.tls.server_contexts import ServerContexts


def _now() -> datetime:
    return datetime.now(UTC)


class SessionCa:
    """Mints one leaf per host, all with one P-256 key. Neither private key is ever on disk.

    For use by one event loop. It holds no descriptors and need not be closed.
    """

    def __init__(
        self,
        certificate_pem: bytes,
        key: ec.EllipticCurvePrivateKey,
        issuer: Issuer,
        *,
        leaf_validity_s: float | None = None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self.certificate_pem = certificate_pem
        self.not_after = datetime.fromtimestamp(issuer.not_after_s, UTC)
        self.leaf = LeafMaker(key, issuer, LeafKey(), leaf_validity_s).leaf
        contexts = ServerContexts(
            self.leaf, certificate_pem, issuer.not_after_s, now=lambda: now().timestamp()
        )
        self.server_context = contexts.server_context

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
        key = made.key
        return cls(made.certificate_pem, key, made.issuer(key), leaf_validity_s=leaf_validity_s, now=now)

    @classmethod
    def from_pem(
        cls, certificate_pem: bytes, key_pem: bytes, *, leaf_validity_s: float | None = None
    ) -> SessionCa:
        """Load a person's own root and its P-256 key (PKCS #8, unencrypted). Raises CaError if unusable."""
        # Imported here: few people have one, and cryptography's X.509 support takes 11 ms.
        from nono.proxy.tls import own_root

        root = own_root.read(certificate_pem, key_pem, _now())
        return cls(root.certificate_pem, root.key, root.issuer, leaf_validity_s=leaf_validity_s)
