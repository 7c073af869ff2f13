"""nono, nono-py's proxy and no proxy at all, side by side: a worker in each of the three places."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.machine import PROGRAMS
from benchmarks.peers import Peer, Peers
from benchmarks.samples import Absent, CannotRunError
from benchmarks.stage import HOST, Stage
from benchmarks.workers import Worker, worker


@dataclass(frozen=True, slots=True)
class Trio:
    bare: Worker
    nono: Worker
    peer: Worker | Absent  # beside nono-py's proxy

    def nono_py(self) -> Worker:
        """CannotRunError when it is not there."""
        if isinstance(self.peer, Absent):
            raise CannotRunError(self.peer.reason)
        return self.peer


@contextmanager
def trio(stage: Stage, peers: Peers) -> Iterator[Trio]:
    """Each proxy on the CPU for proxies; the workers go to the other one by themselves."""
    with ExitStack() as stack:
        urls = {f"{name}_BASE_URL": url for name, url in stage.services.items()}
        log = stage.folder / "bare.log"
        bare = stack.enter_context(worker(stage.worker, stage.environ | urls, stage.cpus.load, log))
        argv, log = stage.nono_run(*stage.worker), stage.folder / "nono.log"
        nono = stack.enter_context(worker(argv, stage.environ, stage.cpus.proxy, log))
        yield Trio(bare, nono, _beside_nono_py(stack, stage, peers.nono_py))


def _beside_nono_py(stack: ExitStack, stage: Stage, peer: Peer | Absent) -> Worker | Absent:
    if isinstance(peer, Absent):
        return peer
    try:
        argv = nono_py_argv(stage, peer, 0, *stage.worker)
        log = stage.folder / "nono-py.log"
        return stack.enter_context(worker(argv, stage.environ, stage.cpus.proxy, log))
    except CannotRunError as error:
        return Absent(str(error))


def nono_py_argv(stage: Stage, peer: Peer, port: int, *command: str) -> list[str]:
    """Its proxy on this port (0: a free one), with the same services as nono's."""
    services = [f"{name}={url}" for name, url in stage.services.items()]
    script = str(PROGRAMS / "nono_py_proxy.py")
    return [*peer.command, script, str(port), stage.ca_file, HOST, *services, "--", *command]
