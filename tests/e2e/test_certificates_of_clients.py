"""A run whose requests fail for an unknown issuer names the certificates that the person's clients trust."""

from __future__ import annotations

import shutil

import pytest

from support.clients.run import service, stage
from support.servers.http1 import answer_ok, upstream

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.mark.parametrize(
    ("own", "hint"),
    [
        ({"REQUESTS_CA_BUNDLE": "/etc/corp.pem"}, "REQUESTS_CA_BUNDLE; with SSL_CERT_FILE=/etc/corp.pem"),
        ({}, "nono trusts the CAs of this system and of your SSL_CERT_FILE"),
    ],
)
def test_an_unknown_issuer_is_told_with_the_file_that_a_client_has(own: dict[str, str], hint: str) -> None:
    with stage() as made, upstream(answer_ok, made.authority.server_context("localhost")) as server:
        shop = service(server.port, "REAL_KEY", made.authority, env_var="SHOP_KEY")
        del shop["tls_ca"]
        profile = {"network": {"custom_credentials": {"shop": shop}, "credentials": ["shop"]}}
        ask = f'curl -sS -H "Authorization: Bearer $SHOP_KEY" https://localhost:{server.port}/'
        run = made.runner.run(["sh", "-c", ask], profile=profile, environment={"REAL_KEY": "canary", **own})
        assert hint in " ".join(run.stderr.split())
        assert server.requests == []
