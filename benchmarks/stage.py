"""Where the measurements play: a home of its own, TLS upstreams with an authority of their own, the probe."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import trustme

from benchmarks.commands import on_cpu
from benchmarks.machine import BENCH_DIR, PROGRAMS, Cpus, compiled, tool
from benchmarks.samples import CannotRunError
from benchmarks.workers import WORKER, WORKER_READS

NONO = str(Path(sys.executable).with_name("nono"))
START_S = 10.0
HOST = "localhost"
# An upstream for each: the stream of events comes from another server, and what comes from UNWATCHED is
# not searched for the key.
SMALL, EVENTS, UNWATCHED = "SMALL", "EVENTS", "UNWATCHED"
KEY = "sk-a-key-of-the-benchmark"
# Not contacted: started with only. Its key is in the store of the stage's home.
BUILT_IN_SERVICE = "openai"

# Left out of the environment of all that is measured: a bytecode cache is what users have, and a key for
# the benchmark must not end up in somebody's real keyring. Which roots somebody else trusts is not measured.
NOT_INHERITED = (
    "PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "JAVA_HOME",
)  # fmt: skip
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")

NGINX_CONF = """\
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off; types {{ }} default_type application/json; keepalive_requests 1000000000;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  ssl_certificate {folder}/server.pem; ssl_certificate_key {folder}/server.pem;
  http2 on; http2_max_concurrent_streams 512;
  server {{
    listen 127.0.0.1:{small} ssl; listen 127.0.0.1:{unwatched} ssl; listen 127.0.0.1:{tunnel} ssl;
    root {folder}/documents;
  }}
}}
"""


class Ports(NamedTuple):
    small: int  # TLS; small and bulk documents, behind a credential route
    events: int  # TLS; the stream, behind a credential route
    tunnel: int  # TLS; the documents of `small`, for tunnels: a route's upstream is closed to them
    unwatched: int  # TLS; the documents of `small`, behind a credential route without the tripwire


@dataclass(frozen=True, slots=True)
class Stage:
    folder: Path
    ports: Ports
    probe: str | None  # the compiled probe.c; None where there is no C compiler
    tls_load: str | None  # the compiled tls_load.c; None where there is no OpenSSL to build it with either
    crowd: str | None  # the compiled crowd.c
    supervisor: str | None  # the compiled supervisor.c
    landlock: str | None  # the compiled landlock.c
    upstream: str  # what serves `small`, `tunnel` and `unwatched`
    upstream_pid: int
    cpus: Cpus

    @property
    def ca_file(self) -> str:
        return str(self.folder / "shared/ca.pem")

    @property
    def shared(self) -> str:
        """The folder that the sandbox grants."""
        return str(self.folder / "shared")

    @property
    def environ(self) -> dict[str, str]:
        return base_environ(self.folder) | {f"{name}_KEY": KEY for name in self.services}

    @property
    def services(self) -> dict[str, str]:
        """Base URL of each service, as a client reaches it without a proxy."""
        return {
            SMALL: f"https://{HOST}:{self.ports.small}/v1",
            EVENTS: f"https://{HOST}:{self.ports.events}/v1",
            UNWATCHED: f"https://{HOST}:{self.ports.unwatched}/v1",
        }

    @property
    def worker(self) -> list[str]:
        return [*WORKER, str(self.cpus.load)]

    def nono_run(self, *command: str, flags: Sequence[str] = (), denied: Sequence[str] = ()) -> list[str]:
        """Return `nono run` with all services, and what the worker reads and runs. denied: files, if any."""
        reads = [f"--read={path}" for path in (*WORKER_READS, self.shared)]
        return [NONO, "--silent", "run", f"--profile={self._profile(denied)}", *reads, *flags, "--", *command]

    def _profile(self, denied: Sequence[str]) -> Path:
        credentials = {
            name.lower(): {
                "upstream": url,
                "credential_key": f"env://{name}_KEY",
                "env_var": f"{name}_KEY",
                "tls_ca": self.ca_file,
                "tripwire": name != UNWATCHED,
            }
            for name, url in self.services.items()
        }
        network = {
            "allow_domain": [f"{HOST}:{self.ports.tunnel}"],
            "credentials": [*credentials],
            "custom_credentials": credentials,
            "allow_http2": True,
        }
        file = self.folder / ("profile-denies.json" if denied else "profile.json")
        file.write_text(json.dumps({"network": network, "filesystem": {"deny": [*denied]}}))
        return file


def base_environ(folder: Path) -> dict[str, str]:
    """Return the environment of a user whose home is in folder, and who has no proxy."""
    proxies = {spelled for name in PROXY_VARIABLES for spelled in (name, name.lower())}
    kept = {name: value for name, value in os.environ.items() if name not in {*NOT_INHERITED, *proxies}}
    kept |= {
        f"XDG_{name}_HOME": str(folder / "home" / name.lower())
        for name in ("CONFIG", "DATA", "STATE", "CACHE")
    }
    return kept | {"HOME": str(folder / "home"), "CODEX_HOME": str(folder / "home/codex")}


@contextmanager
def stage(cpus: Cpus, bulk_bytes: int) -> Iterator[Stage]:
    """Yield a stage, removed with the block. Not below /tmp, which a sandbox grants as a whole."""
    BENCH_DIR.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="stage-", dir=BENCH_DIR) as directory:
        folder = Path(directory)
        for name in ("home/codex", "shared", "documents/v1"):
            (folder / name).mkdir(parents=True)
        _store_key(base_environ(folder))
        certificate = _certify(folder)
        script = [sys.executable, "-I", str(PROGRAMS / "upstream.py")]
        argv = [*script, str(certificate), str(bulk_bytes), str(cpus.load), "4"]
        with _started(argv, cpus.load) as python:
            ports, nginx = Ports(*json.loads(_first_line(python))), tool("nginx")
            programs = (
                compiled(folder / "shared/probe", "probe.c"),
                compiled(folder / "shared/tls_load", "tls_load.c", "-lssl", "-lcrypto"),
                compiled(folder / "shared/crowd", "crowd.c"),
                compiled(folder / "shared/supervisor", "supervisor.c"),
                compiled(folder / "shared/landlock", "landlock.c"),
            )
            if nginx is None:
                upstream = "a Python server (uvloop): nginx is not installed"
                yield Stage(folder, ports, *programs, upstream, python.pid, cpus)
                return
            small, *others = _free_ports(3)
            ports = Ports(small, ports.events, *others)
            _write_documents(folder, ports, bulk_bytes)
            with _started([nginx, "-p", str(folder), "-c", str(folder / "nginx.conf")], cpus.load) as server:
                _wait_for(ports.small, server)
                yield Stage(folder, ports, *programs, "nginx", server.pid, cpus)


def _store_key(environ: Mapping[str, str]) -> None:
    argv = [NONO, "--silent", "credential", "set", BUILT_IN_SERVICE]
    subprocess.run(argv, env=environ, input=KEY, capture_output=True, text=True, check=True, timeout=60)


def _certify(folder: Path) -> Path:
    """Write key and certificate of the upstreams; their authority goes to shared/ca.pem."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "shared/ca.pem"))
    certificate = folder / "server.pem"
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(str(certificate))
    return certificate


