"""Verify bundles that were signed without a key through sigstore: the certificate, and its log entries.

Nothing is fetched from the network. The roots come from the sigstore package, or from a trusted root of the
user's. The library's own cache is not used, because a command might write to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from posixpath import exists, join
from typing import TYPE_CHECKING

from nono import paths
from nono.policy.suggestions import install_command
from nono.trust.bundle import Bundle
from nono.trust.claims import Claims
from nono.trust.disk.evidence import Verify
from nono.trust.dsse import IN_TOTO
from nono.trust.policy import Keyless, TrustPolicy

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

TRUSTED_ROOT = "sigstore-trusted-root.json"  # in nono's configuration
_EMBEDDED = ("_store", "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev", "trusted_root.json")
_ARC = "1.3.6.1.4.1.57264.1."  # github.com/sigstore/fulcio, docs/oid-info.md
_GITHUB = "https://github.com/"


def verifier(policy: TrustPolicy, environ: Mapping[str, str]) -> Verify | None:
    """Return a function that verifies bundles; None if the policy trusts nobody without a key.

    The library is imported for the first bundle.
    """
    if not any(isinstance(each.identity, Keyless) for each in policy.publishers):
        return None
    own = join(paths.config_dir(environ), TRUSTED_ROOT)
    return lambda bundle: _verified(bundle, own if exists(own) else None)


def _verified(bundle: Bundle, own_root: str | None) -> Claims:
    try:
        # Imported here: it takes 300 ms, and is an optional extra.
        from sigstore.errors import Error
        from sigstore.models import Bundle as SigstoreBundle
        from sigstore.models import TrustedRoot
        from sigstore.verify import Verifier
        from sigstore.verify.policy import UnsafeNoOp
    except ImportError:
        raise ValueError(f"it is signed without a key, which needs: {install_command('keyless')}") from None
    root = own_root or str(resources.files("sigstore").joinpath(*_EMBEDDED))
    try:
        read = SigstoreBundle.from_json(bundle.text)
        # Accept any identity here: the trust policy decides by the claims.
        kind, payload = Verifier(trusted_root=TrustedRoot.from_file(root)).verify_dsse(read, UnsafeNoOp())
    except (Error, ValueError, OSError) as error:
        raise ValueError(f"its certificate does not verify: {error}") from None
    except Exception as error:  # of cryptography, for a certificate that is none: InvalidVersion and others
        raise ValueError(f"its certificate does not verify: {type(error).__name__}: {error}") from None
    if (kind, payload) != (IN_TOTO, bundle.envelope.payload):
        raise ValueError("its certificate is about another payload")
    return _claims(read.signing_certificate)


def _claims(certificate: Certificate) -> Claims:
    values = {}
    for extension in certificate.extensions:
        oid = extension.oid.dotted_string
        if oid.startswith(_ARC):
            values[oid.removeprefix(_ARC)] = getattr(extension.value, "value", b"")
    repository = _utf8(values.get("12")).removeprefix(_GITHUB) or _raw(values.get("5"))
    return Claims(
        _utf8(values.get("8")) or _raw(values.get("1")),
        repository,
        _workflow(_utf8(values.get("18")), repository),
        _utf8(values.get("14")) or _raw(values.get("6")),
        _utf8(values.get("9")),
    )


def _workflow(uri: str, repository: str) -> str:
    """Return the path of a workflow: its URI without the repository and the ref."""
    return uri.rpartition("@")[0].removeprefix(_GITHUB).removeprefix(f"{repository}/")


def _utf8(value: bytes | None) -> str:
    """Decode a DER UTF8String shorter than 64 KiB; "" for anything else."""
    if not value or value[0] != 0x0C or len(value) < 2:
        return ""
    if value[1] < 0x80:
        length, at = value[1], 2
    else:
        count = value[1] & 0x7F
        length, at = int.from_bytes(value[2 : 2 + count]), 2 + count
    return _raw(value[at:]) if len(value) - at == length else ""


def _raw(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")
