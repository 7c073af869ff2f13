"""nono.proxy.tls.leaf_certificate: what cryptography reads is what cryptography itself would have written."""

from __future__ import annotations

import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from nono.proxy.tls import ca_certificate
from nono.proxy.tls.leaf_certificate import LeafKey, LeafMaker

NOW_S = 1_800_000_000
DAY_S = 24 * 3600
YEARS_S = 30 * 365 * DAY_S  # until after 2049, when the dates are written otherwise
CA = ca_certificate.make(YEARS_S, NOW_S)
ROOT = x509.load_der_x509_certificate(CA.certificate)
HOSTS = st.lists(
    st.from_regex(r"[a-z0-9_]([a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True), min_size=1, max_size=6
)


def leaf_of(host: str, validity_s: float | None = DAY_S) -> tuple[bytes, x509.Certificate]:
    """Return the private key in PEM, and the certificate."""
    pem = LeafMaker(CA.key, CA.issuer(CA.key), LeafKey(), validity_s).leaf(host, NOW_S).pem
    end = b"-----END PRIVATE KEY-----\n"
    key, _, certificate = pem.partition(end)
    return key + end, x509.load_pem_x509_certificate(certificate)


def by_cryptography(host: str, key: ec.EllipticCurvePrivateKey, model: x509.Certificate) -> x509.Certificate:
    """Build a certificate with the same number, dates and identifier of the key."""
    usage = x509.KeyUsage(
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
    above = ROOT.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    identifier = model.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    named = len(host) <= 64
    try:
        name: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        name = x509.DNSName(host)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)] if named else [])
    return (
        x509.CertificateBuilder(ROOT.subject, subject, key.public_key(), model.serial_number)
        .not_valid_before(model.not_valid_before_utc)
        .not_valid_after(model.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(above), critical=False)
        .add_extension(x509.SubjectAlternativeName([name]), critical=not named)
        .sign(key, hashes.SHA256())
    )


def check(host: str, validity_s: float | None = DAY_S) -> None:
    key_pem, certificate = leaf_of(host, validity_s)
    key = load_pem_private_key(key_pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert certificate.tbs_certificate_bytes == by_cryptography(host, key, certificate).tbs_certificate_bytes
    certificate.verify_directly_issued_by(ROOT)
    assert key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) == key_pem


@pytest.mark.parametrize("host", ["api.example.com", "127.0.0.1", "2001:db8::1", ".".join(["a" * 60] * 4)])
@pytest.mark.parametrize("validity_s", [DAY_S, None], ids=["a day", "years"])
def test_it_is_octet_for_octet_what_cryptography_signs(host: str, validity_s: float | None) -> None:
    check(host, validity_s)


@given(HOSTS)
def test_every_host_is_written_as_cryptography_writes_it(labels: list[str]) -> None:
    check(".".join([*labels, "test"]))


def test_no_key_is_in_a_repr() -> None:
    leaf = LeafMaker(CA.key, CA.issuer(CA.key), LeafKey(), None).leaf("a.test", NOW_S)
    assert repr(leaf) == "Leaf(...)"
