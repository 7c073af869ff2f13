"""Set the stage for the intercepted clients: a user, and a service reached under its own name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from support.clients.run import Stage
from support.nono_run import Ended, nono_run
from support.servers.grpc_echo import GrpcServer
from support.servers.http1 import Authority, Connection, HttpUpstream, Received

KEY = "canary-of-the-real-key"
KEY_SOURCE = "REAL_KEY"
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"  # runnable by every user, and not broken by an empty home
USERS = ("ordinary user", "root")
as_every_user = pytest.mark.parametrize("made", USERS, indirect=True)
as_ordinary_user = pytest.mark.parametrize("made", USERS[:1], indirect=True)


def by_user(argument: str, every: Sequence[object], few: Sequence[object]) -> pytest.MarkDecorator:
    """Try `every` client as an ordinary user, and a `few` as root too.

    A client is alike whoever it runs as. What differs for root is what nono gives a run, which a few show.
    """
    cases = [(USERS[0], each) for each in every] + [(USERS[1], each) for each in few]
    ids = [f"{each}-{user}" for user, each in cases]
    return pytest.mark.parametrize(("made", argument), cases, indirect=["made"], ids=ids)


OUTSIDE = "localhost:444"  # the right host on a wrong port
# Without these, a client trusts what it was built with.
TRUST_VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "PIP_CERT",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "npm_config_cafile",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "JAVA_TOOL_OPTIONS",
    "SYSTEM_WGETRC",
)
WITHOUT_TRUST = ("env", *(f"--unset={name}" for name in TRUST_VARIABLES))
_ENVIRONMENT = "environment"
_KEEP_ENVIRONMENT = ("sh", "-c", f'env > {_ENVIRONMENT}; exec "$@"', "sh")


@dataclass(frozen=True, slots=True)
class Intercepted:
    """A user, and a service of which the client knows only the URL of the upstream.

    variable: The variable in which the client finds the key.
    entry: Further fields of the service.
    key: The real key.
    """

    stage: Stage
    server: HttpUpstream | GrpcServer
    name: str
    variable: str
    entry: Mapping[str, object] = field(default_factory=dict)
    key: str = KEY

    @property
    def authority(self) -> str:
        return f"localhost:{self.server.port}"

    @property
    def origin(self) -> str:
        return f"https://{self.authority}"

    @property
    def connections(self) -> list[Connection]:
        """Return the connections that reached a server of HTTP/1.1."""
        assert isinstance(self.server, HttpUpstream)
        return self.server.connections

    @property
    def requests(self) -> list[Received]:
        """Return the requests that reached a server of HTTP/1.1."""
        assert isinstance(self.server, HttpUpstream)
        return self.server.requests

    def run(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        network: Mapping[str, object] | None = None,
        flags: Sequence[str] = (),
        **more: Any,
    ) -> Ended:
        """Run `nono run -- argv` to its end. AssertionError if the real key was inside, or not it upstream.

        more: Laid over the entry.
        network: Laid over the section of the profile.
        flags: Flags of nono.
        """
        service = {
            "upstream": self.origin,
            "credential_key": f"env://{KEY_SOURCE}",
            "tls_ca": self.stage.authority.ca_file,
            "env_var": self.variable,
            **self.entry,
            **more,
        }
        section = {
            "allow_domain": [],
            "credentials": [self.name],
            "custom_credentials": {self.name: service},
            **(network or {}),
        }
        run = self.stage.runner.run(
            (*_KEEP_ENVIRONMENT, *argv),
            profile={"network": section},
            flags=flags,
            environment={KEY_SOURCE: self.key, **(environment or {})},
        )
        self._check_keys(run)
        return run

    def _check_keys(self, run: Ended) -> None:
        environment = self.stage.project / _ENVIRONMENT
        assert environment.exists(), f"the command did not start: {run.stderr}"
        inside = environment.read_text()
        phantom = dict(line.split("=", 1) for line in inside.splitlines() if "=" in line)[self.variable]
        assert self.key not in inside + run.stdout + run.stderr
        assert phantom
        if isinstance(self.server, HttpUpstream):
            assert phantom.encode() not in b"".join(connection.raw for connection in self.connections)

    def saw(self, name: str) -> set[tuple[bytes, ...]]:
        """Return the values of a header field in each request that arrived."""
        return {tuple(request.values(name.lower().encode())) for request in self.requests}


@contextmanager
def stage_of(user: str) -> Iterator[Stage]:
    """Yield a stage for one of USERS, removed with all its files when the block is left."""
    as_root = user == "root"
    if as_root and os.geteuid() != 0:
        pytest.skip("only root can run nono as root")
    with nono_run(as_root=as_root) as runner:
        yield Stage(runner, Authority(str(runner.trusted)))


def with_key(run: Ended) -> list[object]:
    """Return the path of each request that the real key was written into."""
    return [
        event["path"]
        for event in run.allowed
        if event["mode"] == "connect_intercept" and event.get("managed_credential_active") and event["path"]
    ]


def reasons(run: Ended) -> set[object]:
    """Return the categories in which requests and tunnels were refused."""
    return {event.get("denial_category") for event in run.denied if event["method"]}
