"""nono.proxy.tls.session_ca: leaves that strict clients accept, for the one host that was asked for."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from nono.policy.hosts.hostname import canonical_host
from nono.proxy.handshake.alpn import HTTP1, HTTP2, HTTP2_AT_NEED, Alpn
from nono.proxy.tls.leaf import CaError
from nono.proxy.tls.session_ca import SessionCa
from support.ordinary_user import as_ordinary_user
from support.servers.http1 import upstream

HOST = "api.example.com"
CHECKOUT = Path(__file__).parents[4]
LONG_HOST = ".".join(["a" * 40] * 3)


class Clock:
    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        self.now += timedelta(**by)


class Handshake:
    """A strict client and a server that talk through memory."""

    def __init__(
        self,
        server: ssl.SSLContext,
        authority: SessionCa,
        server_name: str | None,
        *,
        check_hostname: bool = True,
        replace: tuple[bytes, bytes] | None = None,
        protocols: tuple[str, ...] = ("http/1.1",),
        version: ssl.TLSVersion | None = None,
        without_tickets: bool = False,
        also_trusted: bytes = b"",
    ) -> None:
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if also_trusted:
            client.load_verify_locations(cadata=also_trusted.decode())
        client.load_verify_locations(cadata=authority.certificate_pem.decode())
        client.verify_flags |= ssl.VERIFY_X509_STRICT
        client.check_hostname = check_hostname
        client.set_alpn_protocols(list(protocols))
        if version is not None:
            client.maximum_version = version
        if without_tickets:
            client.options |= ssl.OP_NO_TICKET
        self.error: ssl.SSLError | None = None  # of the client
        self.succeeded = False
        to_client, from_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        to_server, from_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(to_client, from_client, server_hostname=server_name)
        self.server = server.wrap_bio(to_server, from_server, server_side=True)
        for _ in range(6):
            self._step(self.client)
            flight = from_client.read()
            if replace is not None and flight:
                assert len(replace[0]) == len(replace[1])
                assert replace[0] in flight
                flight, replace = flight.replace(*replace), None
            to_server.write(flight)
            self._step(self.server)
            to_client.write(from_server.read())

    def _step(self, end: ssl.SSLObject) -> None:
        try:
            end.do_handshake()
            self.succeeded = end is self.server  # which is the last to know
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as failure:
            if end is self.client and self.error is None:
                self.error = failure

    @property
    def leaf(self) -> x509.Certificate:
        der = self.client.getpeercert(binary_form=True)
        assert der is not None
        return x509.load_der_x509_certificate(der)


def handshake(host: str, server_name: str | None, *, authority: SessionCa | None = None) -> Handshake:
    authority = authority or SessionCa.create()
    return Handshake(
        authority.server_context(host),
        authority,
        server_name,
        check_hostname=server_name is not None,
    )


def alert(shake: Handshake) -> str:
    assert not shake.succeeded
    assert shake.error is not None
    return str(shake.error.reason)


# Whom the handshake is for


@pytest.mark.parametrize(
    ("host", "server_name"),
    [
        pytest.param(HOST, HOST, id="the host"),
        pytest.param(HOST, "API.Example.COM", id="in capitals"),
        pytest.param(LONG_HOST, LONG_HOST, id="longer than a common name"),
        pytest.param("xn--bcher-kva.example", "bücher.example", id="an international name"),
        pytest.param("127.0.0.1", "127.0.0.1", id="an IPv4 address"),
        pytest.param("2001:db8::1", "2001:db8::1", id="an IPv6 address"),
        pytest.param("a_b.example.com", "a_b.example.com", id="an underscore"),
    ],
)
def test_a_strict_client_that_asks_for_the_host_accepts_the_leaf(host: str, server_name: str) -> None:
    shake = handshake(host, server_name)
    assert shake.succeeded, shake.error


@pytest.mark.parametrize(
    ("host", "server_name"),
    [
        pytest.param(HOST, "api.example.org", id="another host"),
        pytest.param(HOST, "example.com", id="the domain above"),
        pytest.param(HOST, f"x.{HOST}", id="a host below"),
        pytest.param(HOST, None, id="no name"),
        pytest.param("127.0.0.1", "localhost", id="a name instead of the address"),
    ],
)
def test_a_client_asking_for_another_name_gets_unrecognized_name(host: str, server_name: str | None) -> None:
    assert alert(handshake(host, server_name)) == "TLSV1_UNRECOGNIZED_NAME"


@pytest.mark.parametrize("name", [b"api.example\x00com", b"api.exam\x1b[m.com", b"api.example..om"])
def test_an_invalid_server_name_gets_the_alert_unrecognized_name(name: bytes) -> None:
    authority = SessionCa.create()
    context = authority.server_context(HOST)
    assert (
        alert(Handshake(context, authority, HOST, replace=(HOST.encode(), name))) == "TLSV1_UNRECOGNIZED_NAME"
    )


def test_a_server_name_that_is_not_ascii_ends_the_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: reported.append(report.exc_type))
    authority = SessionCa.create()
    context = authority.server_context(HOST)
    shake = Handshake(context, authority, HOST, replace=(HOST.encode(), b"api.ex\xffmple.com"))
    assert not shake.succeeded
    assert reported == [UnicodeDecodeError]  # by ssl itself, before anybody is asked


@given(st.from_regex(r"\A[A-Za-z0-9_*.\-]{1,40}\Z"))
@settings(max_examples=60, deadline=None)
def test_only_spellings_of_the_host_get_through(server_name: str) -> None:
    authority = SessionCa.create()
    context = authority.server_context("a.b")
    try:
        shake = Handshake(context, authority, server_name, check_hostname=False)
    except (ValueError, ssl.SSLError):
        return  # the client does not even ask
    try:
        expected = canonical_host(server_name) == "a.b"
    except ValueError:
        expected = False
    assert shake.succeeded is expected


@pytest.mark.parametrize(
    "host",
    [
        "*.example.com",
        "API.example.com",
        "api.example.com.",
        "[::1]",
        "127.1",
        "a b",
        "",
        "a\x00b",
        "bücher.de",
    ],
)
def test_no_leaf_is_made_for_what_is_not_a_canonical_host(host: str) -> None:
    with pytest.raises(CaError, match="no certificate can be made"):
        SessionCa.create().server_context(host)


# What the certificates say


def test_the_leaf_names_its_host_only() -> None:
    leaf = handshake(HOST, HOST).leaf
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert list(names.value) == [x509.DNSName(HOST)]
    assert not names.critical
    assert [attribute.value for attribute in leaf.subject] == [HOST]


def test_the_leaf_is_good_for_servers_only() -> None:
    leaf = handshake(HOST, HOST).leaf
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not leaf.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    usages = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usages) == [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]


def test_a_leaf_without_a_subject_marks_its_names_as_critical() -> None:
    leaf = handshake(LONG_HOST, LONG_HOST).leaf
    assert list(leaf.subject) == []
    assert leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


def test_the_authority_is_an_unconstrained_p256_root_of_one_day() -> None:
    clock = Clock()
    authority = SessionCa.create(now=clock)
    root = x509.load_pem_x509_certificate(authority.certificate_pem)
    root.verify_directly_issued_by(root)
    assert root.subject.rfc4514_string() == "CN=nono-session-ca"
    assert isinstance(root.public_key(), ec.EllipticCurvePublicKey)
    constraints = root.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=None)
    assert abs(authority.not_after - clock.now - timedelta(days=1)) < timedelta(seconds=1)


def test_leaves_share_only_their_key() -> None:
    authority = SessionCa.create()
    leaves = [handshake(host, host, authority=authority).leaf for host in ("a.b", "c.d", "e.f")]
    assert len({leaf.serial_number for leaf in leaves}) == 3
    assert len({leaf.public_key().public_numbers() for leaf in leaves}) == 1  # type: ignore[union-attr]  # EC


def test_a_context_for_x25519_agrees_by_nothing_else() -> None:
    authority = SessionCa.create()
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.load_verify_locations(cadata=authority.certificate_pem.decode())
    trust.set_ecdh_curve("prime256v1")
    for x25519, succeeds in ((False, True), (True, False)):
        outcome = shaken(authority.server_context(HOST, x25519=x25519), trust)
        assert (outcome is None) is succeeds


def shaken(serving: ssl.SSLContext, trust: ssl.SSLContext) -> ssl.SSLError | None:
    """Return why a handshake between the two fails, if it does."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [serving.wrap_bio(up, down, server_side=True), trust.wrap_bio(down, up, server_hostname=HOST)]
    for end in ends[::-1] * 3:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError as error:
            return error
    return None


