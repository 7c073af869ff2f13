"""Run a private Sigstore: an authority that certifies identities, and the logs that witness it.

It signs what the public instance signs, but with other keys: a certificate with the claims of a workflow and
a timestamp of the certificate log, and an entry of the signature log with its proof and checkpoint.
"""

from __future__ import annotations

import json
import struct
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nono.trust import dsse, statement
from nono.trust.bundle import MEDIA_TYPE
from nono.trust.statement import Statement

_ARC = "1.3.6.1.4.1.57264.1."
_SCT = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
WORKFLOW = {
    "8": "https://token.actions.githubusercontent.com",
    "9": "https://github.com/org/repo/.github/workflows/sign.yml@refs/tags/v1",
    "12": "https://github.com/org/repo",
    "14": "refs/tags/v1",
    "18": "https://github.com/org/repo/.github/workflows/sign.yml@refs/tags/v1",
}


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _sha256(content: bytes) -> bytes:
    digest = hashes.Hash(hashes.SHA256())
    digest.update(content)
    return digest.finalize()


def _signed(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    return key.sign(message, ec.ECDSA(hashes.SHA256()))


def _text(content: bytes) -> str:
    return b64encode(content).decode()


def _utf8_string(text: str) -> bytes:
    content = text.encode()
    assert len(content) < 0x80
    return bytes((0x0C, len(content))) + content


@dataclass
class Instance:
    """One instance: its authority, its log of certificates (ct) and its log of signatures (rekor)."""

    authority: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    ct: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    rekor: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __post_init__(self) -> None:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self.root = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.authority.public_key())
            .serial_number(1)
            .not_valid_before(self.now - timedelta(days=1))
            .not_valid_after(self.now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(True, 0), True)
            .add_extension(usage, True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.authority.public_key()), False)
            .sign(self.authority, hashes.SHA256())
        )

    def trusted_root(self) -> str:
        """Return the file by which a verifier knows this instance."""
        valid = {"start": (self.now - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")}

        def log(key: ec.EllipticCurvePrivateKey) -> dict[str, object]:
            kind = "PKIX_ECDSA_P256_SHA_256"
            return {
                "baseUrl": "https://log.invalid",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {"rawBytes": _text(_der(key)), "keyDetails": kind, "validFor": valid},
                "logId": {"keyId": _text(_sha256(_der(key)))},
            }

        root = self.root.public_bytes(serialization.Encoding.DER)
        authority = {
            "subject": {"organization": "org", "commonName": "authority"},
            "uri": "https://authority.invalid",
            "certChain": {"certificates": [{"rawBytes": _text(root)}]},
            "validFor": valid,
        }
        fields = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log(self.rekor)],
            "certificateAuthorities": [authority],
            "ctlogs": [log(self.ct)],
            "timestampAuthorities": [],
        }
        return json.dumps(fields)

    def bundle(self, said: Statement, claims: dict[str, str] = WORKFLOW) -> bytes:
        """Return a bundle signed without a key for an identity with these claims."""
        signer = _key()
        certificate = self.certificate(signer.public_key(), claims)
        payload = statement.encoded(said)
        envelope = dsse.signed(dsse.IN_TOTO, payload, lambda message: _signed(signer, message))
        der = certificate.public_bytes(serialization.Encoding.DER)
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        material = {
            "certificate": {"rawBytes": _text(der)},
            "tlogEntries": [self.entry(json.dumps(dsse.to_json(envelope)).encode(), pem)],
        }
        fields = {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": material,
            "dsseEnvelope": dsse.to_json(envelope),
        }
        return json.dumps(fields).encode()

    def certificate(
        self, signer: CertificatePublicKeyTypes, claims: dict[str, str] = WORKFLOW
    ) -> x509.Certificate:
        """Certify a key for an identity with these claims."""
        uri = x509.UniformResourceIdentifier("https://github.com/org/repo")
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.root.subject)
            .public_key(signer)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - timedelta(minutes=5))
            .not_valid_after(self.now + timedelta(minutes=5))
            .add_extension(usage, True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
            .add_extension(x509.SubjectAlternativeName([uri]), True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.authority.public_key()), False
            )
        )
        for number, text in claims.items():
            value = _utf8_string(text) if int(number) >= 8 else text.encode()
            oid = x509.ObjectIdentifier(f"{_ARC}{number}")
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), False)
        unlogged = builder.sign(self.authority, hashes.SHA256())
        timestamp = self._timestamp(unlogged.tbs_certificate_bytes)
        return builder.add_extension(x509.UnrecognizedExtension(_SCT, timestamp), False).sign(
            self.authority, hashes.SHA256()
        )

    def _timestamp(self, certificate: bytes) -> bytes:
        """Return the signed timestamp of a certificate, over all of it except itself (RFC 6962, 3.2, 3.3)."""
        at_ms = struct.pack(">Q", int(self.now.timestamp() * 1000))
        entry = _sha256(_der(self.authority)) + len(certificate).to_bytes(3) + certificate
        signature = _signed(self.ct, b"\0\0" + at_ms + b"\0\1" + entry + b"\0\0")
        one = b"\0" + _sha256(_der(self.ct)) + at_ms + b"\0\0" + b"\4\3" + struct.pack(">H", len(signature))
        one += signature
        listed = struct.pack(">HH", len(one) + 2, len(one)) + one
        length = bytes((len(listed),)) if len(listed) < 0x80 else bytes((0x81, len(listed)))
        return b"\4" + length + listed  # an OCTET STRING

    def entry(self, envelope: bytes, verifier: bytes) -> dict[str, object]:
        """Return an entry of the log of signatures, which contains nothing else.

        envelope: As it was sent to the log. verifier: The certificate, in PEM.
        """
        sent = json.loads(envelope)
        signature = {"signature": sent["signatures"][0]["sig"], "verifier": _text(verifier)}
        spec = {
            "envelopeHash": {"algorithm": "sha256", "value": _sha256(envelope).hex()},
            "payloadHash": {"algorithm": "sha256", "value": _sha256(b64decode(sent["payload"])).hex()},
            "signatures": [signature],
        }
        body = _canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        log_id, at_s = _sha256(_der(self.rekor)), int(self.now.timestamp())
        promise = {"body": _text(body), "integratedTime": at_s, "logID": log_id.hex(), "logIndex": 0}
        root = _sha256(b"\0" + body)
        note = f"log.invalid - 1\n1\n{_text(root)}\n"
        line = _text(log_id[:4] + _signed(self.rekor, note.encode()))
        return {
            "logIndex": "0",
            "logId": {"keyId": _text(log_id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(at_s),
            "inclusionPromise": {"signedEntryTimestamp": _text(_signed(self.rekor, _canonical(promise)))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": _text(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\N{EM DASH} log.invalid {line}\n"},
            },
            "canonicalizedBody": _text(body),
        }


def _canonical(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":"), sort_keys=True).encode()
