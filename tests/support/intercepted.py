"""What the tests of intercepted clients share: a stage for each user, and the run of a client that knows
its upstream by nothing but the upstream's own URL."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from support.client_run import Decision, Stage
from support.http_upstream import Authority, HttpUpstream
from support.nono_run import Ended, nono_run

KEY = "canary-of-the-real-key"
KEY_SOURCE = "REAL_KEY"
USERS = ("ordinary user", "root")
# All that names the bundle; a client without them trusts what it was built with.
NO_TRUST = (
    "env",
    *(
        f"--unset={name}"
        for name in (
            "SSL_CERT_FILE",
            "REQUESTS_CA_BUNDLE",
            "PIP_CERT",
            "CURL_CA_BUNDLE",
            "GIT_SSL_CAINFO",
            "CARGO_HTTP_CAINFO",
            "NODE_EXTRA_CA_CERTS",
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
            "JAVA_TOOL_OPTIONS",
        )
    ),
)


@dataclass(frozen=True, slots=True)
class Intercepted:
    """A user, and a service whose upstream is reached under its own name, with the phantom as its key.

    entry: the service's fields in the profile beside upstream, credential_key and tls_ca. key: the real one,
    which nothing inside may see.
    """

    stage: Stage
    server: HttpUpstream
    name: str
    entry: Mapping[str, object]
    key: str = KEY

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.server.port}"

    def run(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        network: Mapping[str, object] | None = None,
        flags: Sequence[str] = (),
        **more: object,
    ) -> Ended:
        """`nono run -- argv` to its end. more: over the entry; network: over the section; flags: nono's own."""
        service = {
            "upstream": self.origin,
            "credential_key": f"env://{KEY_SOURCE}",
            "tls_ca": self.stage.authority.ca_file,
            **self.entry,
            **more,
        }
        section = {"credentials": [self.name], "custom_credentials": {self.name: service}, **(network or {})}
        return self.stage.runner.run(
            argv,
            profile={"network": section},
            flags=flags,
            environment={KEY_SOURCE: self.key, **(environment or {})},
        )

    def saw(self, name: bytes) -> set[tuple[bytes, ...]]:
        """The values of one header field in each request that arrived."""
        return {tuple(request.values(name)) for request in self.server.requests}

    def arrived(self) -> bytes:
        """All that arrived upstream."""
        return b"".join(connection.raw for connection in self.server.connections)


@contextmanager
def stage_of(user: str) -> Iterator[Stage]:
    """A stage of one of USERS, gone with all its files when the block is left."""
    as_root = user == "root"
    if as_root and os.geteuid() != 0:
        pytest.skip("the suite is not run by root")
    with nono_run(as_root=as_root) as runner:
        yield Stage(runner, Authority(str(runner.project / "ca.pem")))


def reached(run: Ended) -> set[Decision]:
    """(mode, path) of what was let through; a tunnel to be looked into has no path."""
    return {(event["mode"], event.get("path")) for event in run.allowed}


def reasons(run: Ended) -> set[object]:
    """The categories in which the proxy refused."""
    return {event.get("denial_category") for event in run.denied if event["method"]}
