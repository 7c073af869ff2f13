"""nono.proxy.tls.ca_certificate: what cryptography reads is what cryptography itself would have written."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from nono.proxy.tls import ca_certificate

NOW_S = 1_800_000_000
DAY_S = 24 * 3600
YEARS_S = 30 * 365 * DAY_S  # until after 2049, when the dates are written otherwise


def by_cryptography(key: ec.EllipticCurvePrivateKey, model: x509.Certificate) -> x509.Certificate:
    """Build a certificate with the same number, dates and identifier."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nono-session-ca")])
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    identifier = model.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        x509.CertificateBuilder(name, name, key.public_key(), model.serial_number)
        .not_valid_before(model.not_valid_before_utc)
        .not_valid_after(model.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )


@pytest.mark.parametrize("validity_s", [DAY_S, YEARS_S], ids=["a day", "years"])
def test_it_is_octet_for_octet_what_cryptography_signs(validity_s: int) -> None:
    made = ca_certificate.make(validity_s, NOW_S)
    certificate = x509.load_der_x509_certificate(made.certificate)
    key = ec.derive_private_key(int.from_bytes(made.private_value), ec.SECP256R1())
    other = by_cryptography(key, certificate)
    assert certificate.tbs_certificate_bytes == other.tbs_certificate_bytes
    certificate.verify_directly_issued_by(certificate)
    assert made.certificate_pem == certificate.public_bytes(Encoding.PEM)


def test_it_is_valid_from_a_moment_ago() -> None:
    certificate = x509.load_der_x509_certificate(ca_certificate.make(DAY_S, NOW_S).certificate)
    assert certificate.not_valid_before_utc == datetime.fromtimestamp(NOW_S - 300, UTC)
    assert certificate.not_valid_after_utc == datetime.fromtimestamp(NOW_S + DAY_S, UTC)


def test_no_two_have_a_number_in_common() -> None:
    numbers = {
        x509.load_der_x509_certificate(ca_certificate.make(DAY_S, NOW_S).certificate).serial_number
        for _ in range(50)
    }
    assert len(numbers) == 50
    assert all(number.bit_length() == 127 for number in numbers)


def test_no_key_is_in_a_repr() -> None:
    assert repr(ca_certificate.make(DAY_S, NOW_S)) == "MadeCa(...)"
