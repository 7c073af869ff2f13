"""Clients of HTTP/2 inside `nono run --allow-http2`: gRPC, which speaks nothing else, and curl."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from support.clients import intercept_programs
from support.clients.intercepted import (
    KEY,
    WITHOUT_TRUST,
    Intercepted,
    as_every_user,
    as_ordinary_user,
    reasons,
    with_key,
)
from support.clients.run import PYTHON, Stage
from support.nono_run import Ended
from support.servers.grpc_echo import TRAILER, GrpcServer, grpc_server
from support.servers.http1 import upstream

HTTP2 = ("--allow-http2",)
CURL = r"""
curl -sS --http2 -o /dev/null -w '%{http_version} %{http_code}' -H "Authorization: Bearer $TOKEN" \
    "https://$AUTHORITY/v1"
"""


@pytest.fixture
def grpc(made: Stage, tmp_path: Path) -> Iterator[Intercepted]:
    """Yield a service with an authority of its own: its server takes the certificate as a file."""
    authority = trustme.CA()
    ca_file = made.runner.user.home / "grpc-ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    pem = tmp_path / "grpc.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(pem)
    with grpc_server(pem) as server:
        yield Intercepted(made, server, "service", "TOKEN", {"tls_ca": str(ca_file)})


def call(service: Intercepted, how: str, *prefix: str, **more: Any) -> Ended:
    """Return a gRPC client. prefix: a program that starts it with another environment."""
    argv = (*prefix, *PYTHON, intercept_programs.__file__, "grpc", how)
    environment = {"AUTHORITY": service.authority, "GRPC_VERBOSITY": "NONE"}
    return service.run(argv, environment=environment, **{"flags": HTTP2, **more})


def calls(service: Intercepted) -> list[tuple[str, str]]:
    """Return (method, authorization) of each call that arrived. Ends the server."""
    assert isinstance(service.server, GrpcServer)
    return [(call["method"], call["authorization"]) for call in service.server.ended()]


@as_every_user
@pytest.mark.parametrize(
    ("how", "method", "printed"),
    [("whole", "/canary.Echo/Say", "hello"), ("streamed", "/canary.Echo/Talk", "first|last")],
)
def test_a_call_with_the_key_gets_its_trailers_back(
    grpc: Intercepted, how: str, method: str, printed: str
) -> None:
    run = call(grpc, how)
    assert (run.exit_code, run.stdout.strip()) == (0, f"{printed}|{TRAILER[1]}"), run.stderr
    assert calls(grpc) == [(method, f"Bearer {KEY}")]
    assert with_key(run) == [method]


@as_ordinary_user
def test_a_call_with_a_key_of_its_own_does_not_arrive(grpc: Intercepted) -> None:
    run = call(grpc, "whole", "env", "TOKEN=made-up")
    assert run.exit_code == 1
    assert calls(grpc) == []
    assert reasons(run) == {"authentication_failed"}


@as_ordinary_user
def test_a_call_of_a_method_that_is_not_allowed_does_not_arrive(grpc: Intercepted) -> None:
    run = call(grpc, "whole", endpoint_rules=[{"method": "*", "path": "/canary.Echo/Talk"}])
    assert run.exit_code == 1
    assert calls(grpc) == []
    assert "endpoint_policy" in reasons(run)


@as_ordinary_user
def test_a_client_that_speaks_only_http2_gets_it_without_allow_http2(
    grpc: Intercepted,
) -> None:
    run = call(grpc, "whole", flags=())
    assert run.exit_code == 0
    assert len(with_key(run)) == 1


@as_ordinary_user
def test_without_a_handshake_there_is_no_call(grpc: Intercepted) -> None:
    run = call(grpc, "whole", *WITHOUT_TRUST)
    assert run.exit_code == 1
    assert calls(grpc) == []
    assert with_key(run) == []


@as_every_user
@pytest.mark.parametrize(("flags", "version"), [(HTTP2, "2"), ((), "1.1")], ids=["allowed", "not allowed"])
def test_curl_speaks_http2_where_that_is_allowed(made: Stage, flags: tuple[str, ...], version: str) -> None:
    with upstream(tls=made.authority.server_context("localhost")) as server:
        service = Intercepted(made, server, "service", "TOKEN")
        environment = {"AUTHORITY": service.authority}
        run = service.run(("sh", "-c", CURL), environment=environment, flags=flags)
        assert (run.exit_code, run.stdout) == (0, f"{version} 200"), run.stderr
        assert service.saw("authorization") == {(f"Bearer {KEY}".encode(),)}


@as_ordinary_user
def test_curl_is_refused_over_http2_with_a_key_of_its_own(made: Stage) -> None:
    with upstream(tls=made.authority.server_context("localhost")) as server:
        service = Intercepted(made, server, "service", "TOKEN")
        environment = {"AUTHORITY": service.authority}
        run = service.run(("env", "TOKEN=made-up", "sh", "-c", CURL), environment=environment, flags=HTTP2)
        assert run.stdout == "2 401"
        assert service.requests == []
        assert reasons(run) == {"authentication_failed"}
