"""Clients that people use, pointed at the proxy the way the child's environment does it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import requests

from support.proxy.thread import PHANTOM, TOKEN, ProxyUnderTest, a_route, proxy
from support.servers.http1 import Authority, HttpUpstream, Received, upstream


@contextmanager
def tls_site(tmp_path: Path) -> Iterator[tuple[HttpUpstream, Authority, ProxyUnderTest]]:
    authority = Authority(str(tmp_path / "ca.pem"))
    with upstream(tls=authority.server_context("site.test")) as server, proxy() as p:
        yield server, authority, p


def url_of(p: ProxyUnderTest, password: str = TOKEN) -> str:
    return f"http://nono:{password}@127.0.0.1:{p.port}"


def test_requests_and_httpx_work_with_the_proxy_url(tmp_path: Path) -> None:
    with tls_site(tmp_path) as (server, authority, p), upstream() as plain:
        site, clear = f"https://site.test:{server.port}/x", f"http://site.test:{plain.port}/x"
        with requests.Session() as session:
            session.trust_env = False
            session.proxies = {"http": url_of(p), "https": url_of(p)}
            session.verify = authority.ca_file
            assert session.get(site).text == session.get(clear).text == "ok"
            assert session.post(clear, data=iter([b"a", b"b"])).text == "ok"
        trust = authority.client_context()
        with httpx.Client(proxy=url_of(p), verify=trust, trust_env=False) as client:
            assert client.get(site).text == client.get(clear).text == "ok"
        with (
            httpx.Client(
                proxy=url_of(p, "wrong"), verify=authority.client_context(), trust_env=False
            ) as client,
            pytest.raises(httpx.ProxyError, match="407"),
        ):
            client.get(site)
    assert len(server.requests) == 2
    assert [request.body for request in plain.requests] == [b"", b"ab", b""]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("options", [[], ["--proxy-anyauth"]], ids=["basic at once", "after a 407"])
def test_curl_either_reaches_a_site_or_shows_why_it_cannot(tmp_path: Path, options: list[str]) -> None:
    with tls_site(tmp_path) as (server, authority, p):
        command = ["curl", "-sS", "-q", "--cacert", authority.ca_file, "--max-time", "20", *options]
        good = [*command, "--proxy", url_of(p), f"https://site.test:{server.port}/"]
        done = subprocess.run(good, env={}, capture_output=True, text=True, check=True)
        assert done.stdout == "ok"
        refused = [*command, "--proxy", url_of(p), f"https://127.0.0.1:{p.port}/"]
        done = subprocess.run(refused, env={}, capture_output=True, text=True, check=False)
        assert done.returncode in (56, 7)  # 7 of curl 8.23
        assert "403" in done.stderr
    assert len(server.requests) == 1


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_uploads_through_expect_continue() -> None:
    def handler(request: Received) -> None:
        if request.value(b"expect"):
            request.connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.connection.respond(body=str(len(request.read_body())).encode())

    size = 2 << 20  # beyond curl's threshold for Expect
    with upstream(handler) as server, proxy(a_route(server.port)) as p:
        command = ["curl", "-sS", "-q", "--noproxy", "*", "--max-time", "20", "--data-binary", "@-"]
        command += ["-H", f"X-Api-Key: {PHANTOM}", f"http://127.0.0.1:{p.port}/alpha/x"]
        done = subprocess.run(command, env={}, input=bytes(size), capture_output=True, check=True)
    assert done.stdout == str(size).encode()
    assert server.requests[0].values(b"x-api-key") == []
