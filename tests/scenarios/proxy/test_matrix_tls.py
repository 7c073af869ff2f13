"""TLS towards upstreams, over every transport that has a credential: verified, or nothing is sent."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
import trustme

from nono.policy.schema.route_rules import NO_IDENTITY, TlsIdentity
from support.proxy.thread import a_route
from support.proxy.transports import API, SITE, WITH_CREDENTIAL, RefusedConnect, Transport, five_transports
from support.servers.http1 import Received

LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)


def served(ca: trustme.CA, *names: str, not_after: datetime.datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*names, not_after=not_after).configure_cert(context)
    return context


def old(context: ssl.SSLContext) -> ssl.SSLContext:
    """Offer nothing newer than TLS 1.1."""
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def upstream_context(kind: str, ca: trustme.CA) -> ssl.SSLContext:
    match kind:
        case "another name":
            return served(ca, "other.test")
        case "the name above":
            return served(ca, "test")
        case "a wildcard of another level":
            return served(ca, "*.api.test")
        case "expired":
            return served(ca, API, not_after=LONG_AGO)
        case "of an authority nobody trusts":
            return served(trustme.CA(), API)
        case "older than TLS 1.2":
            return old(served(ca, API))
        case _:
            return served(ca, API)


BAD = [
    "another name", "the name above", "a wildcard of another level", "expired",
    "of an authority nobody trusts", "older than TLS 1.2",
]  # fmt: skip


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(ca: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize("kind", BAD)
def test_an_upstream_that_cannot_be_verified_gets_nothing(
    transport: Transport, kind: str, ca: trustme.CA, ca_file: str
) -> None:
    with five_transports(served_with=upstream_context(kind, ca), tls=TlsIdentity(ca=ca_file)) as stage:
        assert stage.ask(transport).status == 502
        assert stage.sent == b""
        assert [event["denial_category"] for event in stage.denials] == ["upstream_connect_failed"]
    with five_transports(served_with=upstream_context("good", ca), tls=TlsIdentity(ca=ca_file)) as stage:
        assert stage.ask(transport).status == 200


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_the_authority_of_a_route_is_trusted_by_no_other(
    transport: Transport, ca: trustme.CA, ca_file: str
) -> None:
    sibling = a_route(
        1, service="beta", host=SITE, scheme="https", phantom="sk-phantom-of-beta", tls_ca=ca_file
    )
    with five_transports(served_with=served(ca, API), tls=NO_IDENTITY, routes=[sibling]) as stage:
        assert stage.ask(transport).status == 502
        assert stage.sent == b""
        assert len(stage.denials) == 1


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_client_certificate_is_shown_by_its_own_route_only(
    transport: Transport, ca: trustme.CA, ca_file: str, tmp_path: Path
) -> None:
    shown: list[bool] = []

    def handler(request: Received) -> None:
        assert isinstance(request.connection.transport, ssl.SSLSocket)
        shown.append(bool(request.connection.transport.getpeercert()))
        request.connection.respond()

    certificate, key = tmp_path / "client.pem", tmp_path / "client.key"
    client = ca.issue_cert("client@nono.test")
    client.cert_chain_pems[0].write_to_path(str(certificate))
    client.private_key_pem.write_to_path(str(key))
    context = served(ca, API)
    context.verify_mode = ssl.CERT_OPTIONAL
    ca.configure_trust(context)
    with_it = TlsIdentity(ca=ca_file, cert=str(certificate), key=str(key))
    for identity in (with_it, TlsIdentity(ca=ca_file)):
        with five_transports(handler, served_with=context, tls=identity) as stage:
            assert stage.ask(transport).status == 200
    assert shown == [True, False]


@pytest.mark.parametrize("transport", [Transport.INSIDE, Transport.HTTP2])
def test_a_client_that_pins_gets_no_tunnel_instead(
    transport: Transport, ca: trustme.CA, ca_file: str
) -> None:
    with five_transports(served_with=served(ca, API), tls=TlsIdentity(ca=ca_file)) as stage:
        pinning = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        pinning.load_verify_locations(ca_file)  # trusts the upstream's own certificate and no other
        with pytest.raises(ssl.SSLCertVerificationError), stage.client(transport, trust=pinning):
            pass
        assert stage.is_untouched
        assert stage.ask(transport).status == 200
        assert [event["denial_category"] for event in stage.denials] == ["intercept_handshake_failed"]


@pytest.mark.parametrize("transport", [Transport.INSIDE, Transport.HTTP2])
def test_without_interception_no_tunnel_leads_to_a_route_host(transport: Transport) -> None:
    with five_transports(options={"server_context": None}) as stage:
        with pytest.raises(RefusedConnect) as refused, stage.client(transport):
            pass
        assert refused.value.answer.status == 403
        assert stage.is_untouched
        assert [event["denial_category"] for event in stage.denials] == ["connect_bypasses_l7"]
        assert stage.ask(Transport.REVERSE).status == 200