def resumes(
    serving: ssl.SSLContext, trust: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[bool, ssl.SSLSession]:
    """Shake hands as a client that shows `session`: return whether it is resumed, and the one it has then."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = serving.wrap_bio(up, down, server_side=True)
    client = trust.wrap_bio(down, up, server_hostname=HOST, session=session)
    for end in (client, server) * 4:
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
    assert client.session is not None
    return client.session_reused, client.session


def test_a_session_is_resumed_by_the_host_and_the_run_that_began_it_alone() -> None:
    first, second = SessionCa.create(), SessionCa.create()
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    trust.maximum_version = ssl.TLSVersion.TLSv1_2
    own = first.server_context(HOST)
    _, session = resumes(own, trust, None)
    assert session.has_ticket
    assert resumes(own, trust, session)[0]
    for other in (first.server_context("other.example.com"), second.server_context(HOST)):
        other.sni_callback = None  # which would refuse the name
        assert not resumes(other, trust, session)[0]


def test_two_sessions_share_no_key() -> None:
    first, second = SessionCa.create(), SessionCa.create()
    shake = Handshake(first.server_context(HOST), second, HOST)
    assert shake.error is not None
    assert "CERTIFICATE_VERIFY_FAILED" in str(shake.error)


def test_nested_sessions_of_one_name_are_told_apart() -> None:
    outer, inner = SessionCa.create(), SessionCa.create()
    for serving, other in ((outer, inner), (inner, outer)):
        context = serving.server_context(HOST)
        shake = Handshake(context, serving, HOST, also_trusted=other.certificate_pem)
        assert shake.succeeded, shake.error


@pytest.mark.parametrize(
    ("leaf_validity_s", "life_s"),
    [
        pytest.param(None, 3600, id="as long as the authority"),
        pytest.param(600.0, 600, id="shorter"),
        pytest.param(7200.0, 3600, id="never longer"),
    ],
)
def test_a_leaf_does_not_outlive_its_authority(leaf_validity_s: float | None, life_s: int) -> None:
    clock = Clock()
    authority = SessionCa.create(validity_s=3600, leaf_validity_s=leaf_validity_s, now=clock)
    leaf = handshake(HOST, HOST, authority=authority).leaf
    assert abs(leaf.not_valid_after_utc - clock.now - timedelta(seconds=life_s)) < timedelta(seconds=1)
    assert leaf.not_valid_after_utc <= authority.not_after
    assert (
        leaf.not_valid_before_utc
        >= x509.load_pem_x509_certificate(authority.certificate_pem).not_valid_before_utc
    )


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")
@pytest.mark.parametrize("host", [HOST, LONG_HOST, "127.0.0.1", "2001:db8::1"])
def test_openssl_verify_finds_nothing_to_say_about_a_leaf(host: str, tmp_path: Path) -> None:
    authority = SessionCa.create()
    shake = Handshake(authority.server_context(host), authority, host)
    (tmp_path / "ca.pem").write_bytes(authority.certificate_pem)
    (tmp_path / "leaf.pem").write_bytes(shake.leaf.public_bytes(Encoding.PEM))
    check = "-verify_ip" if ":" in host or host[0].isdigit() else "-verify_hostname"
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", check, host]
    for name, accepted in ((host, True), ("192.0.2.9" if check == "-verify_ip" else "other.example", False)):
        command[-1] = name
        done = subprocess.run(
            [*command, "-CAfile", "ca.pem", "leaf.pem"],
            cwd=tmp_path,
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert (done.returncode == 0) is accepted, done.stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here")
def test_the_chain_that_is_sent_is_the_leaf_and_the_authority(tmp_path: Path) -> None:
    authority = SessionCa.create()
    (tmp_path / "ca.pem").write_bytes(authority.certificate_pem)
    with upstream(tls=authority.server_context(HOST)) as server:
        done = subprocess.run(
            [
                *("openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", HOST),
                *("-CAfile", "ca.pem", "-x509_strict", "-verify_return_error", "-showcerts"),
            ],
            cwd=tmp_path,
            input=b"",
            capture_output=True,
            timeout=30,
            check=False,
        )
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", done.stdout, re.DOTALL)
    assert len(blocks) == 2, done.stderr
    assert blocks[1] == authority.certificate_pem
    assert b"Verify return code: 0 (ok)" in done.stdout


# The context


@pytest.mark.parametrize(
    ("alpn", "offered", "chosen"),
    [
        pytest.param(HTTP2, ("http/1.1", "h2"), "h2", id="preferred"),
        pytest.param(HTTP2, ("http/1.1",), "http/1.1", id="preferred, and not spoken"),
        pytest.param(HTTP2_AT_NEED, ("h2", "http/1.1"), "http/1.1", id="at need, and none"),
        pytest.param(HTTP2_AT_NEED, ("h2",), "h2", id="at need"),
        pytest.param(HTTP1, ("h2", "http/1.1"), "http/1.1", id="never"),
    ],
)
def test_the_protocol_is_the_first_of_ours_that_the_client_speaks(
    alpn: Alpn, offered: tuple[str, ...], chosen: str
) -> None:
    authority = SessionCa.create()
    shake = Handshake(authority.server_context(HOST, alpn), authority, HOST, protocols=offered)
    assert shake.client.selected_alpn_protocol() == chosen


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2])
def test_tls_1_3_and_1_2_are_spoken(version: ssl.TLSVersion) -> None:
    authority = SessionCa.create()
    shake = Handshake(authority.server_context(HOST), authority, HOST, version=version)
    assert shake.client.version() == version.name.replace("v1_", "v1.")


def test_nothing_older_than_tls_1_2_is_spoken() -> None:
    context = SessionCa.create().server_context(HOST)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_context_is_made_once_for_a_host_and_a_protocol() -> None:
    authority = SessionCa.create()
    context = authority.server_context(HOST)
    assert authority.server_context(HOST) is context
    assert authority.server_context(HOST, HTTP2) is not context
    assert authority.server_context("other.example.com") is not context


def test_only_the_256_contexts_used_last_are_kept() -> None:
    authority = SessionCa.create()
    used, unused = (authority.server_context(host) for host in ("used.example", "unused.example"))
    for number in range(255):
        authority.server_context(f"h{number}.example")
        assert authority.server_context("used.example") is used
    assert authority.server_context("unused.example") is not unused


def test_a_leaf_is_replaced_shortly_before_it_expires() -> None:
    clock = Clock()
    clock.advance(minutes=-56)  # so that the client, which looks at the real one, takes the second leaf
    authority = SessionCa.create(leaf_validity_s=3600, now=clock)
    context = authority.server_context(HOST)
    clock.advance(minutes=54)
    assert authority.server_context(HOST) is context
    clock.advance(minutes=2)
    renewed = authority.server_context(HOST)
    assert renewed is not context
    assert Handshake(renewed, authority, HOST).leaf.not_valid_after_utc > clock.now + timedelta(minutes=59)


def test_a_short_lived_leaf_is_kept_for_most_of_its_life() -> None:
    clock = Clock()
    authority = SessionCa.create(leaf_validity_s=30, now=clock)
    context = authority.server_context(HOST)
    clock.advance(seconds=20)
    assert authority.server_context(HOST) is context
    clock.advance(seconds=9)
    assert authority.server_context(HOST) is not context


def test_an_expired_authority_serves_nobody_not_even_hosts_it_knows() -> None:
    clock = Clock()
    authority = SessionCa.create(validity_s=60, now=clock)
    authority.server_context(HOST)
    clock.advance(seconds=61)
    with pytest.raises(CaError, match="has expired"):
        authority.server_context(HOST)


def test_sessions_kept_for_tls_1_2_clients_without_tickets_do_not_pile_up() -> None:
    authority = SessionCa.create()
    most = 0
    for _ in range(700):
        context = authority.server_context(HOST)
        Handshake(context, authority, HOST, version=ssl.TLSVersion.TLSv1_2, without_tickets=True)
        most = max(most, context.session_stats()["number"])
    assert most <= 513
    assert most > 0 or sys.version_info < (3, 13)  # which keeps none


# Where the keys are


def test_contexts_leave_no_descriptor_open() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    authority = SessionCa.create()
    for number in range(5):
        authority.server_context(f"h{number}.example")
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_contexts_write_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    authority = SessionCa.create()
    for number in range(5):
        authority.server_context(f"h{number}.example")
    assert os.listdir(tmp_path) == []


def test_a_key_is_loaded_from_memory_that_has_no_name_on_a_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    load = ssl.SSLContext.load_cert_chain

    def spy(context: ssl.SSLContext, path: str) -> None:
        opened.append(os.readlink(path))
        load(context, path)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", spy)
    SessionCa.create().server_context(HOST)
    assert opened == ["/memfd:certificate (deleted)"]


def test_an_ordinary_user_who_is_undumpable_gets_a_context() -> None:
    program = (
        "from nono.kernel.process import set_dumpable\n"
        "from nono.proxy.tls.session_ca import SessionCa\n"
        "set_dumpable(False)\n"
        "SessionCa.create().server_context('api.example.com')\n"
        "print('made')\n"
    )
    done = as_ordinary_user([sys.executable, "-c", program], environment={"PYTHONPATH": str(CHECKOUT)})
    assert done.stdout == "made\n", done.stderr


def test_no_key_is_in_a_repr() -> None:
    authority = SessionCa.create()
    assert "PRIVATE" not in repr(authority) + repr(authority.server_context(HOST))


# A person's own authority


def pem_of(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, encryption: KeySerializationEncryption | None = None
) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def root_of(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    *,
    ca: bool | None = True,
    critical: bool = True,
    key_cert_sign: bool | None = True,
    identifier: bytes | None = b"a number of its own",
    days: tuple[float, float] = (-1, 1),
    issuer: ec.EllipticCurvePrivateKey | None = None,
) -> bytes:
    """Build a root certificate; None leaves an extension out, issuer signs it in the key's place."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Own CA")])
    above = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Above")])
    start, end = (datetime.now(UTC) + timedelta(days=day) for day in days)
    builder = x509.CertificateBuilder(
        above if issuer else name, name, key.public_key(), x509.random_serial_number(), start, end
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=critical)
    if key_cert_sign is not None:
        usage = x509.KeyUsage(True, False, False, False, False, key_cert_sign, False, False, False)
        builder = builder.add_extension(usage, critical=True)
    if identifier is not None:
        builder = builder.add_extension(x509.SubjectKeyIdentifier(identifier), critical=False)
    return builder.sign(issuer or key, hashes.SHA256()).public_bytes(Encoding.PEM)


KEY = ec.generate_private_key(ec.SECP256R1())


def test_a_strict_client_accepts_leaves_of_a_persons_own_authority() -> None:
    authority = SessionCa.from_pem(root_of(KEY), pem_of(KEY))
    shake = handshake(HOST, HOST, authority=authority)
    assert shake.succeeded, shake.error
    issuer = shake.leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert issuer.key_identifier == b"a number of its own"
    assert shake.leaf.not_valid_after_utc <= authority.not_after


OTHER = ec.generate_private_key(ec.SECP256R1())
WRONG = {
    "not a certificate": (b"nothing", pem_of(KEY), "certificate is not a certificate in PEM"),
    "not a key": (root_of(KEY), b"nothing", "key is not a private key in PEM"),
    "key and certificate swapped": (pem_of(KEY), root_of(KEY), "certificate is not a certificate in PEM"),
    "an encrypted key": (root_of(KEY), pem_of(KEY, BestAvailableEncryption(b"p")), "key is encrypted"),
    "another curve": (root_of(KEY), pem_of(ec.generate_private_key(ec.SECP384R1())), "P-256"),
    "RSA": (root_of(KEY), pem_of(rsa.generate_private_key(65537, 2048)), "P-256"),
    "another key": (root_of(KEY), pem_of(OTHER), "do not belong together"),
    "CA:FALSE": (root_of(KEY, ca=False), pem_of(KEY), "CA:FALSE"),
    "no basicConstraints": (root_of(KEY, ca=None), pem_of(KEY), "no basicConstraints"),
    "no keyUsage": (root_of(KEY, key_cert_sign=None), pem_of(KEY), "no keyUsage"),
    "not critical": (root_of(KEY, critical=False), pem_of(KEY), "as critical"),
    "no identifier": (root_of(KEY, identifier=None), pem_of(KEY), "no subjectKeyIdentifier"),
    "no keyCertSign": (root_of(KEY, key_cert_sign=False), pem_of(KEY), "lacks keyCertSign"),
    "expired": (root_of(KEY, days=(-2, -1)), pem_of(KEY), "expired on"),
    "not valid yet": (root_of(KEY, days=(1, 2)), pem_of(KEY), "not valid before"),
    "an intermediate": (root_of(KEY, issuer=OTHER), pem_of(KEY), "not self-signed"),
}


@pytest.mark.parametrize(("certificate", "key", "sentence"), WRONG.values(), ids=WRONG)
def test_an_authority_that_cannot_be_used_is_refused_with_the_reason(
    certificate: bytes, key: bytes, sentence: str
) -> None:
    with pytest.raises(CaError, match=sentence) as refused:
        SessionCa.from_pem(certificate, key)
    assert "PRIVATE" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_every_reason_has_a_sentence_of_its_own() -> None:
    SessionCa.from_pem(root_of(KEY), pem_of(KEY))
    sentences = {sentence for _, _, sentence in WRONG.values()}
    assert len(sentences) == len(WRONG) - 2  # swapped is like not a certificate, RSA like another curve
