"""Set the stage for the ladder: an ordinary user, a credential service, and listeners nobody may reach."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from support.kernelsim.kernel import Kernel
from support.ladder import probe as ladder_probe
from support.ordinary_user import OrdinaryUser, ordinary_user
from support.ports import unused_port
from support.running.needs import require_for
from support.servers.http1 import Authority, HttpUpstream, upstream

NONO = str(Path(sys.executable).with_name("nono"))
REAL_KEY = "sk-real-key-of-the-ladder"
PROBE = os.path.abspath(ladder_probe.__file__)


@dataclass
class Canary:
    """A listener outside. touched counts connections. On loopback, so that nothing leaves the machine."""

    listener: socket.socket
    touched: int = 0
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):  # closed
            while True:
                accepted, _ = self.listener.accept()
                self.touched += 1
                accepted.close()

    def close(self) -> None:
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self._thread.join(20)


@dataclass
class Stage:
    """A stage below user.home: the command is granted project, but not private."""

    user: OrdinaryUser
    upstream: HttpUpstream
    ca_file: str
    direct: Canary  # 127.0.0.1, some port
    elsewhere: Canary  # 127.0.0.2, at the port that the proxy has on 127.0.0.1
    unix: Canary
    abstract: Canary
    datagrams: socket.socket
    datagrams_read: int = 0

    @property
    def project(self) -> Path:
        return self.user.home / "project"

    @property
    def private(self) -> Path:
        return self.user.home / "private"

    @property
    def proxy_port(self) -> int:
        return int(self.elsewhere.listener.getsockname()[1])

    def profile(self, policy: str | None) -> str:
        """Return the path of a profile with the credential service. policy: its wsl2_proxy_policy."""
        service = {
            "upstream": f"https://localhost:{self.upstream.port}/v1",
            "credential_key": "env://DEMO_KEY",
            "env_var": "DEMO_KEY",
            "tls_ca": self.ca_file,
        }
        document: dict[str, object] = {
            "network": {"credentials": ["demo"], "custom_credentials": {"demo": service}}
        }
        if policy is not None:
            document["security"] = {"wsl2_proxy_policy": policy}
        path = self.user.home / f"profile-{policy}.json"
        path.write_text(json.dumps(document))
        path.chmod(0o644)
        return str(path)

    def probe(self) -> list[str]:
        """Return the command that tries everything from inside."""
        asked = {
            "tcp": {
                "direct": self.direct.listener.getsockname(),
                "elsewhere": self.elsewhere.listener.getsockname(),
            },
            "udp": self.datagrams.getsockname(),
            "unix": {
                "unix": self.unix.listener.getsockname(),
                "abstract": self.abstract.listener.getsockname().replace(b"\0", b"@").decode(),
            },
            "read": {"project": str(self.project / "note"), "private": str(self.private / "secret")},
        }
        return [os.path.realpath(sys.executable), "-I", "-S", PROBE, json.dumps(asked)]

    def nono(
        self,
        command: str,
        *arguments: str,
        kernel: Kernel | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run nono to its end as the user, on kernel."""
        argv = [NONO, command, *arguments]
        if kernel is not None and kernel != Kernel():
            require_for(kernel.flags(), self.user.uid)
            argv = kernel.command(argv)
        given = {"DEMO_KEY": REAL_KEY, **(environment or {})}
        return self.user.run(argv, environment=given, cwd=self.project)

    def grants(self) -> list[str]:
        """Return grants for what the probe needs in order to run, and for the project."""
        interpreter = str(Path(os.path.realpath(sys.executable)).parent.parent)
        return ["--allow", str(self.project), "--read-file", PROBE, "--read", interpreter]

    def touched(self) -> dict[str, int]:
        """Return how often each listener has been reached so far."""
        with suppress(BlockingIOError):
            while True:
                self.datagrams.recv(64)
                self.datagrams_read += 1
        return {
            "direct": self.direct.touched,
            "elsewhere": self.elsewhere.touched,
            "unix": self.unix.touched,
            "abstract": self.abstract.touched,
            "udp": self.datagrams_read,
        }


@contextmanager
def stage() -> Iterator[Stage]:
    """Yield a stage. Everything on it is closed and removed at the end."""
    with ExitStack() as stack:
        user = stack.enter_context(ordinary_user())
        for name, file in (("project", "note"), ("private", "secret")):
            (user.home / name).mkdir()
            (user.home / name / file).write_text(f"the {file}\n")
            user.give(user.home / name)
            user.give(user.home / name / file)
        ca_file = str(user.home / "ca.pem")
        authority = Authority(ca_file)
        os.chmod(ca_file, 0o644)
        server = stack.enter_context(upstream(tls=authority.server_context("localhost")))
        unix_listener = socket.socket(socket.AF_UNIX)
        unix_listener.bind(str(user.home / "project/socket"))
        os.chmod(user.home / "project/socket", 0o777)
        unix_listener.listen()
        direct, elsewhere = Canary(socket.create_server(("127.0.0.1", 0))), Canary(_beside_the_proxy())
        abstract_listener = socket.socket(socket.AF_UNIX)
        abstract_listener.bind(f"\0nono-ladder-{os.getpid()}")
        abstract_listener.listen()
        at_path, abstract = Canary(unix_listener), Canary(abstract_listener)
        for canary in (direct, elsewhere, at_path, abstract):
            stack.callback(canary.close)
        datagrams = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        datagrams.bind(("127.0.0.1", 0))
        datagrams.setblocking(False)
        yield Stage(user, server, ca_file, direct, elsewhere, at_path, abstract, datagrams)


def _beside_the_proxy() -> socket.socket:
    """Return a listener on 127.0.0.2, at a port that is free on 127.0.0.1."""
    return socket.create_server(("127.0.0.2", unused_port()))


def sandboxed(stage: Stage, policy: str | None = None) -> Sequence[str]:
    """Return the options of the run that every cell of the ladder makes."""
    return ["--profile", stage.profile(policy), *stage.grants(), "--proxy-port", str(stage.proxy_port)]


def audited(stage: Stage) -> list[dict[str, object]]:
    """Return the events of the stage's newest run; empty if no run has been recorded."""
    logs = list((stage.user.home / ".local/state/nono/audit").glob("*/audit-events.ndjson"))
    if not logs:
        return []
    newest = max(logs, key=lambda log: log.stat().st_mtime_ns)
    return [json.loads(json.loads(line)["event_json"]) for line in newest.read_text().splitlines()]
