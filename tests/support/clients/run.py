"""Set the stage for the tests of real clients, with an authority, and read the audit log for them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.nono_run import Ended, NonoRun, nono_run
from support.servers.http1 import Authority

PYTHON = (sys.executable, "-I")

Decision = tuple[object, object]


@dataclass(frozen=True, slots=True)
class Stage:
    """An ordinary user with a project, and an authority whose certificate the command may read."""

    runner: NonoRun
    authority: Authority

    @property
    def project(self) -> Path:
        return self.runner.project

    def nono(
        self, argv: Sequence[str], *, network: Mapping[str, object], environment: Mapping[str, str]
    ) -> Ended:
        """Run `nono run -- argv` in the project to its end. network: that section of the profile."""
        return self.runner.run(argv, profile={"network": network}, environment=environment)


@contextmanager
def stage() -> Iterator[Stage]:
    """Yield a stage that is removed with all its files when the block is left."""
    with nono_run() as runner:
        yield Stage(runner, Authority(str(runner.trusted)))


def service(port: int, key: str, authority: Authority, *, base_path: str = "", **more: str) -> dict[str, str]:
    """Return a custom_credentials entry for https://localhost:port, with its key in the variable key."""
    return {
        "upstream": f"https://localhost:{port}{base_path}",
        "credential_key": f"env://{key}",
        "tls_ca": authority.ca_file,
        **more,
    }


def let_through(run: Ended) -> list[Decision]:
    """Return (mode, target) of every request and tunnel."""
    return [(event["mode"], event["target"]) for event in run.allowed]


def refused_by_proxy(run: Ended) -> list[Decision]:
    """Return (denial_category, target) of every request and tunnel."""
    return [(event.get("denial_category"), event["target"]) for event in run.denied if event["method"]]


def refused_connects(run: Ended) -> set[Decision]:
    """Return (address, port) of every attempt to connect past the proxy, without Unix sockets."""
    direct = [event for event in run.denied if event.get("rule") == "network.proxy_only"]
    return {(event["target"], event["port"]) for event in direct if event["port"]}
