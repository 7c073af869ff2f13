"""Set up the demo: a home of its own, a provider with an authority of its own, and nono as installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.demo import agent as demo_agent
from support.models.chat import ModelProvider
from support.servers.http1 import Authority, HttpUpstream, Received, upstream

NONO = Path(sys.executable).with_name("nono")
PYTHON_GRANTS = tuple(f"--read={prefix}" for prefix in dict.fromkeys((sys.prefix, sys.base_prefix)))
AGENT = Path(demo_agent.__file__)


@dataclass(frozen=True, slots=True)
class Service:
    """A built-in service under its own name, but at the demo's provider and with a key from nono's store."""

    name: str
    base_path: str
    variable: str  # the variable that holds the phantom

    def entry(self, provider: HttpUpstream, ca_file: Path) -> dict[str, str]:
        """Return the entry for the custom_credentials of a profile."""
        return {
            "upstream": f"https://localhost:{provider.port}{self.base_path}",
            "credential_key": self.name,
            "env_var": self.variable,
            "tls_ca": str(ca_file),
        }


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended, with its output and, for a run, the reasons of refusals in the audit log."""

    exit_code: int
    output: str
    reasons: tuple[str, ...] = ()

    @property
    def reason(self) -> str | None:
        """Return the last refusal, which ended the attempt."""
        return self.reasons[-1] if self.reasons else None


@dataclass(frozen=True, slots=True)
class DemoStage:
    """The demo. provider is the upstream of both services; elsewhere is a host that every run may reach."""

    home: Path
    provider: HttpUpstream
    elsewhere: HttpUpstream

    def nono(self, *arguments: str, stdin: str = "") -> Ended:
        """Run nono with the demo's home, and nothing of the caller's environment but PATH."""
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HOME": str(self.home)}
        for name in ("CONFIG", "DATA", "STATE", "CACHE"):
            environment[f"XDG_{name}_HOME"] = str(self.home / name.lower())
        ended = subprocess.run(
            (str(NONO), "--silent", *arguments),
            env=environment,
            cwd=self.project,
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout)

    def run(self, *command: str) -> Ended:
        """Run `nono run` of command in the project."""
        before = set(self._logs())
        grants = (
            f"--profile={self.profile}",
            f"--allow={self.project}",
            f"--read-file={AGENT}",
            *PYTHON_GRANTS,
        )
        ended = self.nono("run", *grants, "--", *command)
        reasons = [reason for log in set(self._logs()) - before for reason in _refusals(log)]
        return Ended(ended.exit_code, ended.output, tuple(reasons))

    def agent(self, *action: str) -> Ended:
        """Run `nono run` of agent.py."""
        return self.run(*self.agent_argv(*action))

    def agent_argv(self, *action: str) -> tuple[str, ...]:
        return (sys.executable, "-I", "-B", str(AGENT), *action)

    def take_requests(self) -> list[Received]:
        """Return what the two servers received since the last call."""
        taken = [*self.provider.requests, *self.elsewhere.requests]
        self.provider.requests.clear()
        self.elsewhere.requests.clear()
        return taken

    @property
    def project(self) -> Path:
        return self.home / "project"

    @property
    def profile(self) -> Path:
        return self.home / "demo.json"

    @property
    def private_key(self) -> Path:
        return self.home / ".ssh/id_ed25519"

    def _logs(self) -> Iterator[Path]:
        return (self.home / "state/nono/audit").glob("*/audit-events.ndjson")


def _refusals(log: Path) -> Iterator[str]:
    for line in log.read_text().splitlines():
        event = json.loads(json.loads(line)["event_json"]).get("event", {})
        if event.get("decision") == "deny" and not event["target"].startswith("unix:"):
            yield event["reason"]


@contextmanager
def demo_stage(services: Sequence[Service]) -> Iterator[DemoStage]:
    """Yield the stage. Everything is removed when the block is left."""
    with tempfile.TemporaryDirectory(prefix="nono-demo-") as directory:
        home = Path(directory).resolve()
        ca_file = home / "ca.pem"
        certified = Authority(str(ca_file)).server_context("localhost")
        with upstream(ModelProvider(), certified) as provider, upstream() as elsewhere:
            stage = DemoStage(home, provider, elsewhere)
            stage.project.mkdir()
            stage.private_key.parent.mkdir(mode=0o700)
            stage.private_key.write_text("a private key\n")
            network = {
                "allow_domain": [f"localhost:{elsewhere.port}"],
                "credentials": [service.name for service in services],
                "custom_credentials": {
                    service.name: service.entry(provider, ca_file) for service in services
                },
            }
            stage.profile.write_text(json.dumps({"network": network}))
            yield stage
