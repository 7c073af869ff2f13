"""nono, the proxies of its peers and no proxy at all, side by side: a worker in each of the places."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.machine import PROGRAMS
from benchmarks.peers import Peer, Peers
from benchmarks.samples import Absent, CannotRunError
from benchmarks.stage import HOST, KEY, Stage, free_port
from benchmarks.workers import Worker, worker


@dataclass(frozen=True, slots=True)
class Proxies:
    bare: Worker
    nono: Worker
    nono_py: Worker | Absent
    mitmdump: Worker | Absent
    srt: Worker | Absent


def present(place: Worker | Absent) -> Worker:
    """Return the worker. Raises CannotRunError if there is none."""
    if isinstance(place, Absent):
        raise CannotRunError(place.reason)
    return place


@contextmanager
def proxies(stage: Stage, peers: Peers) -> Iterator[Proxies]:
    """Start each proxy on the CPU for proxies; the workers go to the other one by themselves."""
    with ExitStack() as stack:
        urls = {f"{name}_BASE_URL": url for name, url in stage.services.items()}
        log = stage.folder / "bare.log"
        bare = stack.enter_context(worker(stage.worker, stage.environ | urls, stage.cpus.load, log))
        argv, log = stage.nono_run(*stage.worker), stage.folder / "nono.log"
        nono = stack.enter_context(worker(argv, stage.environ, stage.cpus.proxy, log))
        yield Proxies(
            bare,
            nono,
            _beside(stack, stage, "nono-py", _nono_py(stage, peers), stage.environ),
            _beside(stack, stage, "mitmdump", mitmdump_argv(stage, *stage.worker), stage.environ),
            _beside(stack, stage, "srt", _srt(stage, peers), _srt_environ(stage, peers)),
        )


def _beside(
    stack: ExitStack, stage: Stage, name: str, argv: Sequence[str] | Absent, environ: Mapping[str, str]
) -> Worker | Absent:
    if isinstance(argv, Absent):
        return argv
    try:
        log = stage.folder / f"{name}.log"
        return stack.enter_context(worker(argv, environ, stage.cpus.proxy, log))
    except CannotRunError as error:
        return Absent(str(error))


def _nono_py(stage: Stage, peers: Peers) -> list[str] | Absent:
    peer = peers.nono_py
    return peer if isinstance(peer, Absent) else nono_py_argv(stage, peer, 0, *stage.worker)


def nono_py_argv(stage: Stage, peer: Peer, port: int, *command: str) -> list[str]:
    """Return the command of nono-py's proxy on a port (0: a free one), with the same services as nono's."""
    services = [f"{name}={url}" for name, url in stage.services.items()]
    script, authority = str(PROGRAMS / "nono_py_proxy.py"), stage.folder / "nono-py-ca"
    authority.mkdir(exist_ok=True)
    return [
        *peer.command, script, str(port), str(authority), stage.ca_file, HOST, *services, "--", *command,
    ]  # fmt: skip


def mitmdump_argv(stage: Stage, *command: str) -> list[str]:
    """Return the command of the mitmdump that nono depends on, with its own directory and authority."""
    confdir = str(stage.folder / "mitmproxy")
    script = str(PROGRAMS / "mitmdump_proxy.py")
    return [sys.executable, "-I", script, str(free_port()), confdir, stage.ca_file, KEY, "--", *command]


def _srt(stage: Stage, peers: Peers) -> list[str] | Absent:
    if isinstance(peers.srt, Absent):
        return peers.srt
    hosts = [f"{name}:{port}" for port in stage.ports for name in (HOST, "127.0.0.1")]
    network = {"allowedDomains": hosts, "deniedDomains": [], "tlsTerminate": {}}
    files = {"denyRead": [], "allowWrite": ["/tmp"], "denyWrite": []}
    settings = stage.folder / "srt.json"
    settings.write_text(json.dumps({"network": network, "filesystem": files}))
    command = [*peers.srt.command]
    command[command.index("--settings") + 1] = str(settings)
    return [*command, "--", *stage.worker]


def _srt_environ(stage: Stage, peers: Peers) -> Mapping[str, str]:
    environ = stage.environ | {"NODE_EXTRA_CA_CERTS": stage.ca_file}
    if isinstance(peers.srt, Peer) and peers.srt.tools is not None:
        environ["PATH"] = f"{environ.get('PATH', '/usr/bin:/bin')}:{peers.srt.tools}"
    return environ