def _write_documents(folder: Path, ports: Ports, bulk_bytes: int) -> None:
    documents = folder / "documents/v1"
    (documents / "small").write_text(json.dumps({"padding": "x" * 1000}))
    with (documents / "bulk").open("wb") as bulk:
        bulk.truncate(bulk_bytes)
    piece = os.urandom(1 << 20)
    with (documents / "random").open("wb") as at_random:
        at_random.writelines(repeat(piece, bulk_bytes // len(piece)))
    (folder / "nginx.conf").write_text(
        NGINX_CONF.format(folder=folder, small=ports.small, tunnel=ports.tunnel, unwatched=ports.unwatched)
    )


@contextmanager
def _started(argv: Sequence[str], cpu: int) -> Iterator[subprocess.Popen[str]]:
    """Start a server that ends with its stdin, or by SIGTERM if it does not."""
    with on_cpu(cpu):
        server = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with server:
        try:
            yield server
        finally:
            assert server.stdin is not None
            server.stdin.close()
            server.terminate()


def _first_line(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    if not select.select([server.stdout], [], [], START_S)[0]:
        raise CannotRunError("the upstream does not start")
    return server.stdout.readline()


def free_port() -> int:
    """Return a port that nobody has at this moment."""
    (port,) = _free_ports(1)
    return port


def _free_ports(count: int) -> list[int]:
    """Return different ports: all are held until the last is found."""
    with ExitStack() as held:
        reserved = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in reserved]


def _wait_for(port: int, server: subprocess.Popen[str]) -> None:
    """Wait until something listens. Raises CannotRunError if the server ends before, or takes too long."""
    for _ in range(int(START_S / 0.02)):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=START_S).close()
            return
        except OSError:
            pass
        try:
            server.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        break
    raise CannotRunError("nginx does not start")
