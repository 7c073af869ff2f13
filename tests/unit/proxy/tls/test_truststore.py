"""nono.proxy.tls.truststore: Java reads it, and what is no certificate costs no other."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
import trustme

from nono.proxy.tls.trust_bundle import trusted_roots
from nono.proxy.tls.truststore import PASSWORD, truststore_of

ONE, OTHER = (trustme.CA().cert_pem.bytes() for _ in range(2))


def entries(store: bytes) -> int:
    return int.from_bytes(store[8:12])


def as_pem(der: bytes) -> bytes:
    return ssl.DER_cert_to_PEM_cert(der).encode()


def test_each_certificate_is_held_once() -> None:
    store = truststore_of([ONE, OTHER, ONE])
    assert entries(store) == 2
    assert ssl.PEM_cert_to_DER_cert(ONE.decode()) in store


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", id="no certificate"),
        pytest.param(ONE.replace(b"MII", b"M*I", 1), id="no base64"),
        pytest.param(as_pem(ssl.PEM_cert_to_DER_cert(ONE.decode())[:-1]), id="cut off"),
        pytest.param(as_pem(ssl.PEM_cert_to_DER_cert(ONE.decode()) + b"\x30\0"), id="with more behind it"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_java_could_not_read_is_left_out(broken: bytes) -> None:
    assert entries(truststore_of([broken, OTHER])) == 1


@pytest.mark.skipif(shutil.which("keytool") is None, reason="there is no Java")
def test_java_lists_the_roots_of_this_system(tmp_path: Path) -> None:
    store = truststore_of([*trusted_roots(None).blocks, ONE])
    (tmp_path / "roots.jks").write_bytes(store)
    listed = subprocess.run(
        ["keytool", "-list", "-keystore", str(tmp_path / "roots.jks"), "-storepass", PASSWORD],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    assert len(re.findall("trustedCertEntry", listed)) == entries(store) > 1
